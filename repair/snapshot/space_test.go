package snapshot

import (
	"context"
	"errors"
	"io/fs"
	"runtime"
	"syscall"
	"testing"
)

func TestFullDiskIsNoSpaceError(t *testing.T) {
	full := syscall.ENOSPC
	if runtime.GOOS == "windows" {
		full = syscall.Errno(112)
	}
	var space *NoSpaceError
	var mine *localError
	err := local(&fs.PathError{Op: "write", Path: "x", Err: full})
	if !errors.As(err, &space) || !errors.As(err, &mine) || !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	if err := local(&fs.PathError{Op: "write", Path: "x", Err: syscall.EIO}); errors.As(err, &space) {
		t.Errorf("%v", err)
	}
	if local(nil) != nil {
		t.Error("an error out of nothing")
	}
}

func TestTooLittleSpaceStopsBeforeTheFirstDownload(t *testing.T) {
	h := newHost("a", "b")
	h.nodes["a"].Size = 1 << 60
	_, err := Take(context.Background(), h, newDir(t), Options{})
	var space *NoSpaceError
	if !errors.As(err, &space) || len(h.opened) != 0 {
		t.Errorf("%v after %d downloads", err, len(h.opened))
	}
}
