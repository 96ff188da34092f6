//go:build linux

package remote

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// accountOf makes an account with a mailbox of three files and opens its root through a host.
func accountOf(t *testing.T, h *Host) *Root {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, inbox), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"u.1", "u.2", "u.3"} {
		if err := os.WriteFile(filepath.Join(dir, inbox, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := h.OpenRoot(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRootRefusesTheLoginsHome(t *testing.T) {
	h := dial(t, startFake(t, &fakeHost{shell: []string{"/bin/sh", "-c"}}).config(t))
	for _, dir := range []string{h.Info().Home, h.Info().HomeLink, "/", "", "mail", filepath.Dir(h.Info().Home)} {
		if _, err := h.OpenRoot(t.Context(), dir); !errors.Is(err, ErrGuard) {
			t.Errorf("open %q: %v, want a refusal", dir, err)
		}
	}
}

func TestRootNeverOutlivesItsConnection(t *testing.T) {
	f := startFake(t, &fakeHost{shell: []string{"/bin/sh", "-c"}})
	h := dial(t, f.config(t))
	r := accountOf(t, h)
	ctx := t.Context()
	if err := r.Remove(ctx, guarded(t, r, inbox+"u.1", ClassMailboxFile)); err != nil {
		t.Fatal(err)
	}
	g, w, temp := guarded(t, r, inbox+"u.2", ClassMailboxFile), writable(t, r, inbox+"u.9", ClassMailboxFile), writable(t, r, inbox+".dovemend-1", ClassTemp)
	// The line is cut in the midst of a Put.
	n := 0
	cut := readerFunc(func(p []byte) (int, error) {
		if n++; n == 40 {
			f.cut()
		}
		return len(p), nil
	})
	if err := r.Put(ctx, temp, w, cut, Attr{}); !errors.Is(err, ErrDisconnected) {
		t.Errorf("put over a cut line: %v, want ErrDisconnected", err)
	}
	if _, err := h.RealPath(ctx, "/"); err != nil { // reading work connects anew
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"Remove":     r.Remove(ctx, g),
		"RemoveEach": r.RemoveEach(ctx, []GuardedPath{g}, func(int, error) {}),
		"SetAttr":    r.SetAttr(ctx, w, Attr{Mode: 0o600}),
		"Rename":     r.Rename(ctx, temp, w),
	} {
		if !errors.Is(err, ErrDisconnected) {
			t.Errorf("%s after the connection was made anew: %v, want ErrDisconnected", name, err)
		}
	}
	again, err := h.OpenRoot(ctx, r.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Remove(ctx, g); !errors.Is(err, ErrUnguarded) {
		t.Errorf("a path of the old root on the new one: %v, want ErrUnguarded", err)
	}
	if err := again.Remove(ctx, guarded(t, again, inbox+"u.2", ClassMailboxFile)); err != nil {
		t.Error(err)
	}
}

func TestHostEndsProcesses(t *testing.T) {
	h := dial(t, startFake(t, &fakeHost{shell: []string{"/bin/sh", "-c"}}).config(t))
	p := newPretender(t)
	cmd := p.start("imap", p.title("imap"), nil, false)
	all, err := h.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var mine Process
	for _, proc := range all {
		if proc.PID == cmd.Process.Pid {
			mine = proc
		}
	}
	if mine.Account != p.tag+"@example.org" {
		t.Fatalf("not listed: %+v", all)
	}
	if hidden, err := h.ProcessesHidden(t.Context()); err != nil || hidden {
		t.Errorf("hidden %v, %v", hidden, err)
	}
	other := mine
	other.Start = strings.Replace(other.Start, "proc ", "proc 9", 1)
	if err := h.Signal(t.Context(), other, SIGKILL); !errors.Is(err, ErrProcessGone) {
		t.Errorf("signal by another start time: %v, want ErrProcessGone", err)
	}
	q, err := h.Quiesce(t.Context(), QuiesceOptions{Settle: 300 * time.Millisecond, Only: p.mine})
	if err != nil || !q.Stayed || len(q.Ended) != 1 {
		t.Errorf("%+v %v", q, err)
	}
	if alive(cmd) {
		t.Error("still alive")
	}
	if err := h.Signal(t.Context(), mine, SIGTERM); !errors.Is(err, ErrProcessGone) {
		t.Errorf("signal to what has ended: %v, want ErrProcessGone", err)
	}
}

func TestHostWithoutShellHasNoProcesses(t *testing.T) {
	h := dial(t, startFake(t, &fakeHost{}).config(t))
	ctx := context.Background()
	_, listErr := h.Processes(ctx)
	_, quietErr := h.Quiesce(ctx, QuiesceOptions{})
	for name, err := range map[string]error{
		"Processes": listErr, "Quiesce": quietErr,
		"Signal": h.Signal(ctx, Process{PID: 4711, UID: 1000, Start: "proc 1 x"}, SIGTERM),
	} {
		if !errors.Is(err, ErrNoShell) {
			t.Errorf("%s: %v, want ErrNoShell", name, err)
		}
	}
	r := accountOf(t, h) // everything else works
	if err := r.Remove(ctx, guarded(t, r, inbox+"u.1", ClassMailboxFile)); err != nil {
		t.Error(err)
	}
}
