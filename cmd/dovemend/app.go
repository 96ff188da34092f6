package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"dovemend/cmd/internal/ui"
	"dovemend/repair"
)

// program is one run of the command: its streams and what it works with.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	engine         engine
	stop           *stopper
	exit           int
	pause          time.Duration // between connections over IMAP after a hang-up; 0 the usual one, below 0 none
}

// setVersion tells package repair, once, which program it is in.
var setVersion = sync.OnceFunc(func() { repair.Version = versionText() })

// run is the whole command; it gives the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr, engine: realEngine{}}
	return p.run(args)
}

func (p *program) run(args []string) int {
	setVersion()
	dropEmptyVariables()
	ctx, stop := watchSignals(context.Background(), p.stderr)
	defer stop.close()
	p.stop = stop
	if err := p.app().RunContext(ctx, args); err != nil {
		// Only errors from before a verb's own code come here: the verb reports its own in [program.verb].
		return p.fail(err, wantsJSON(args), verbOf(args))
	}
	return p.exit
}

// app builds the command line: every verb that exists, and nothing else.
func (p *program) app() *cli.App {
	app := &cli.App{
		Name:        "dovemend",
		Usage:       "repair a broken Dovecot mailbox on a shared host, over SSH",
		Commands:    p.verbs(),
		Reader:      p.stdin,
		Writer:      p.stdout,
		ErrWriter:   p.stderr,
		HideVersion: true,
		// A mailbox's name may hold a comma.
		DisableSliceFlagSeparator: true,
		EnableBashCompletion:      true,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return unknownVerb(c.Args().First(), c.App)
			}
			return cli.ShowAppHelp(c)
		},
		OnUsageError:   onUsageError,
		ExitErrHandler: func(*cli.Context, error) {},
	}
	app.HideHelpCommand = true
	return app
}

func (p *program) verbs() []*cli.Command {
	all := []*cli.Command{
		p.wizard(), p.accounts(), p.processes(), p.backup(), p.check(), p.probe(), p.repair(), p.salvage(), p.restore(), p.runs(), p.undo(), p.resume(),
		p.watch(), p.report(), p.inspect(), p.demo(), p.completion(), p.man(), p.version(),
	}
	for _, c := range all {
		c.OnUsageError, c.HideHelpCommand = onUsageError, true
	}
	return all
}

// verb wraps what a verb does: stray arguments are refused, the flags are read, the result and the error are written,
// and the exit code is kept. It is the only place where a verb's end is decided.
func (p *program) verb(name string, do func(*call) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.Args().Present() {
			return strayArguments(name, c.Args().Slice())
		}
		k, err := p.newCall(name, c)
		if err == nil {
			err = do(k)
		}
		return p.finish(k, err)
	}
}

func onUsageError(_ *cli.Context, err error, inVerb bool) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		text = fmt.Sprintf("there is no flag --%s here", strings.TrimPrefix(name, "-"))
		if !inVerb {
			text += "; flags come after the verb"
		}
	}
	return &usageError{text: text}
}

// strayArguments refuses what is left after the flags: flag parsing ends at the first of them, so flags after it would be
// ignored in silence.
func strayArguments(verb string, args []string) error {
	shown := args
	if len(shown) > 3 {
		shown = shown[:3]
	}
	text := fmt.Sprintf("unexpected argument %q", shown[0])
	if len(args) > 1 {
		text += fmt.Sprintf(" (and %d more)", len(args)-1)
	}
	hint := ""
	switch {
	case verb == "completion":
	case verb == "undo" || verb == "resume":
		hint = fmt.Sprintf("dovemend %s --run %s", verb, ui.Quote(args[0]))
	case verb == "inspect":
		hint = fmt.Sprintf("dovemend inspect --file %s", ui.Quote(args[0]))
	case slices.Contains([]string{"repair", "backup", "check", "salvage", "restore", "wizard", "probe"}, verb):
		hint = fmt.Sprintf("dovemend %s --mailbox %s …", verb, ui.Quote(args[0]))
	}
	return &usageError{text: text, hint: hint}
}

func unknownVerb(name string, app *cli.App) error {
	var near []string
	for _, c := range app.Commands {
		if strings.HasPrefix(c.Name, name) || strings.HasPrefix(name, c.Name) || oneEdit(name, c.Name) {
			near = append(near, c.Name)
		}
	}
	e := &usageError{text: fmt.Sprintf("there is no verb %q", name)}
	if len(near) > 0 {
		e.hint = "dovemend " + near[0]
	}
	return e
}

// oneEdit tells whether a and b differ by one letter added, left out or changed, or two neighbours swapped.
func oneEdit(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	switch len(b) - len(a) {
	case 0:
		return i == len(a) || a[i+1:] == b[i+1:] || i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
	case 1:
		return a[i:] == b[i+1:]
	}
	return false
}

// wantsJSON tells whether --json was asked for, for errors from before the flags could be read.
func wantsJSON(args []string) bool {
	if v := os.Getenv("DOVEMEND_JSON"); v == "1" || v == "true" {
		return true
	}
	return slices.ContainsFunc(args, func(a string) bool { return a == "--json" || a == "-json" || a == "--json=true" })
}

func verbOf(args []string) string {
	if len(args) > 1 && !strings.HasPrefix(args[1], "-") {
		return args[1]
	}
	return ""
}
