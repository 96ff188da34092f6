package snapshot

import (
	"io/fs"
	"path"
	"slices"
	"testing"
)

func TestACopyIsReadAsItIsWhateverHasHappenedToItsFiles(t *testing.T) {
	h := newHost()
	for _, name := range []string{"mailboxes/INBOX/u.1", "mailboxes/INBOX/u.2", "mailboxes/Sent/u.1", "mailboxes/Sent/u.2", "mailboxes/Work/u.1"} {
		h.put(name, "twelve bytes")
	}
	dst := newDir(t)
	take(t, h, dst, Options{})
	if _, altered, err := ReadAsIs(dst); err != nil || len(altered) > 0 {
		t.Fatalf("of an unharmed copy: %v, %v", altered, err)
	}
	at := func(name string) string { return path.Join(filesDir, name) }
	for _, err := range []error{dst.Remove(at("mailboxes/INBOX/u.1")), dst.WriteFile(at("mailboxes/INBOX/u.2"), []byte("five."), 0o600),
		dst.Remove(at("mailboxes/Sent/u.1")), dst.Mkdir(at("mailboxes/Sent/u.1"), 0o700), // no file any more
		dst.RemoveAll(at("mailboxes/Work"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s, altered, err := ReadAsIs(dst)
	if err != nil {
		t.Fatal(err)
	}
	want := []Altered{{"mailboxes/INBOX/u.1", 12, -1}, {"mailboxes/INBOX/u.2", 12, 5}, {"mailboxes/Sent/u.1", 12, -1}, {"mailboxes/Work/u.1", 12, -1}}
	if !slices.Equal(altered, want) {
		t.Errorf("%v, want %v", altered, want)
	}
	if b, err := fs.ReadFile(s.FS(), "mailboxes/INBOX/u.2"); string(b) != "five." || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if info, err := fs.Stat(s.FS(), "mailboxes/INBOX/u.2"); err != nil || info.Size() != 5 {
		t.Errorf("%v, %v", info, err)
	}
	if b, err := fs.ReadFile(s.FS(), "mailboxes/Sent/u.2"); string(b) != "twelve bytes" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := fs.Stat(s.FS(), "mailboxes/INBOX/u.1"); err == nil {
		t.Error("what is gone still shows")
	}
	if s, err := Open(dst); err != nil || s.Check(t.Context()) == nil { // for those who change a host, it is what its list says, or nothing
		t.Errorf("the damage is not seen: %v", err)
	}
}
