package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"dovemend/cmd/internal/ui"
	"dovemend/repair"
)

// call is one verb being done: its options, its terminal, and what it has to show at the end.
type call struct {
	*cli.Context
	p        *program
	verb     string
	opts     repair.Options
	term     *ui.Terminal
	ask      ui.Prompter
	progress *ui.Progress
	json     bool
	after    []func() error // done when the connection is closed
	quiet    bool
	session  session
	job      job
	overIMAP bool     // the run is one that works over IMAP alone
	acted    bool     // a change of the host was begun
	doc      document // what --json prints
}

// document is the JSON of a verb; each embeds an [envelope].
type document interface{ head() *envelope }

// streamed is a document that is written while it is made; write ends it.
type streamed interface{ write() error }

// envelope is in every JSON document: how the verb ended.
type envelope struct {
	Command  string   `json:"command"`
	Exit     int      `json:"exit"`
	Error    string   `json:"error,omitempty"`
	Hint     string   `json:"hint,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

func (e *envelope) head() *envelope { return e }

func (p *program) newCall(verb string, c *cli.Context) (*call, error) {
	k := &call{Context: c, p: p, verb: verb, json: c.Bool("json"), quiet: c.Bool("quiet")}
	k.term = ui.OpenTerminal(p.stdin, p.stderr, ui.Wishes{
		NoColour: c.Bool("no-color"), Accessible: c.Bool("accessible"), NoInput: c.Bool("no-input")})
	p.stop.onExit(k.term.Remember())
	k.progress = ui.NewProgress(p.stderr, k.term.Accessible, k.quiet)
	k.ask = ui.NewPrompter(k.term, k.progress.Hold)
	if c.Bool("quiet") && c.Bool("verbose") {
		return k, &usageError{text: "--quiet and --verbose exclude each other"}
	}
	return k, k.options(c)
}

// ctx is the context of the whole program; the first ctrl-C ends it.
func (k *call) ctx() context.Context { return k.Context.Context }

// out is where results for people go: nowhere with --json.
func (k *call) out() io.Writer {
	if k.json {
		return io.Discard
	}
	return k.p.stdout
}

// say writes one result for people, wrapped.
func (k *call) say(format string, args ...any) { ui.Say(k.out(), format, args...) }

// finish closes what is open, writes the result or the error, and keeps the exit code.
func (p *program) finish(k *call, err error) error {
	k.progress.Done()
	v := judge(err, k.verb)
	k.endJob(v.code, err)
	if k.session != nil {
		if cerr := k.session.Close(); cerr != nil && err == nil && k.opts.Log != nil {
			k.opts.Log.Debug("close connection", "err", cerr)
		}
	}
	for _, f := range k.after {
		if cerr := f(); cerr != nil {
			k.progress.Warn(cerr.Error())
		}
	}
	if cerr := k.term.Close(); cerr != nil && k.opts.Log != nil {
		k.opts.Log.Debug("close terminal", "err", cerr)
	}
	p.exit, v.hint = v.code, k.complete(v.hint)
	message := ""
	if err != nil {
		message = messageOf(err)
		if v.code == exitInterrupted && !k.acted {
			message += "; nothing on the host was changed"
		}
	}
	if k.json {
		if k.doc == nil {
			k.doc = &envelope{}
		}
		h := k.doc.head()
		h.Command, h.Exit, h.Error, h.Hint, h.Warnings = k.verb, v.code, message, v.hint, k.progress.Warnings()
		if s, ok := k.doc.(streamed); ok {
			if err := s.write(); err != nil {
				p.exit = exitError
				return err
			}
			return nil
		}
		return p.writeJSON(k.doc)
	}
	p.tell(message, v)
	return nil
}

// fail reports an error from before a verb began.
func (p *program) fail(err error, asJSON bool, verb string) int {
	v := judge(err, knownVerb(p, verb))
	if asJSON {
		if werr := p.writeJSON(&envelope{Command: verb, Exit: v.code, Error: messageOf(err), Hint: v.hint}); werr != nil {
			return exitError
		}
		return v.code
	}
	p.tell(messageOf(err), v)
	return v.code
}

// tell writes an error and what to try next to standard error.
func (p *program) tell(message string, v verdict) {
	if message != "" {
		ui.SayLog(p.stderr, "dovemend: %s", message)
	}
	if v.hint != "" {
		ui.SayWhole(p.stderr, "next: %s", v.hint)
	}
}

func (p *program) writeJSON(doc any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	if _, err := p.stdout.Write(escapeUnprintable(b.Bytes())); err != nil {
		p.exit = exitError
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// escapeUnprintable escapes in a JSON text what a terminal would obey or not show: package json leaves DEL, the control
// characters from U+0080 on, and what turns the direction of writing as they are. They can only be within strings.
func escapeUnprintable(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for _, r := range string(text) {
		switch {
		case r == '\n' || r >= ' ' && r < 0x7f || printableJSON(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

func printableJSON(r rune) bool { return ui.Safe(string(r)) == string(r) }

// knownVerb gives the verb if it is one.
func knownVerb(p *program, verb string) string {
	for _, c := range p.verbs() {
		if c.Name == verb {
			return verb
		}
	}
	return ""
}
