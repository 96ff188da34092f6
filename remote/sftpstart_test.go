//go:build !windows

package remote

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"
)

// TestAnSFTPServerThatNeverSaysAWordIsNotWaitedForForEver has a host that takes the request for SFTP and then is silent, as one does
// whose home directories lie on a file system that hangs.
func TestAnSFTPServerThatNeverSaysAWordIsNotWaitedForForEver(t *testing.T) {
	for name, shell := range map[string][]string{"without a shell": nil, "with a shell": {"/bin/sh", "-c"}} {
		t.Run(name, func(t *testing.T) {
			f := startFake(t, &fakeHost{shell: shell, sftp: func(ch io.ReadWriteCloser) { io.Copy(io.Discard, ch) }})
			c := f.config(t)
			c.sftpTimeout = 100 * time.Millisecond
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			h, err := Dial(ctx, c)
			if err == nil {
				h.Close()
				t.Fatal("connected")
			}
			if ctx.Err() != nil || !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ErrNoSFTP) {
				t.Errorf("got %v", err)
			}
			wantContains(t, err.Error(), "start SFTP", "did not answer in 100ms")
		})
	}
}
