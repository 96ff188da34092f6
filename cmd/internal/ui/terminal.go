package ui

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// Terminal is where questions are asked, if anywhere, and what it can do.
type Terminal struct {
	In, Out    *os.File // nil where there is no terminal
	Colour     bool
	Accessible bool // plain lines for screen readers and simple terminals
	opened     *os.File
}

// Wishes are what flags and environment say about the terminal.
type Wishes struct {
	NoColour   bool
	Accessible bool
	NoInput    bool // never ask, even where there is a terminal
}

// OpenTerminal finds the terminal: standard input and error where both are one, else the controlling terminal, as ssh
// does it, so that questions can be answered although the output is redirected.
func OpenTerminal(stdin io.Reader, stderr io.Writer, w Wishes) *Terminal {
	dumb := os.Getenv("TERM") == "dumb"
	t := &Terminal{
		Colour:     !w.NoColour && os.Getenv("NO_COLOR") == "" && !dumb,
		Accessible: w.Accessible || dumb,
	}
	if w.NoInput {
		return t
	}
	in, ok1 := stdin.(*os.File)
	out, ok2 := stderr.(*os.File)
	if ok1 && ok2 && isTerminal(in) && isTerminal(out) {
		t.In, t.Out = in, out
		return t
	}
	if f := controllingTerminal(); f != nil {
		t.In, t.Out, t.opened = f, f, f
	}
	return t
}

// Close gives back what OpenTerminal opened.
func (t *Terminal) Close() error {
	if t.opened == nil {
		return nil
	}
	f := t.opened
	t.opened, t.In, t.Out = nil, nil, nil
	return f.Close()
}

// CanAsk tells whether somebody can be asked.
func (t *Terminal) CanAsk() bool { return t.In != nil && t.Out != nil }

// isTerminal tells whether w is a terminal.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && f != nil && term.IsTerminal(int(f.Fd()))
}

// Width gives the columns of the terminal w, or what COLUMNS says, or 80; never less than 40 nor more than 120.
func Width(w any) int {
	width := 0
	if f, ok := w.(*os.File); ok && f != nil {
		if c, _, err := term.GetSize(int(f.Fd())); err == nil {
			width = c
		}
	}
	if width <= 0 {
		width, _ = strconv.Atoi(os.Getenv("COLUMNS"))
	}
	if width <= 0 {
		width = 80
	}
	return min(max(width, 40), 120)
}

// height gives the lines of the terminal w, or 24.
func height(w any) int {
	if f, ok := w.(*os.File); ok && f != nil {
		if _, lines, err := term.GetSize(int(f.Fd())); err == nil && lines > 0 {
			return lines
		}
	}
	return 24
}

// Remember gives a function that puts the terminal back as it is now, for an end in the middle of a question.
func (t *Terminal) Remember() (restore func()) {
	if t.In == nil {
		return func() {}
	}
	return saved(t.In)
}
