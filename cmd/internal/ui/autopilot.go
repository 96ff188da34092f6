package ui

import (
	"context"
	"errors"
	"io"
)

// Autopilot is the [Prompter] of the demo: it shows each question and answers it as a person who follows the
// recommendation would.
type Autopilot struct{ Out io.Writer }

var _ Prompter = Autopilot{}

// Select takes what stands there at first.
func (a Autopilot) Select(ctx context.Context, q Question, choices []Choice, preset int) (int, error) {
	if preset < 0 || preset >= len(choices) {
		return 0, errors.New("ask: no answer to choose")
	}
	return preset, a.answer(ctx, q, choices[preset].Label)
}

// Confirm says yes.
func (a Autopilot) Confirm(ctx context.Context, q Question) (bool, error) {
	err := a.answer(ctx, q, "yes")
	return err == nil, err
}

// TypeName types the name.
func (a Autopilot) TypeName(ctx context.Context, q Question, name string) (bool, error) {
	err := a.answer(ctx, q, name)
	return err == nil, err
}

// Secret has none.
func (a Autopilot) Secret(ctx context.Context, q Question) (string, error) {
	return "", a.answer(ctx, q, "(nothing)")
}

// Line has nothing to say.
func (a Autopilot) Line(_ context.Context, q Question, _ func(string) error) (string, error) {
	return "", &NoTerminalError{q}
}

func (a Autopilot) answer(ctx context.Context, q Question, answer string) error {
	Say(a.Out, "\n%s", Safe(q.Title))
	if q.Help != "" {
		Say(a.Out, "  %s", q.Help)
	}
	Say(a.Out, "  the demo answers: %s", Safe(answer))
	return ctx.Err()
}
