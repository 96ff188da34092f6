package sshhost

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
)

// script does what dovemend does over SFTP, and what it must be refused, and tells each outcome in a line.
func script(f *sftp.Client, dir string) []string {
	var log []string
	say := func(what string, v any, err error) {
		text := ""
		var st *sftp.StatusError
		if errors.As(err, &st) {
			text = fmt.Sprintf("status %d", st.Code)
		} else if err != nil {
			text = strings.ReplaceAll(err.Error(), dir, "DIR")
		}
		log = append(log, strings.ReplaceAll(fmt.Sprintf("%s: %v %s", what, v, text), dir, "DIR"))
	}
	path := func(s string) string { return dir + "/" + s }
	do := func(what string, err error) { say(what, "", err) }
	real := func(p string) {
		r, err := f.RealPath(p)
		say("realpath "+p, r, err)
	}

	do("mkdir", f.Mkdir(path("d")))
	do("mkdir again", f.Mkdir(path("d")))
	do("mkdir no parent", f.Mkdir(path("x/y")))
	put := func(name, text string, flags int) {
		w, err := f.OpenFile(path(name), flags)
		if err != nil {
			say("open "+name, "", err)
			return
		}
		n, err := io.WriteString(w, text)
		say("write "+name, n, err)
		do("fsync", w.Sync())
		do("close", w.Close())
	}
	put("d/a", "first", os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	put("d/a", "second", os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	put("d/b", "other", os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	put("d/b", "+", os.O_WRONLY|os.O_APPEND)
	put("nodir/b", "other", os.O_WRONLY|os.O_CREATE)
	put("d", "a directory", os.O_WRONLY)
	do("rename onto file", f.Rename(path("d/a"), path("d/b")))
	do("rename file", f.Rename(path("d/a"), path("d/c")))
	do("rename missing", f.Rename(path("d/a"), path("d/e")))
	do("mkdir", f.Mkdir(path("e")))
	do("rename dir onto dir", f.Rename(path("e"), path("d")))
	do("rename dir", f.Rename(path("e"), path("e2")))
	do("rename file into missing dir", f.Rename(path("d/c"), path("none/c")))
	do("posix-rename onto file", f.PosixRename(path("d/c"), path("d/b")))
	do("hard link", f.Link(path("d/b"), path("d/l")))
	do("hard link onto file", f.Link(path("d/b"), path("d/l")))
	do("symlink", f.Symlink("d", path("s")))
	do("symlink dangling", f.Symlink("nowhere/x", path("dang")))
	do("symlink loop", f.Symlink("loop", path("loop")))
	do("symlink onto file", f.Symlink("d", path("d/b")))
	for _, p := range []string{"s", "s/b", "s/none", "s/none/none", "dang", "loop", "loop/x", "d/../d/./b", "d/b/x", "", "none", "d/", "d//b"} {
		real(dir + "/" + p)
	}
	for _, p := range []string{"s", "dang", "d/b", "none"} {
		to, err := f.ReadLink(path(p))
		say("readlink "+p, to, err)
	}
	do("chmod", f.Chmod(path("d/b"), 0o640))
	do("chmod none", f.Chmod(path("d/none"), 0o640))
	do("chtimes", f.Chtimes(path("d/b"), time.Unix(1e9, 0), time.Unix(1e9+1, 0)))
	do("truncate", f.Truncate(path("d/b"), 3))
	for _, p := range []string{"d/b", "s", "d", "none", "d/b/x", "dang", "loop"} {
		st, err := f.Stat(path(p))
		if err == nil {
			say("stat "+p, fmt.Sprint(st.Mode(), st.IsDir() || st.Size() >= 0, st.Name()), nil)
		} else {
			say("stat "+p, "", err)
		}
		st, err = f.Lstat(path(p))
		if err == nil {
			say("lstat "+p, st.Mode(), nil)
		} else {
			say("lstat "+p, "", err)
		}
	}
	if st, err := f.Stat(path("d/b")); err == nil {
		recent := time.Since(st.ModTime()).Abs() < time.Hour // the two servers are asked one after the other
		say("times", fmt.Sprint(recent, st.Size(), st.Sys().(*sftp.FileStat).UID, st.Sys().(*sftp.FileStat).Atime), nil)
	}
	r, err := f.Open(path("d/b"))
	say("open", r != nil, err)
	if r != nil {
		b, err := io.ReadAll(r)
		say("read", string(b), err)
		n, err := r.ReadAt(make([]byte, 10), 2)
		say("read at 2", n, err)
		n, err = r.ReadAt(make([]byte, 10), 100)
		say("read at 100", n, err)
		_, err = r.Write([]byte("x"))
		say("write to a reader", "", err)
		do("close", r.Close())
	}
	for _, p := range []string{"", "d", "none", "d/b"} {
		l, err := f.ReadDir(path(p))
		var names []string
		for _, st := range l {
			names = append(names, st.Name()+" "+st.Mode().Type().String())
		}
		slices.Sort(names)
		say("readdir "+p, names, err)
	}
	_, err = f.StatVFS(path("d"))
	do("statvfs", err)
	_, err = f.StatVFS(path("none"))
	do("statvfs none", err)
	long := strings.Repeat("x", 300)
	_, err = f.Stat(path(long))
	do("stat long name", err)
	do("unlink dir", rawRemove(f, path("e2")))
	do("rmdir not empty", f.RemoveDirectory(path("d")))
	do("rmdir file", f.RemoveDirectory(path("d/b")))
	do("rmdir symlink", f.RemoveDirectory(path("s")))
	do("rmdir", f.RemoveDirectory(path("e2")))
	do("remove symlink", f.Remove(path("s")))
	do("remove", f.Remove(path("d/l")))
	do("remove none", f.Remove(path("d/l")))
	for _, e := range []string{"posix-rename@openssh.com", "statvfs@openssh.com", "fsync@openssh.com", "hardlink@openssh.com", "limits@openssh.com"} {
		_, ok := f.HasExtension(e)
		say("extension "+e, ok, nil)
	}
	return log
}

// rawRemove sends the remove request only; the client's Remove tries rmdir next.
func rawRemove(f *sftp.Client, p string) error {
	err := f.Remove(p)
	if err == nil { // it fell back to rmdir: make the directory again
		return f.Mkdir(p)
	}
	return err
}

func TestSFTPBehavesAsOpenSSHs(t *testing.T) {
	server := ""
	for _, p := range []string{"/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/libexec/sftp-server", "/usr/lib/ssh/sftp-server"} {
		if _, err := os.Stat(p); err == nil {
			server = p
		}
	}
	if server == "" {
		if strings.Contains(os.Getenv("DOVEMEND_TEST_REQUIRE"), "sshd") {
			t.Fatal("DOVEMEND_TEST_REQUIRE wants sshd, but there is no sftp-server")
		}
		t.Skip("no sftp-server of OpenSSH on this machine")
	}
	cmd := exec.Command(server)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer stdin.Close()
	theirs, err := sftp.NewClientPipe(stdout, stdin)
	if err != nil {
		t.Fatal(err)
	}
	h := start(t, Options{})
	ours, err := sftp.NewClient(login(t, h))
	if err != nil {
		t.Fatal(err)
	}
	outcome := func(f *sftp.Client) []string {
		dir, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return script(f, dir)
	}
	want, got := outcome(theirs), outcome(ours)
	if len(want) != len(got) {
		t.Errorf("%d outcomes, want %d", len(got), len(want))
	}
	for i := range min(len(want), len(got)) {
		if got[i] != want[i] {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
	if len(want) < 90 {
		t.Errorf("only %d outcomes compared", len(want))
	}
}

func TestFaultsReachTheClientAsOpenSSHWouldSayThem(t *testing.T) {
	h := start(t, Options{Fault: func(op, path string) error {
		if op == "write" {
			return syscall.ENOSPC
		}
		return nil
	}})
	f, err := sftp.NewClient(login(t, h))
	if err != nil {
		t.Fatal(err)
	}
	w, err := f.Create("x")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write([]byte("x"))
	var st *sftp.StatusError
	if !errors.As(err, &st) || st.FxCode() != sftp.ErrSSHFxFailure {
		t.Errorf("write on a full disk: %v, want SSH_FX_FAILURE", err)
	}
}
