//go:build unix

package remote

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mailRoot makes an empty mdbox account with one mailbox and opens it.
func mailRoot(t *testing.T, o sftpOptions) *Root {
	t.Helper()
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(top, "mail/example.org/anna")
	if err := os.MkdirAll(filepath.Join(dir, "mailboxes/INBOX/dbox-Mails"), 0o700); err != nil {
		t.Fatal(err)
	}
	l, c := startSFTP(t, o)
	r, err := openRoot(context.Background(), l, c, []string{top}, os.Getuid(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const inbox = "mailboxes/INBOX/dbox-Mails/"

func writable(t *testing.T, r *Root, rel string, class Class) WritablePath {
	t.Helper()
	w, err := r.GuardWrite(context.Background(), rel, class)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func guarded(t *testing.T, r *Root, rel string, class Class) GuardedPath {
	t.Helper()
	g, err := r.Guard(context.Background(), rel, class)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func writeFile(t *testing.T, r *Root, rel, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, rel), []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func wantFile(t *testing.T, r *Root, rel, want string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(r.dir, rel))
	if err != nil {
		t.Error(err)
	} else if string(got) != want {
		t.Errorf("%s holds %.60q, want %.60q", rel, got, want)
	}
}

func wantGone(t *testing.T, r *Root, rel string) {
	t.Helper()
	if _, err := os.Lstat(filepath.Join(r.dir, rel)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there (%v)", rel, err)
	}
}

func TestPutWritesBytesModeAndTime(t *testing.T) {
	r := mailRoot(t, sftpOptions{})
	big := make([]byte, 3<<20+12345)
	rand.Read(big)
	when := time.Unix(1589500000, 0)
	for _, tt := range []struct {
		name string
		text string
		old  string
	}{
		{"u.1", "hello", ""},
		{"u.2", "", ""},
		{"u.3", string(big), ""},
		{"u.4", "short", "a longer text of an interrupted run"},
	} {
		if tt.old != "" {
			writeFile(t, r, inbox+".dovemend-1", tt.old)
		}
		temp, to := writable(t, r, inbox+".dovemend-1", ClassTemp), writable(t, r, inbox+tt.name, ClassMailboxFile)
		if err := r.Put(context.Background(), temp, to, iotestReader(tt.text), Attr{Mode: 0o640, MTime: when}); err != nil {
			t.Fatal(err)
		}
		wantFile(t, r, inbox+tt.name, tt.text)
		wantGone(t, r, inbox+".dovemend-1")
		fi, err := os.Stat(filepath.Join(r.dir, inbox+tt.name))
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode() != 0o640 || !fi.ModTime().Equal(when) {
			t.Errorf("%s: mode %v time %v, want 0640 %v", tt.name, fi.Mode(), fi.ModTime(), when)
		}
	}
}

// iotestReader gives a text in pieces of odd size.
func iotestReader(s string) io.Reader {
	return struct{ io.Reader }{io.MultiReader(strings.NewReader(s[:len(s)/3]), strings.NewReader(s[len(s)/3:]))}
}

func TestPutNeverOverwrites(t *testing.T) {
	r := mailRoot(t, sftpOptions{})
	temp, to := writable(t, r, inbox+".dovemend-1", ClassTemp), writable(t, r, inbox+"dovecot.index", ClassIndex)
	writeFile(t, r, inbox+"dovecot.index", "Dovecot's")
	err := r.Put(context.Background(), temp, to, strings.NewReader("ours"), Attr{})
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("put onto a file: %v, want fs.ErrExist", err)
	}
	wantFile(t, r, inbox+"dovecot.index", "Dovecot's")
	wantGone(t, r, inbox+".dovemend-1")

	// It appears while the bytes are on their way.
	os.Remove(filepath.Join(r.dir, inbox+"dovecot.index"))
	late := readerFunc(func(p []byte) (int, error) {
		writeFile(t, r, inbox+"dovecot.index", "Dovecot's again")
		return 0, io.EOF
	})
	err = r.Put(context.Background(), temp, to, late, Attr{})
	if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), ".dovemend-1") {
		t.Errorf("put onto a file that appeared: %v, want fs.ErrExist and the name of what is left", err)
	}
	wantFile(t, r, inbox+"dovecot.index", "Dovecot's again")
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestPutLeavesOnlyTempOnFullDisk(t *testing.T) {
	r := mailRoot(t, sftpOptions{script: `trap '' XFSZ; ulimit -f 600; exec "$@"`}) // blocks of 512 bytes or 1 KiB
	temp, to := writable(t, r, inbox+".dovemend-1", ClassTemp), writable(t, r, inbox+"u.1", ClassMailboxFile)
	err := r.Put(context.Background(), temp, to, bytes.NewReader(make([]byte, 2<<20)), Attr{})
	if err == nil || !strings.Contains(err.Error(), ".dovemend-1") || !strings.Contains(err.Error(), "full") {
		t.Errorf("put past the limit: %v, want an error that names what is left", err)
	}
	wantGone(t, r, inbox+"u.1")
	if err := r.Put(context.Background(), temp, to, strings.NewReader("small"), Attr{}); err != nil {
		t.Errorf("put again over what was left: %v", err)
	}
	wantFile(t, r, inbox+"u.1", "small")
}

func TestPutEndsWithContext(t *testing.T) {
	r := mailRoot(t, sftpOptions{})
	temp, to := writable(t, r, inbox+".dovemend-1", ClassTemp), writable(t, r, inbox+"u.1", ClassMailboxFile)
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	src := readerFunc(func(p []byte) (int, error) {
		if n++; n == 40 {
			cancel()
		}
		return len(p), nil
	})
	if err := r.Put(ctx, temp, to, src, Attr{}); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v, want context.Canceled", err)
	}
	wantGone(t, r, inbox+"u.1")
}

func TestPutReportsUnreadableSource(t *testing.T) {
	r := mailRoot(t, sftpOptions{})
	temp, to := writable(t, r, inbox+".dovemend-1", ClassTemp), writable(t, r, inbox+"u.1", ClassMailboxFile)
	err := r.Put(context.Background(), temp, to, io.MultiReader(strings.NewReader("part"), readerFunc(func([]byte) (int, error) { return 0, os.ErrDeadlineExceeded })), Attr{})
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("put from a broken source: %v", err)
	}
	wantGone(t, r, inbox+"u.1")
}

func TestRenameNeverOverwrites(t *testing.T) {
	r := mailRoot(t, sftpOptions{})
	ctx := context.Background()
	writeFile(t, r, inbox+"dovecot.index", "one")
	aside := writable(t, r, "dovemend-aside", ClassAside)
	if err := r.Mkdir(ctx, aside, Attr{Mode: 0o750}); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(filepath.Join(r.dir, "dovemend-aside")); err != nil || fi.Mode().Perm() != 0o750 {
		t.Errorf("made directory: %v %v", fi, err)
	}
	if err := r.Mkdir(ctx, aside, Attr{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("mkdir of what is there: %v, want fs.ErrExist", err)
	}
	from, to := writable(t, r, inbox+"dovecot.index", ClassIndex), writable(t, r, "dovemend-aside/dovecot.index", ClassAside)
	writeFile(t, r, "dovemend-aside/dovecot.index", "two")
	if err := r.Rename(ctx, from, to); !errors.Is(err, fs.ErrExist) {
		t.Errorf("rename onto a file: %v, want fs.ErrExist", err)
	}
	wantFile(t, r, "dovemend-aside/dovecot.index", "two")
	os.Remove(filepath.Join(r.dir, "dovemend-aside/dovecot.index"))
	if err := r.Rename(ctx, from, to); err != nil {
		t.Error(err)
	}
	wantFile(t, r, "dovemend-aside/dovecot.index", "one")
	wantGone(t, r, inbox+"dovecot.index")
	if err := r.Rename(ctx, from, writable(t, r, "dovemend-aside/x", ClassAside)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("rename of nothing: %v, want fs.ErrNotExist", err)
	}
	// A whole folder, and onto a directory.
	if err := r.Rename(ctx, writable(t, r, "mailboxes/INBOX", ClassFolder), writable(t, r, "dovemend-aside/INBOX", ClassAside)); err != nil {
		t.Error(err)
	}
	wantGone(t, r, "mailboxes/INBOX")
}

func TestRemoveTakesFilesAndRemoveDirEmptyDirectories(t *testing.T) {
	r := mailRoot(t, sftpOptions{})
	ctx := context.Background()
	writeFile(t, r, inbox+"u.1", "x")
	file, dir := guarded(t, r, inbox+"u.1", ClassMailboxFile), guarded(t, r, "mailboxes/INBOX/dbox-Mails", ClassFolder)
	if err := r.RemoveDir(ctx, dir); err == nil {
		t.Error("a directory that is not empty was removed")
	}
	if err := r.RemoveDir(ctx, file); !errors.Is(err, ErrUnguarded) {
		t.Errorf("RemoveDir of a file: %v, want ErrUnguarded", err)
	}
	if err := r.Remove(ctx, dir); !errors.Is(err, ErrUnguarded) {
		t.Errorf("Remove of a directory: %v, want ErrUnguarded", err)
	}
	if err := r.Remove(ctx, file); err != nil {
		t.Error(err)
	}
	wantGone(t, r, inbox+"u.1")
	if err := r.Remove(ctx, file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("remove again: %v, want fs.ErrNotExist", err)
	}
	// What was a file is now an empty directory, or a symbolic link.
	writeFile(t, r, inbox+"u.1", "x")
	file = guarded(t, r, inbox+"u.1", ClassMailboxFile)
	path := filepath.Join(r.dir, inbox+"u.1")
	os.Remove(path)
	os.Mkdir(path, 0o700)
	if err := r.Remove(ctx, file); ruleOf(err) != ruleType {
		t.Errorf("remove of a file turned directory: %v, want rule %s", err, ruleType)
	}
	os.Remove(path)
	os.Symlink("/etc/passwd", path)
	if err := r.Remove(ctx, file); ruleOf(err) != ruleSymlink {
		t.Errorf("remove of a file turned link: %v, want rule %s", err, ruleSymlink)
	}
	os.Remove(path)
	if err := r.RemoveDir(ctx, dir); err != nil {
		t.Error(err)
	}
	wantGone(t, r, "mailboxes/INBOX/dbox-Mails")
}

func TestPathsOfOtherRootsAreUnguarded(t *testing.T) {
	ctx := context.Background()
	r, other := mailRoot(t, sftpOptions{}), mailRoot(t, sftpOptions{})
	for _, x := range []*Root{r, other} {
		writeFile(t, x, inbox+"u.1", "x")
	}
	g, w := guarded(t, other, inbox+"u.1", ClassMailboxFile), writable(t, other, inbox+"u.1", ClassMailboxFile)
	d, temp := guarded(t, other, "mailboxes/INBOX", ClassFolder), writable(t, other, inbox+".dovemend-1", ClassTemp)
	mine, folder := writable(t, r, inbox+"u.2", ClassMailboxFile), writable(t, other, "mailboxes/New", ClassFolder)
	for name, err := range map[string]error{
		"Remove":          r.Remove(ctx, g),
		"Remove zero":     r.Remove(ctx, GuardedPath{}),
		"RemoveDir":       r.RemoveDir(ctx, d),
		"RemoveDir zero":  r.RemoveDir(ctx, GuardedPath{}),
		"RemoveEach":      r.RemoveEach(ctx, []GuardedPath{g}, func(int, error) {}),
		"Mkdir":           r.Mkdir(ctx, folder, Attr{}),
		"Mkdir zero":      r.Mkdir(ctx, WritablePath{}, Attr{}),
		"Rename from":     r.Rename(ctx, w, mine),
		"Rename to":       r.Rename(ctx, mine, w),
		"Rename zero":     r.Rename(ctx, WritablePath{}, WritablePath{}),
		"Put temp":        r.Put(ctx, temp, mine, strings.NewReader(""), Attr{}),
		"Put to":          r.Put(ctx, writable(t, r, inbox+".dovemend-1", ClassTemp), w, strings.NewReader(""), Attr{}),
		"Put not temp":    r.Put(ctx, mine, mine, strings.NewReader(""), Attr{}),
		"Put zero":        r.Put(ctx, WritablePath{}, WritablePath{}, strings.NewReader(""), Attr{}),
		"SetAttr":         r.SetAttr(ctx, w, Attr{Mode: 0o777}),
		"SetAttr zero":    r.SetAttr(ctx, WritablePath{}, Attr{Mode: 0o777}),
		"Mkdir of a file": r.Mkdir(ctx, mine, Attr{}),
	} {
		if !errors.Is(err, ErrUnguarded) {
			t.Errorf("%s: %v, want ErrUnguarded", name, err)
		}
	}
	wantFile(t, other, inbox+"u.1", "x")
	wantFile(t, r, inbox+"u.1", "x")
}

func TestSetAttrSetsFilesAndDirectories(t *testing.T) {
	r := mailRoot(t, sftpOptions{})
	ctx := context.Background()
	writeFile(t, r, inbox+"u.1", "x")
	when := time.Unix(1300000000, 0)
	for rel, class := range map[string]Class{inbox + "u.1": ClassMailboxFile, "mailboxes/INBOX/dbox-Mails": ClassFolder} {
		w := writable(t, r, rel, class)
		if err := r.SetAttr(ctx, w, Attr{MTime: when}); err != nil {
			t.Error(err)
		}
		before, err := os.Stat(filepath.Join(r.dir, rel))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.SetAttr(ctx, w, Attr{Mode: 0o2710&^0o2000 | fs.ModeSetgid}); err != nil {
			t.Error(err)
		}
		fi, err := os.Stat(filepath.Join(r.dir, rel))
		if err != nil {
			t.Fatal(err)
		}
		if !before.ModTime().Equal(when) || !fi.ModTime().Equal(when) || fi.Mode()&^fs.ModeDir != 0o710|fs.ModeSetgid {
			t.Errorf("%s: mode %v time %v", rel, fi.Mode(), fi.ModTime())
		}
	}
	if err := r.SetAttr(ctx, writable(t, r, inbox+"u.2", ClassMailboxFile), Attr{Mode: 0o600}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("attributes of nothing: %v, want fs.ErrNotExist", err)
	}
	if err := r.SetAttr(ctx, writable(t, r, inbox+"u.1", ClassMailboxFile), Attr{MTime: time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)}); err == nil {
		t.Error("a time SFTP cannot carry was set")
	}
}
