//go:build !windows

package remote

import (
	"testing"
	"time"
)

func TestOneSessionIsOpenedAhead(t *testing.T) {
	f := startFake(t, &fakeHost{shell: []string{"/bin/sh", "-c"}})
	h := dial(t, f.config(t))
	// The look around, SFTP, and the one that waits.
	waitFor(t, func() bool { return f.sessions.Load() == 3 })
	for n := range int32(4) {
		if out, err := h.run(t.Context(), "echo here", nil); err != nil || string(out) != "here\n" {
			t.Fatalf("%q, %v", out, err)
		}
		waitFor(t, func() bool { return f.sessions.Load() == n+4 })
	}
}

// TestHostThatClosesUnusedSessions: what was opened ahead is of no use then, and is not opened again.
func TestHostThatClosesUnusedSessions(t *testing.T) {
	f := startFake(t, &fakeHost{shell: []string{"/bin/sh", "-c"}, hasty: 100 * time.Millisecond})
	h := dial(t, f.config(t))
	time.Sleep(300 * time.Millisecond)
	before := f.sessions.Load()
	for range 3 {
		if out, err := h.run(t.Context(), "echo here", nil); err != nil || string(out) != "here\n" {
			t.Fatalf("%q, %v", out, err)
		}
		time.Sleep(300 * time.Millisecond)
	}
	if n := f.sessions.Load() - before; n > 4 { // one each, and one that was opened ahead when it was not yet known
		t.Errorf("%d sessions for three commands", n)
	}
	if _, err := h.FS(t.Context()).ReadDir("etc"); err != nil {
		t.Error(err)
	}
}
