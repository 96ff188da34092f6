package ui

import (
	"context"
	"errors"
	"fmt"
)

// ErrNoTerminal: a question had to be asked and nobody can answer it.
var ErrNoTerminal = errors.New("no terminal to ask at")

// ErrAborted: the person left a question with ctrl-C, ctrl-D or escape.
var ErrAborted = errors.New("stopped at a question")

// Question is what is asked.
type Question struct {
	Title string // the question itself, one line
	Help  string // what the answers lead to; may have several lines, may be empty
	Flag  string // the flag that answers it without a terminal: "--account user@domain"
}

// Choice is one answer to choose from.
type Choice struct {
	Label string // one line
	Hint  string // more about it, one line, may be empty
}

// Prompter asks the person at the terminal. Every method gives [ErrAborted] where the person leaves, an error that is
// [ErrNoTerminal] where nobody is there, and the context's error where that ends first.
type Prompter interface {
	// Select gives the number of the chosen one; preset is the one that stands there at first.
	Select(ctx context.Context, q Question, choices []Choice, preset int) (int, error)
	// Confirm asks a question whose preset answer is no.
	Confirm(ctx context.Context, q Question) (bool, error)
	// TypeName asks to type a mailbox's name; an empty answer is no.
	TypeName(ctx context.Context, q Question, name string) (bool, error)
	// Secret asks for something that must not be shown.
	Secret(ctx context.Context, q Question) (string, error)
	// Line asks for one line that check accepts; check may be nil.
	Line(ctx context.Context, q Question, check func(string) error) (string, error)
}

// NoTerminalError names the question that could not be asked. It is [ErrNoTerminal].
type NoTerminalError struct{ Question Question }

func (e *NoTerminalError) Error() string {
	s := fmt.Sprintf("%v: %q", ErrNoTerminal, e.Question.Title)
	if e.Question.Flag != "" {
		s += "; answer it with " + e.Question.Flag
	}
	return s
}

// Unwrap gives [ErrNoTerminal].
func (e *NoTerminalError) Unwrap() error { return ErrNoTerminal }

// Nobody is the [Prompter] of a program without a terminal: every question fails, naming the flag that answers it.
type Nobody struct{}

var _ Prompter = Nobody{}

func (Nobody) Select(_ context.Context, q Question, _ []Choice, _ int) (int, error) {
	return 0, &NoTerminalError{q}
}

func (Nobody) Confirm(_ context.Context, q Question) (bool, error) { return false, &NoTerminalError{q} }

func (Nobody) TypeName(_ context.Context, q Question, _ string) (bool, error) {
	return false, &NoTerminalError{q}
}

func (Nobody) Secret(_ context.Context, q Question) (string, error) { return "", &NoTerminalError{q} }

func (Nobody) Line(_ context.Context, q Question, _ func(string) error) (string, error) {
	return "", &NoTerminalError{q}
}
