package fidelity

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dovemend/remote/remotetest/damage"
)

// way is what somebody does about a broken mailbox.
type way struct {
	name string
	does func(t *testing.T, h *host, c cell, broken []string) mended
}

const (
	own     = "dovemend" // the way that is held against the others
	after   = "dovemend, copied before"
	resyncs = "force-resync"
)

// ways are those that people know of, and ours. Before the recipes that remove files the processes are ended, as they say.
var ways = []way{
	{"nothing", func(*testing.T, *host, cell, []string) mended { return mended{} }},
	{"rm dovecot.index", func(t *testing.T, h *host, _ cell, broken []string) mended {
		for _, box := range broken {
			if err := os.Remove(filepath.Join(h.folder(box), "dovecot.index")); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
		return mended{}
	}},
	{"rm -rf *", func(t *testing.T, h *host, _ cell, broken []string) mended {
		for _, box := range broken {
			if err := emptyFolder(h.folder(box)); err != nil {
				t.Fatal(err)
			}
		}
		return mended{}
	}},
	{resyncs, func(t *testing.T, h *host, _ cell, _ []string) mended { return mended{err: h.resync(t.Context())} }},
	{own, func(t *testing.T, h *host, _ cell, broken []string) mended { return h.dovemend(t, broken, "") }},
	{after, func(t *testing.T, h *host, c cell, broken []string) mended {
		return h.dovemend(t, broken, h.copies[copied[c.store]])
	}},
}

// broken are the mailboxes whose own folders a damage touched: those that a user would find broken. Damage to mail in a storage
// that mailboxes share is noticed in all of them, damage to other files that they share in the cell's mailbox.
func (h *host) broken(c cell, b *base, changes []damage.Change) []string {
	var names []string
	folders := make(map[string]string)
	for name := range b.truth.Mailboxes {
		folders[h.folder(name)] = name
	}
	note := func(file string) {
		dir, base := filepath.Dir(file), filepath.Base(file)
		if h.Layout() == "maildir" && slices.Contains([]string{"cur", "new", "tmp"}, filepath.Base(dir)) {
			dir = filepath.Dir(dir)
		}
		shared := strings.HasPrefix(base, "dovecot.list.index") || base == "subscriptions"
		if name, ok := folders[dir]; ok && !shared && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, change := range changes {
		if h.Layout() == "mdbox" && filepath.Base(filepath.Dir(change.File)) == "storage" && strings.HasPrefix(filepath.Base(change.File), "m.") {
			return slices.Sorted(maps.Keys(b.truth.Mailboxes))
		}
		note(change.File)
		if rel, err := filepath.Rel(h.MailRoot(), change.File); err == nil {
			for _, link := range b.links[rel] { // a copy of the message in another mailbox is the same file
				note(filepath.Join(h.MailRoot(), link))
			}
		}
	}
	if len(names) == 0 {
		names = []string{c.mailbox()}
	}
	slices.Sort(names)
	return names
}
