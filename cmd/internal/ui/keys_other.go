//go:build !unix

package ui

import "os"

// keyboard is the console itself: on this system the form library's reader ends with its form.
type keyboard struct{ *os.File }

func newKeyboard(f *os.File) (*keyboard, error) { return &keyboard{f}, nil }

func (k *keyboard) end() {}
