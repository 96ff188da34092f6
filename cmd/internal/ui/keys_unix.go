//go:build unix

package ui

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// keyboard is the terminal's input for one form. The form library leaves its own reader behind when a form ends, waiting
// on the terminal, and what is typed at the next question may go to it and be lost. This one stops reading when told.
//
// It has Fd, so that the library can set the terminal's mode, and no Name, so that it does not wrap it in its own.
type keyboard struct {
	file        *os.File
	fd          uintptr
	wake, waker *os.File
	reading     sync.Mutex
	ended       bool
}

// newKeyboard begins to read from a terminal; end must be called after the form.
func newKeyboard(f *os.File) (*keyboard, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("read the terminal: %w", err)
	}
	return &keyboard{file: f, fd: f.Fd(), wake: r, waker: w}, nil
}

// Read waits for a key, or for the form's end, which is io.EOF.
func (k *keyboard) Read(p []byte) (int, error) {
	k.reading.Lock()
	defer k.reading.Unlock()
	for !k.ended {
		var set unix.FdSet
		tty, wake := int(k.fd), int(k.wake.Fd())
		set.Set(tty)
		set.Set(wake)
		_, err := unix.Select(max(tty, wake)+1, &set, nil, nil, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, fmt.Errorf("wait for a key: %w", err)
		case set.IsSet(wake):
			return 0, io.EOF
		case set.IsSet(tty):
			return k.file.Read(p)
		}
	}
	return 0, io.EOF
}

// Write and Close make it what the library takes for a terminal; it does neither to its input.
func (k *keyboard) Write(p []byte) (int, error) { return k.file.Write(p) }

// Close does nothing: the terminal belongs to the program, not to one form.
func (k *keyboard) Close() error { return nil }

// Fd is the terminal's.
func (k *keyboard) Fd() uintptr { return k.fd }

// end stops the reading, and returns when nothing is read any more.
func (k *keyboard) end() {
	_, _ = k.waker.Write([]byte{0}) // an empty pipe takes one byte
	k.reading.Lock()
	defer k.reading.Unlock()
	if !k.ended {
		k.ended = true
		_ = k.waker.Close()
		_ = k.wake.Close()
	}
}
