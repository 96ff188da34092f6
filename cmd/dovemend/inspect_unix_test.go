//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dovemend/remote/remotetest/demoaccount"
)

// TestInspectTellsWhatItMayNotRead runs the program as somebody who may not read a folder and a file.
func TestInspectTellsWhatItMayNotRead(t *testing.T) {
	dir, err := os.MkdirTemp("", "dovemend-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	account := filepath.Join(dir, "mail")
	binary := filepath.Join(dir, "dovemend")
	copyBinary(t, binary)
	if err := os.Mkdir(account, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := demoaccount.Unpack(account); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil {
			err = os.Chmod(p, 0o755)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	locked, secret := filepath.Join(account, "mailboxes"), filepath.Join(account, "storage", "m.1")
	for _, p := range []string{locked, secret} {
		if err := os.Chmod(p, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(p, 0o755) })
	}
	run := func(args ...string) (int, string, string) {
		cmd := exec.Command(binary, append([]string{"inspect"}, args...)...)
		cmd.Env = append([]string{"HOME=" + dir, "PATH=/bin", "TERM=dumb"}, goEnv()...)
		if os.Getuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), out.String(), errs.String()
	}
	code, out, errs := run("--file", account, "--summary")
	for _, want := range []string{"mailboxes: folder\n  not read: ", "m.1: dbox, ", "not read: ", "dovecot.map.index"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if code != exitError || !strings.Contains(errs, "2 files could not be read, the first: ") || !strings.Contains(errs, "permission denied") || !strings.Contains(errs, "next: look at the modes") {
		t.Errorf("exit %d, %s", code, errs)
	}
	for _, p := range []string{locked, secret, filepath.Join(locked, "INBOX")} {
		if code, _, errs = run("--file", p); code != exitError || !strings.Contains(errs, "permission denied") || !strings.Contains(errs, "next: ") {
			t.Errorf("%s: exit %d, %s", p, code, errs)
		}
	}
	code, out, _ = run("--file", account, "--json")
	var doc map[string]any
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != exitError || doc["unreadable"] != 2.0 {
		t.Errorf("exit %d, %v, unreadable %v", code, err, doc["unreadable"])
	}
}

// copyBinary makes a copy of the program that anybody may run.
func copyBinary(t *testing.T, to string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, from); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestInspectOpensNoPipe(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "dovecot.index"), 0o644); err != nil {
		t.Skip(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if code, out, _ := runFake(t, newFake(), "inspect", "--file", dir); code != exitError || !strings.Contains(out, "a pipe, which is not opened") {
			t.Errorf("exit %d, %s", code, out)
		}
		if code, _, errs := runFake(t, newFake(), "inspect", "--file", filepath.Join(dir, "dovecot.index")); code != exitUsage || !strings.Contains(errs, "neither a file nor a folder") {
			t.Errorf("exit %d, %s", code, errs)
		}
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("it waits for somebody to write into the pipe")
	}
}
