package demoaccount

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
)

// TestAccount makes the account anew with -update, and holds it to what the demo promises.
func TestAccount(t *testing.T) {
	if *update {
		makeAnew(t)
	}
	if len(packed) > 2<<20 {
		t.Errorf("the account is %d bytes, want less than 2 MiB", len(packed))
	}
	truth, err := Truth()
	if err != nil {
		t.Fatal(err)
	}
	all := 0
	for _, m := range truth.Mailboxes {
		all += m.Count("")
	}
	inbox := truth.Mailboxes[fill.Inbox]
	if inbox.Count("") != shape.Inbox || inbox.Count(`\Seen`) != shape.Seen || inbox.Count("Work") != shape.Work || all < 300 || len(truth.Mailboxes) < 6 {
		t.Errorf("INBOX %d/%d/%d, %d messages in %d mailboxes", inbox.Count(""), inbox.Count(`\Seen`), inbox.Count("Work"), all, len(truth.Mailboxes))
	}
}

func TestUnpackLaysFilesAsDovecotLeavesThem(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mail", "example.org", "anna")
	if err := Unpack(dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "mailboxes", "INBOX", "dbox-Mails"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimPrefix(e.Name(), "dovecot.index"))
	}
	if want := []string{"", ".backup", ".cache", ".log", ".log.2"}; !slices.Equal(names, want) {
		t.Errorf("INBOX's folder has dovecot.index%q, want %q", names, want)
	}
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := e.Info()
		if err != nil {
			return err
		}
		if age := time.Since(st.ModTime()); path != dir && (age < 55*time.Minute || age > 3*time.Hour) {
			t.Errorf("%s is %v old", path, age)
		}
		if want := fs.FileMode(0o600); runtime.GOOS != "windows" && e.Type().IsRegular() && st.Mode().Perm() != want && st.Size() > 0 {
			t.Errorf("%s has mode %v, want %v", path, st.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := Unpack(dir); err == nil {
		t.Error("unpacked over an account")
	}
}

func TestBreakKeepsTheTimeOfLastChange(t *testing.T) {
	dir := t.TempDir()
	if err := Unpack(dir); err != nil {
		t.Fatal(err)
	}
	index := filepath.Join(dir, "mailboxes", "INBOX", "dbox-Mails", "dovecot.index")
	before, err := os.Stat(index)
	if err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	files, err := Break(dir, Mailbox, Kind)
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(index)
	if err != nil {
		t.Fatal(err)
	}
	broken, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(files, []string{index}) || string(old) == string(broken) || !after.ModTime().Equal(before.ModTime()) || len(old) != len(broken) {
		t.Errorf("broke %q; %v, %d bytes; was %v, %d bytes", files, after.ModTime(), len(broken), before.ModTime(), len(old))
	}
}

// real unpacks the account for a real Dovecot, changes it, and reads it.
func real(t *testing.T, change func(dir string) error) (*realhost.Host, *fill.Truth) {
	t.Helper()
	h := remotetest.Real(t, remotetest.Options{NoCanaries: true, Options: realhost.Options{NoSSHD: true}})
	if err := Unpack(h.MailRoot()); err != nil {
		t.Fatal(err)
	}
	if err := change(h.MailRoot()); err != nil {
		t.Fatal(err)
	}
	if err := h.Adopt(h.MailRoot()); err != nil {
		t.Fatal(err)
	}
	return h.Host, remotetest.ReadTruth(t, h)
}

func TestDovecotReadsTheAccountAsItsTruthTells(t *testing.T) {
	want, err := Truth()
	if err != nil {
		t.Fatal(err)
	}
	h, got := real(t, func(string) error { return nil })
	if d := want.Diff(got); len(d) > 0 {
		t.Errorf("differences: %q", d)
	}
	if log := h.DovecotLog(); strings.Contains(log, "Error") || strings.Contains(log, "Warning") {
		t.Errorf("log: %s", log)
	}
}

// What the demo says of its damage is so: left alone it costs the whole INBOX, and without its dovecot.index nothing.
func TestTheDamageEmptiesInboxAndDroppingTheIndexCuresIt(t *testing.T) {
	want, err := Truth()
	if err != nil {
		t.Fatal(err)
	}
	_, left := real(t, func(dir string) error {
		_, err := Break(dir, Mailbox, Kind)
		return err
	})
	if inbox := left.Mailboxes[fill.Inbox]; inbox.Count("") != 0 || inbox.UIDValidity == want.Mailboxes[fill.Inbox].UIDValidity {
		t.Errorf("left alone, INBOX has %d messages and UIDVALIDITY %d", inbox.Count(""), inbox.UIDValidity)
	}
	_, cured := real(t, func(dir string) error {
		files, err := Break(dir, Mailbox, Kind)
		if err != nil {
			return err
		}
		return os.Remove(files[0])
	})
	if d := want.Diff(cured); len(d) > 0 {
		t.Errorf("after removing dovecot.index: %q", d)
	}
}
