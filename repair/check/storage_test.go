package check_test

import (
	"os"
	"path/filepath"
	"testing"

	"dovemend/repair/check"
	"dovemend/repair/large"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// TestAStorageFileThatAPurgeWouldFailOnIsTold, though Dovecot shows all mail as long as nobody purges it.
func TestAStorageFileThatAPurgeWouldFailOnIsTold(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(b []byte) []byte
		told   bool
	}{
		{"sound", func(b []byte) []byte { return b }, false},
		{"something behind its end", func(b []byte) []byte { return append(b, "garbage"...) }, true},
		{"an append that was never finished", func(b []byte) []byte { return append(b, "\x01\x02N          0000000000001000\nFrom: somebody\n"...) }, true},
		{"bytes between its head and the first message", func(b []byte) []byte { return append(append(append([]byte{}, b[:16]...), "garbage"...), b[16:]...) }, true},
	} {
		dir := t.TempDir()
		boxes, err := large.Account{Layout: store.MDBox, Messages: 12, Mailboxes: 2}.Lay(dir)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, "storage", "m.1")
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, c.change(b), 0o600); err != nil {
			t.Fatal(err)
		}
		acct, err := reconstruct.Read(t.Context(), os.DirFS(dir), store.Account{Layout: store.MDBox, Mailboxes: boxes}, boxes)
		if err != nil {
			t.Fatal(err)
		}
		told := false
		for _, f := range check.Account(os.DirFS(dir), acct) {
			told = told || f.Rule == check.StorageHoled && f.Severity == check.Suspect && f.Cure == check.CureRebuild
		}
		if told != c.told {
			t.Errorf("%s: told %v", c.name, told)
		}
	}
}
