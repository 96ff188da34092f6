package main

import (
	"os"
	"path/filepath"
	"testing"
)

// dovemendBinary is this test's own binary under the name of dovemend, by which TestMain knows what it is to be.
func dovemendBinary(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "dovemend")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	return link
}
