package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"charm.land/huh/v2"
)

// watched is the terminal's input; it remembers that the person has closed it, which huh takes for an empty answer.
type watched struct {
	*os.File
	closed *atomic.Bool
}

func (w watched) Read(p []byte) (int, error) {
	n, err := w.File.Read(p)
	if n == 0 && errors.Is(err, io.EOF) {
		w.closed.Store(true)
	}
	return n, err
}

// runPlain asks in accessible mode: lines only, nothing redrawn. Reading a line cannot be interrupted, so where the
// context ends first the reader is left behind; the program is about to end then.
func (f *Form) runPlain(ctx context.Context, q Question, field huh.Field) error {
	if q.Help != "" {
		fmt.Fprintln(f.Terminal.Out, wrap(safeLines(q.Help), Width(f.Terminal.Out)-1))
	}
	restore := saved(f.Terminal.In)
	defer restore()
	field.Init()
	field.Focus()
	field.WithTheme(huh.ThemeFunc(plainTheme))
	in := watched{f.Terminal.In, new(atomic.Bool)}
	done := make(chan error, 1)
	go func() { done <- field.RunAccessible(f.Terminal.Out, in) }()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-done:
		if in.closed.Load() || errors.Is(err, io.EOF) {
			fmt.Fprintln(f.Terminal.Out)
			return ErrAborted
		}
		if err != nil {
			return fmt.Errorf("ask %q: %w", q.Title, err)
		}
		return nil
	}
}

// plainTheme is huh's base theme with no style at all, for accessible mode.
func plainTheme(bool) *huh.Styles { return new(huh.Styles) }
