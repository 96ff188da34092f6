//go:build unix

package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func fillInbox(t *testing.T, r *Root, n int) []string {
	t.Helper()
	rels := make([]string, n)
	for i := range rels {
		rels[i] = fmt.Sprintf("%su.%d", inbox, i+1)
		writeFile(t, r, rels[i], "x")
	}
	return rels
}

// TestRemoveEachIsPipelined clears thousands of files over a line of 40 ms, where one after the other would take minutes.
func TestRemoveEachIsPipelined(t *testing.T) {
	const n = 2000
	r := mailRoot(t, sftpOptions{delay: 40 * time.Millisecond})
	ctx := context.Background()
	rels := fillInbox(t, r, n)
	writeFile(t, r, inbox+"dovecot.index", "stays")
	start := time.Now()
	paths := make([]GuardedPath, n)
	err := r.GuardEach(ctx, rels, ClassMailboxFile, func(i int, p GuardedPath, err error) {
		if err != nil {
			t.Error(err)
		}
		paths[i] = p
	})
	if err != nil {
		t.Fatal(err)
	}
	guardTime := time.Since(start)
	gone := 0
	if err := r.RemoveEach(ctx, paths, func(i int, err error) {
		if err == nil {
			gone++
		}
	}); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	t.Logf("%d files at 40 ms: guarded in %v, guarded again and removed in %v", n, guardTime, took-guardTime)
	if gone != n {
		t.Errorf("%d reported gone, want %d", gone, n)
	}
	if took > 60*time.Second {
		t.Errorf("took %v", took)
	}
	left, err := os.ReadDir(filepath.Join(r.dir, inbox))
	if err != nil || len(left) != 1 {
		t.Errorf("left %v %v, want dovecot.index alone", left, err)
	}
}

func TestGuardEachJudgesEachByItself(t *testing.T) {
	r := mailRoot(t, sftpOptions{})
	fillInbox(t, r, 2)
	os.Symlink("/etc/passwd", filepath.Join(r.dir, inbox+"u.7"))
	rels := []string{inbox + "u.1", inbox + "u.7", inbox + "u.9", "../x", inbox + "u.2", "mailboxes/Nowhere/dbox-Mails/u.1"}
	want := []string{"", ruleSymlink, "missing", ruleClean, "", "missing"}
	got := make([]string, len(rels))
	calls := 0
	err := r.GuardEach(context.Background(), rels, ClassMailboxFile, func(i int, p GuardedPath, err error) {
		calls++
		got[i] = ruleOf(err)
		if (p == GuardedPath{}) != (err != nil) {
			t.Errorf("%s: path %v with error %v", rels[i], p, err)
		}
	})
	if err != nil || calls != len(rels) || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%d calls, %q %v, want %q", calls, got, err, want)
	}
	err = r.GuardWriteEach(context.Background(), []string{inbox + "u.9", inbox + "u.7"}, ClassMailboxFile, func(i int, p WritablePath, err error) {
		if rule := ruleOf(err); rule != []string{"", ruleSymlink}[i] {
			t.Errorf("write %d: %v", i, err)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRemoveEachStopsAtTheFirstError(t *testing.T) {
	r := mailRoot(t, sftpOptions{})
	rels := fillInbox(t, r, 3*inFlight)
	var paths []GuardedPath
	for _, rel := range rels {
		paths = append(paths, guarded(t, r, rel, ClassMailboxFile))
	}
	os.Remove(filepath.Join(r.dir, rels[0]))
	begun := 0
	err := r.RemoveEach(context.Background(), paths, func(int, error) { begun++ })
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want fs.ErrNotExist", err)
	}
	if begun == len(paths) {
		t.Error("all were begun in spite of the error")
	}
	left, _ := os.ReadDir(filepath.Join(r.dir, inbox))
	if len(paths)-begun != len(left) {
		t.Errorf("%d left, but %d of %d begun", len(left), begun, len(paths))
	}
}

func TestRenameEachMovesAll(t *testing.T) {
	r := mailRoot(t, sftpOptions{})
	ctx := context.Background()
	rels := fillInbox(t, r, 300)
	if err := r.Mkdir(ctx, writable(t, r, "dovemend-aside", ClassAside), Attr{}); err != nil {
		t.Fatal(err)
	}
	var moves []Move
	for i, rel := range rels {
		moves = append(moves, Move{writable(t, r, rel, ClassMailboxFile), writable(t, r, fmt.Sprintf("dovemend-aside/%d", i), ClassAside)})
	}
	if err := r.RenameEach(ctx, moves, func(_ int, err error) {
		if err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	moved, _ := os.ReadDir(filepath.Join(r.dir, "dovemend-aside"))
	left, _ := os.ReadDir(filepath.Join(r.dir, inbox))
	if len(moved) != 300 || len(left) != 0 {
		t.Errorf("%d moved, %d left", len(moved), len(left))
	}
}

// TestSharedViewForgets: a directory that turns into a link during a long batch is noticed.
func TestSharedViewForgets(t *testing.T) {
	r := mailRoot(t, sftpOptions{})
	ctx := context.Background()
	fillInbox(t, r, 1)
	view := newSharedView(r.view)
	if _, err := r.check(ctx, view, inbox+"u.1", ClassMailboxFile, true); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(r.dir, "mailboxes/INBOX")
	if err := os.Rename(dir, dir+"2"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("INBOX2", dir); err != nil {
		t.Fatal(err)
	}
	time.Sleep(sharedFor + 10*time.Millisecond)
	if _, err := r.check(ctx, view, inbox+"u.1", ClassMailboxFile, true); ruleOf(err) != ruleSymlink {
		t.Errorf("after %v: %v, want rule %s", sharedFor, err, ruleSymlink)
	}
}

func TestEachEndsWithContext(t *testing.T) {
	r := mailRoot(t, sftpOptions{delay: 200 * time.Millisecond})
	rels := fillInbox(t, r, 1000)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := r.GuardEach(ctx, rels, ClassMailboxFile, func(int, GuardedPath, error) {})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}
