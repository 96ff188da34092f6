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
	if full.snap.Stats().Fetched != 32 {
		t.Fatalf("%+v", full.snap.Stats())
	}
	if err := full.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.folder("INBOX"), "u.13"), []byte("new mail"), 0o600); err != nil {
		t.Fatal(err)
	}
	one := b.begin("repair", "INBOX")
	if s := one.snap.Stats(); s.Fetched != 1 || s.Linked != 15 {
		t.Errorf("the copy of one mailbox: %+v", s)
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	again := b.begin("backup")
	defer again.Close()
	if s := again.snap.Stats(); s.Fetched > 1 || s.Linked < 30 { // new mail is hashed on the host, or fetched again
		t.Errorf("the next full copy: %+v", s)
	}
}
