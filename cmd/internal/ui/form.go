package ui

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/huh/v2"
	"golang.org/x/term"
)

// formHeight is how many lines a question may take, so that it stands whole in a terminal of so many lines with some of
// what was said before; no fewer than leave a list to choose from.
func formHeight(lines int) int { return min(max(lines-4, 9), 40) }

// Form is the [Prompter] at a terminal: huh forms, or in accessible mode plain lines.
type Form struct {
	Terminal *Terminal
	Hold     func() (resume func()) // called around each question, to take the progress bar away; may be nil
}

var _ Prompter = (*Form)(nil)

// NewPrompter gives the prompter that fits the terminal.
func NewPrompter(t *Terminal, hold func() func()) Prompter {
	if !t.CanAsk() {
		return Nobody{}
	}
	return &Form{Terminal: t, Hold: hold}
}

// Select implements [Prompter].
func (f *Form) Select(ctx context.Context, q Question, choices []Choice, preset int) (int, error) {
	if len(choices) == 0 {
		return 0, fmt.Errorf("ask %q: no answers to choose from", q.Title)
	}
	width := Width(f.Terminal.Out) - 6
	options := make([]huh.Option[int], len(choices))
	for i, c := range choices {
		label := Safe(c.Label)
		if c.Hint != "" {
			label += " – " + Safe(c.Hint)
		}
		if !f.Terminal.Accessible {
			label = clip(label, width)
		}
		options[i] = huh.NewOption(label, i)
	}
	chosen := min(max(preset, 0), len(choices)-1)
	field := huh.NewSelect[int]().Title(title(q)).Options(options...).Value(&chosen)
	if !f.Terminal.Accessible {
		field.Description(wrap(safeLines(q.Help), width))
	}
	if room := formHeight(height(f.Terminal.Out)) - 2 - strings.Count(wrap(q.Help, width), "\n"); len(choices)+2 > room {
		field.Height(max(room, 6))
	}
	if f.Terminal.Accessible {
		q.Help = strings.TrimLeft(q.Help+fmt.Sprintf("\nThe enter key alone takes %d: %s.", chosen+1, Safe(choices[chosen].Label)), "\n")
	}
	if err := f.run(ctx, q, field); err != nil {
		return 0, err
	}
	f.record(q, choices[chosen].Label)
	return chosen, nil
}

// Confirm implements [Prompter]. It is a choice of two lines, because huh's buttons differ by colour alone.
func (f *Form) Confirm(ctx context.Context, q Question) (bool, error) {
	if f.Terminal.Accessible {
		var yes bool
		err := f.run(ctx, q, huh.NewConfirm().Title(title(q)).Value(&yes))
		return yes && err == nil, err
	}
	n, err := f.Select(ctx, q, []Choice{{Label: "No"}, {Label: "Yes"}}, 0)
	return n == 1 && err == nil, err
}

// TypeName implements [Prompter].
func (f *Form) TypeName(ctx context.Context, q Question, name string) (bool, error) {
	accepted := []string{name, Safe(name), strings.TrimSpace(name)}
	var typed string
	field := huh.NewInput().Title(title(q)).Value(&typed).Validate(func(s string) error {
		if s == "" || slices.Contains(accepted, s) || slices.Contains(accepted, strings.TrimSpace(s)) {
			return nil
		}
		return fmt.Errorf("that is not %s; type it exactly, or leave it empty to change nothing", Safe(name))
	})
	if err := f.run(ctx, q, field); err != nil {
		return false, err
	}
	f.record(q, typed)
	return typed != "", nil
}

// Secret implements [Prompter].
func (f *Form) Secret(ctx context.Context, q Question) (string, error) {
	var secret string
	err := f.run(ctx, q, huh.NewInput().Title(title(q)).EchoMode(huh.EchoModeNone).Value(&secret))
	return secret, err
}

// Line implements [Prompter].
func (f *Form) Line(ctx context.Context, q Question, check func(string) error) (string, error) {
	var line string
	field := huh.NewInput().Title(title(q)).Value(&line)
	if check != nil {
		field.Validate(func(s string) error { return check(strings.TrimSpace(s)) })
	}
	if err := f.run(ctx, q, field); err != nil {
		return "", err
	}
	line = strings.TrimSpace(line)
	f.record(q, line)
	return line, nil
}

func title(q Question) string { return Safe(q.Title) }

// record leaves question and answer in the scrollback, because a form disappears when it is answered.
func (f *Form) record(q Question, answer string) {
	if !f.Terminal.Accessible {
		Say(f.Terminal.Out, "%s %s", title(q), Safe(answer))
	}
}

// run puts one field before the person, in whichever mode, and turns every way of leaving it into an error.
func (f *Form) run(ctx context.Context, q Question, field huh.Field) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if f.Hold != nil {
		defer f.Hold()()
	}
	fmt.Fprintln(f.Terminal.Out) // what is asked stands apart from what was said
	if f.Terminal.Accessible {
		return f.runPlain(ctx, q, field)
	}
	group := huh.NewGroup(field)
	env := os.Environ()
	theme := huh.ThemeFunc(huh.ThemeBase16)
	if !f.Terminal.Colour {
		env, theme = append(env, "NO_COLOR=1"), huh.ThemeBase
	}
	keyboard, err := newKeyboard(f.Terminal.In)
	if err != nil {
		return err
	}
	defer keyboard.end()
	form := huh.NewForm(group).WithTheme(theme).WithKeyMap(keys()).WithWidth(Width(f.Terminal.Out)).
		WithProgramOptions(tea.WithInput(keyboard), tea.WithOutput(newScreen(f.Terminal.Out)), tea.WithEnvironment(env),
			tea.WithoutSignalHandler())
	err = form.RunWithContext(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, huh.ErrUserAborted) {
		return ErrAborted
	}
	if err != nil {
		return fmt.Errorf("ask %q: %w", q.Title, err)
	}
	return nil
}

// keys is huh's map of keys with escape leaving a question as ctrl-C does.
func keys() *huh.KeyMap {
	k := huh.NewDefaultKeyMap()
	k.Quit.SetKeys("ctrl+c", "ctrl+d", "esc")
	k.Select.Filter.SetEnabled(false)
	k.Select.HalfPageDown.SetKeys("pgdown")
	k.Select.HalfPageUp.SetKeys("pgup", "ctrl+u")
	return k
}

// saved keeps the terminal's state, so that an abandoned question for a secret does not leave the echo off.
func saved(t *os.File) (restore func()) {
	state, err := term.GetState(int(t.Fd()))
	if err != nil {
		return func() {}
	}
	return func() { _ = term.Restore(int(t.Fd()), state) }
}
