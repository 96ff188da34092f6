//go:build unix

package repair

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCopyOfOneMailboxDoesNotMakeTheNextFullCopyDownloadTheRest(t *testing.T) {
	b := newBench(t)
	full := b.begin("backup")
	if s := b.copied.Stats(); s.Fetched != 32 {
		t.Fatalf("%+v", s)
	}
	if err := full.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.folder("INBOX"), "u.13"), []byte("new mail"), 0o600); err != nil {
		t.Fatal(err)
	}
	one := b.begin("repair", "INBOX")
	if s := b.copied.Stats(); s.Fetched != 1 || s.Linked != 15 {
		t.Errorf("the copy of one mailbox: %+v", s)
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	again := b.begin("backup")
	defer again.Close()
	if s := b.copied.Stats(); s.Fetched > 1 || s.Linked < 30 { // new mail is hashed on the host, or fetched again
		t.Errorf("the next full copy: %+v", s)
	}
}
