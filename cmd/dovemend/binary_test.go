package main

import (
	"os"
	"path/filepath"
	"testing"
)

// goEnv is what the processes of a test know of how the test is run. A program that was built with the race detector ends
// when it ends, and not a second later.
func goEnv() []string {
	return []string{"GORACE=atexit_sleep_ms=0", "GOGC=" + os.Getenv("GOGC")}
}

// ownBinary is this test's own binary under the name of dovemend or dovemend-quick, by which TestMain knows what it is to be.
func ownBinary(t *testing.T, name string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	return link
}
