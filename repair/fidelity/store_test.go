package fidelity

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/mailgen"
)

// base is a store as Dovecot left it: its files, and what IMAP tells of them.
type base struct {
	name  string
	saved string // a copy of the mail root
	truth *fill.Truth
	files map[string][]byte // by their names relative to the mail root
	links map[string][]string
	oracle
}

const (
	seed     = 11
	mailed   = 95 // messages that fill.Fill makes with the shape below
	incoming = 24 // and that come in later
)

// makeStores makes those stores that are wanted: a young one here; on a host that rotates its logs quickly one whose logs were
// rotated, as those of any mailbox are after some days, and which has lost the older ones since; and that one, with them, after it has lived on here.
func (h *host) makeStores(t *testing.T, wanted map[string]bool) {
	t.Helper()
	h.stores = make(map[string]*base)
	mails := mailgen.Series(seed, mailed+incoming)
	h.makeRotated(t, mails)
	if wanted["young"] {
		young, err := fill.Fill(t.Context(), h.imap(), fill.Shape{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		h.save(t, "young", h.MailRoot(), young)
	}
	if !wanted["changed"] {
		h.age(t, h.stores["rotated"])
		return
	}
	h.lay(t, h.stores["rotated"].saved)
	if _, err := fill.GoOn(t.Context(), h.imap(), fill.Later{Seed: seed, Mail: mails[mailed : mailed+incoming/2]}); err != nil {
		t.Fatal(err)
	}
	if h.Layout() == "mdbox" {
		if _, err := h.Host.Doveadm(t.Context(), "purge", "-u", h.Account()); err != nil {
			t.Fatal(err)
		}
	}
	changed, err := fill.GoOn(t.Context(), h.imap(), fill.Later{Seed: seed + 1, Mail: mails[mailed+incoming/2:]})
	if err != nil {
		t.Fatal(err)
	}
	h.save(t, "changed", h.MailRoot(), changed)
	h.age(t, h.stores["rotated"])
}

// age makes a store two days older: Dovecot has removed the logs that were rotated away (mail_index_log2_max_age).
func (h *host) age(t *testing.T, b *base) {
	t.Helper()
	for name := range b.files {
		if strings.HasSuffix(name, ".log.2") {
			if err := os.Remove(filepath.Join(b.saved, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.learn(t, b)
}

// makeRotated makes the rotated store on a host of its own, and finds out which message a text is, from an account to which all
// came and where nothing was changed.
func (h *host) makeRotated(t *testing.T, mails []mailgen.Mail) {
	t.Helper()
	o := options(h.label)
	o.RotateLogs, o.NoSSHD, o.Accounts = true, true, []string{"anna@example.org", "scratch@example.org"}
	old := remotetest.Real(t, remotetest.Options{Options: o, NoCanaries: true})
	there := fill.Target{Addr: old.IMAP(), User: old.Account(), Password: old.Password()}
	scratch := there
	scratch.User = "scratch@example.org"
	if err := fill.Append(t.Context(), scratch, fill.Inbox, mails); err != nil {
		t.Fatal(err)
	}
	read, err := fill.Read(t.Context(), scratch)
	if err != nil {
		t.Fatal(err)
	}
	h.numbers = make(map[string]int)
	for _, m := range read.Mailboxes[fill.Inbox].Messages {
		h.numbers[sum(m)] = m.Number
	}
	rotated, err := fill.Fill(t.Context(), there, fill.Shape{Seed: seed, MailRoot: old.MailRoot(), Backups: h.Layout() != "maildir"})
	if err != nil {
		t.Fatal(err)
	}
	logout(t, old)
	h.save(t, "rotated", old.MailRoot(), rotated)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
}

// logout waits until nobody has a host's mailboxes open.
func logout(t *testing.T, h *remotetest.RealHost) {
	t.Helper()
	(&host{RealHost: h}).quiet(t)
}

// save keeps a store as it is now.
func (h *host) save(t *testing.T, name, root string, truth *fill.Truth) {
	t.Helper()
	h.quiet(t)
	b := &base{name: name, truth: truth, saved: filepath.Join(h.Dir(), "stores", name)}
	if err := os.MkdirAll(filepath.Dir(b.saved), 0o755); err != nil {
		t.Fatal(err)
	}
	copyTree(t, root, b.saved)
	if err := h.Adopt(filepath.Dir(b.saved)); err != nil {
		t.Fatal(err)
	}
	for box, m := range truth.Mailboxes {
		for _, msg := range m.Messages {
			if n, ok := h.numbers[sum(msg)]; !ok || n != msg.Number {
				t.Fatalf("%s store, %s: UID %d is message %d, by its text %d", name, box, msg.UID, msg.Number, n)
			}
		}
	}
	h.learn(t, b)
	h.stores[name] = b
}

// learn reads a store's files, and what they tell.
func (h *host) learn(t *testing.T, b *base) {
	t.Helper()
	b.files, b.links = readTree(t, b.saved)
	b.oracle = newOracle(h.Layout(), h.LayoutFS(), b)
	if list := b.oracle.unknown(b.truth); len(list) > 0 {
		t.Errorf("%s store: the oracle does not know %q", b.name, list)
	}
}

// readTree reads all files of a tree, and tells which of them are one file under several names.
func readTree(t *testing.T, root string) (map[string][]byte, map[string][]string) {
	t.Helper()
	files, links := make(map[string][]byte), make(map[string][]string)
	type one struct {
		name string
		info fs.FileInfo
	}
	var seen []one
	err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		if files[rel], err = os.ReadFile(p); err != nil {
			return err
		}
		if !strings.HasPrefix(e.Name(), "dovecot") && linked(info) {
			for _, other := range seen {
				if os.SameFile(other.info, info) {
					links[rel], links[other.name] = append(links[rel], other.name), append(links[other.name], rel)
				}
			}
			seen = append(seen, one{rel, info})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, links
}
