package fidelity

import (
	"bytes"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

// processes counts a user's imap processes.
func processes(t *testing.T, uid int) int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if e.Name()[0] < '0' || e.Name()[0] > '9' {
			continue
		}
		st, err := os.Stat("/proc/" + e.Name())
		if err != nil || st.Sys().(*syscall.Stat_t).Uid != uint32(uid) {
			continue
		}
		command, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err == nil && bytes.HasPrefix(command, []byte("dovecot/imap")) && !bytes.HasPrefix(command, []byte("dovecot/imap-login")) {
			n++
		}
	}
	return n
}

// linked reports whether a file has several names.
func linked(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink > 1
}
