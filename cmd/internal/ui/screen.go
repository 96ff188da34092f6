package ui

import "os"

// screen is the terminal's output for one form. The form library may still ask for its size when the form has ended, from
// a goroutine nobody waits for; so its number is kept here, and closing the file meanwhile does no harm.
type screen struct {
	file *os.File
	fd   uintptr
}

func newScreen(f *os.File) *screen { return &screen{f, f.Fd()} }

// Write writes to the terminal.
func (s *screen) Write(p []byte) (int, error) { return s.file.Write(p) }

// Read and Close make it what the library takes for a terminal.
func (s *screen) Read(p []byte) (int, error) { return s.file.Read(p) }

// Close does nothing: the terminal belongs to the program, not to one form.
func (s *screen) Close() error { return nil }

// Fd is the terminal's.
func (s *screen) Fd() uintptr { return s.fd }
