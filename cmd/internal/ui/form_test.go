//go:build unix

package ui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// person is somebody at a terminal of 80 by 24.
type person struct {
	t        *testing.T
	terminal *os.File // the person's side
	program  *os.File // the program's side

	mu   sync.Mutex
	seen bytes.Buffer
	past int // how much of seen was waited for already
}

func newPerson(t *testing.T) *person {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Skipf("no terminal: %v", err)
	}
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, terminal: master, program: slave}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			p.mu.Lock()
			p.seen.Write(b[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { slave.Close(); master.Close() })
	return p
}

// sees waits until the text stands on the screen.
func (p *person) sees(text string) {
	for range 1500 {
		p.mu.Lock()
		s := p.seen.String()
		i := strings.Index(s[p.past:], text)
		if i >= 0 {
			p.past += i + len(text)
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
	p.t.Errorf("%q never came; on the screen: %q", text, p.screen())
}

func (p *person) types(s string) {
	if _, err := p.terminal.WriteString(s); err != nil {
		p.t.Error(err)
	}
}

// state is the mode of the program's side, by its descriptor.
func (p *person) state(fd int) term.State {
	s, err := term.GetState(fd)
	if err != nil {
		p.t.Error(err)
		return term.State{}
	}
	return *s
}

func (p *person) screen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.String()
}

func (p *person) form(accessible bool) *Form {
	return &Form{Terminal: &Terminal{In: p.program, Out: p.program, Accessible: accessible}}
}

// soon is a context that ends before a question that nobody answers would hold up the tests.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// both runs a test in both modes.
func both(t *testing.T, test func(t *testing.T, p *person, f *Form, plain bool)) {
	for _, plain := range []bool{true, false} {
		t.Run(map[bool]string{true: "accessible", false: "form"}[plain], func(t *testing.T) {
			p := newPerson(t)
			test(t, p, p.form(plain), plain)
		})
	}
}

func TestSelectGivesWhatWasChosen(t *testing.T) {
	both(t, func(t *testing.T, p *person, f *Form, plain bool) {
		go func() {
			p.sees("Which account?")
			p.sees("carol")
			p.types(map[bool]string{true: "3\n", false: "\x1b[B\x1b[B\r"}[plain])
		}()
		n, err := f.Select(soon(t), Question{Title: "Which account?", Help: "They are all here."},
			[]Choice{{Label: "alice"}, {Label: "bob"}, {Label: "carol"}}, 0)
		if n != 2 || err != nil {
			t.Errorf("got %d, %v; want 2", n, err)
		}
	})
}

func TestSelectShowsNoControlCharacterOfTheHost(t *testing.T) {
	p := newPerson(t)
	go func() { p.sees("Which"); p.sees("2."); p.types("1\n") }()
	_, err := p.form(true).Select(soon(t), Question{Title: "Which\x1b[31m?"}, []Choice{{Label: "a\x1b]0;x\x07"}, {Label: "b"}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if s := p.screen(); strings.ContainsAny(s, "\x1b\x07") {
		t.Errorf("a control character reached the terminal: %q", s)
	}
}

func TestConfirmIsNoUnlessYes(t *testing.T) {
	for _, c := range []struct {
		plain, form string
		want        bool
	}{{"\n", "\r", false}, {"n\n", "\x1b[B\x1b[A\r", false}, {"y\n", "\x1b[B\r", true}} {
		both(t, func(t *testing.T, p *person, f *Form, plain bool) {
			go func() {
				p.sees("Do it?")
				p.sees(map[bool]string{true: "[y/N]", false: "Yes"}[plain])
				p.types(map[bool]string{true: c.plain, false: c.form}[plain])
			}()
			got, err := f.Confirm(soon(t), Question{Title: "Do it?", Help: "Yes does it."})
			if got != c.want || err != nil {
				t.Errorf("%q: got %v, %v; want %v", c.plain, got, err, c.want)
			}
		})
	}
}

func TestTypeNameTakesNothingButTheName(t *testing.T) {
	both(t, func(t *testing.T, p *person, f *Form, plain bool) {
		enter := map[bool]string{true: "\n", false: "\r"}[plain]
		go func() {
			p.sees("Type it:")
			p.types("inbox" + enter)
			p.sees("that is not INBOX")
			if !plain {
				p.types("\x15") // empties the line
			}
			p.types("INBOX" + enter)
		}()
		if yes, err := f.TypeName(soon(t), Question{Title: "Type it:"}, "INBOX"); !yes || err != nil {
			t.Errorf("the name: got %v, %v; want yes", yes, err)
		}
		go func() { p.sees("Again:"); p.types(enter) }()
		if yes, err := f.TypeName(soon(t), Question{Title: "Again:"}, "INBOX"); yes || err != nil {
			t.Errorf("nothing: got %v, %v; want no", yes, err)
		}
	})
}

func TestSecretIsNotShown(t *testing.T) {
	both(t, func(t *testing.T, p *person, f *Form, plain bool) {
		fd := int(p.program.Fd())
		before := p.state(fd)
		go func() {
			p.sees("Password:")
			for range 1500 { // the echo goes off after the question is shown
				if p.state(fd) != before {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			p.types("s3cret" + map[bool]string{true: "\n", false: "\r"}[plain])
		}()
		got, err := f.Secret(soon(t), Question{Title: "Password:"})
		if got != "s3cret" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		if strings.Contains(p.screen(), "s3c") {
			t.Errorf("the secret is on the screen: %q", p.screen())
		}
	})
}

func TestLeavingAQuestionIsAnError(t *testing.T) {
	t.Run("accessible, ctrl-D", func(t *testing.T) {
		p := newPerson(t)
		go func() { p.sees("Sure?"); p.types("\x04") }()
		if yes, err := p.form(true).Confirm(soon(t), Question{Title: "Sure?"}); yes || !errors.Is(err, ErrAborted) {
			t.Errorf("got %v, %v", yes, err)
		}
	})
	for name, key := range map[string]string{"form, ctrl-C": "\x03", "form, escape": "\x1b"} {
		t.Run(name, func(t *testing.T) {
			p := newPerson(t)
			go func() { p.sees("Sure?"); p.sees("Yes"); p.types(key) }()
			if yes, err := p.form(false).Confirm(soon(t), Question{Title: "Sure?"}); yes || !errors.Is(err, ErrAborted) {
				t.Errorf("got %v, %v", yes, err)
			}
		})
	}
	both(t, func(t *testing.T, p *person, f *Form, plain bool) {
		ctx, cancel := context.WithCancel(soon(t))
		go func() { p.sees("Sure?"); cancel() }()
		if yes, err := f.Confirm(ctx, Question{Title: "Sure?"}); yes || !errors.Is(err, context.Canceled) {
			t.Errorf("after the context's end: got %v, %v", yes, err)
		}
	})
}

func TestFormsWithoutColourSendNone(t *testing.T) {
	p := newPerson(t)
	go func() { p.sees("Sure?"); p.sees("Yes"); p.types("\r") }()
	if _, err := p.form(false).Confirm(soon(t), Question{Title: "Sure?"}); err != nil {
		t.Fatal(err)
	}
	for _, colour := range []string{"\x1b[3", "\x1b[9", "\x1b[38;", "\x1b[4"} {
		for rest := p.screen(); ; {
			i := strings.Index(rest, colour)
			if i < 0 {
				break
			}
			rest = rest[i+2:]
			if end := strings.IndexFunc(rest, func(r rune) bool { return r != ';' && (r < '0' || r > '9') }); end >= 0 && rest[end] == 'm' {
				t.Fatalf("a colour was sent: %q in %q", rest[:end+1], p.screen())
			}
		}
	}
}

func TestNobodyNamesTheFlag(t *testing.T) {
	q := Question{Title: "Which account?", Flag: "--account user@domain"}
	ask := NewPrompter(&Terminal{}, nil)
	_, e1 := ask.Select(soon(t), q, []Choice{{Label: "a"}}, 0)
	_, e2 := ask.Confirm(soon(t), q)
	_, e3 := ask.TypeName(soon(t), q, "x")
	_, e4 := ask.Secret(soon(t), q)
	_, e5 := ask.Line(soon(t), q, nil)
	for i, err := range []error{e1, e2, e3, e4, e5} {
		if !errors.Is(err, ErrNoTerminal) || !strings.Contains(err.Error(), "--account user@domain") {
			t.Errorf("question %d: %v", i, err)
		}
	}
}

// The form library's own reader outlives its form and takes what is typed at the next one.
func TestNothingTypedIsLostBetweenForms(t *testing.T) {
	p := newPerson(t)
	f := p.form(false)
	for i := range 12 {
		title := fmt.Sprintf("Question %d:", i)
		go func() { p.sees(title); p.types("ab\r") }()
		if got, err := f.Line(soon(t), Question{Title: title}, nil); got != "ab" || err != nil {
			t.Fatalf("question %d: got %q, %v", i, got, err)
		}
	}
}
