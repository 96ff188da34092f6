package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

func (p *program) man() *cli.Command {
	return &cli.Command{
		Name:        "man",
		Usage:       "print the manual page",
		Description: "  dovemend man > dovemend.1 && man ./dovemend.1",
		Action: p.verb("man", func(k *call) error {
			var page strings.Builder
			writeManual(&page, k.App)
			if _, err := io.WriteString(p.stdout, page.String()); err != nil {
				return fmt.Errorf("write manual page: %w", err)
			}
			return nil
		}),
	}
}

// roff makes a text fit for a manual page: nothing in it is taken for a command.
var roff = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n.", "\n\\&.", "\n'", "\n\\&'", "$", `\(Do`, "…", "...")

// writeManual writes the manual page, from the same texts that --help shows.
func writeManual(w *strings.Builder, app *cli.App) {
	p := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	p(`.TH DOVEMEND 1 "" "dovemend %s" "User commands"`, roff.Replace(versionText()))
	p(".SH NAME\n%s \\- %s", app.Name, roff.Replace(app.Usage))
	p(".SH SYNOPSIS\n.B dovemend\n.I verb\n[\\fIflags\\fR]")
	p(".SH DESCRIPTION\n%s", roff.Replace(manDescription))
	p(".SH VERBS")
	shared := map[string]cli.Flag{}
	var order []string
	for _, c := range app.VisibleCommands() {
		p(".SS %s\n%s.\n.PP", c.Name, roff.Replace(c.Usage))
		for _, part := range strings.Split(reflow(c.Description), "\n") {
			term, text, two := strings.Cut(strings.TrimSpace(part), "  ")
			switch {
			case strings.HasPrefix(part, "  ") && two:
				p(".TP\n.B %s\n\\&%s", roff.Replace(term), roff.Replace(strings.TrimSpace(text)))
			case strings.HasPrefix(part, "  "):
				p(".br\n%s", roff.Replace(term))
			case part == "":
				p(".PP")
			default:
				p("%s", roff.Replace(part))
			}
		}
		for _, f := range c.Flags {
			d, name := f.(cli.DocGenerationFlag), f.Names()[0]
			if name == "help" || name == "generate-bash-completion" {
				continue
			}
			if len(d.GetEnvVars()) == 0 {
				manFlag(p, f)
			} else if shared[name] == nil {
				shared[name], order = f, append(order, name)
			}
		}
	}
	p(".SH SHARED FLAGS\nWhich verb has which, its own help tells: dovemend \\fIverb\\fR \\-\\-help.")
	for _, name := range order {
		manFlag(p, shared[name])
	}
	p(".SH EXIT STATUS")
	for _, e := range manExits {
		p(".TP\n.B %s\n%s", e[0], roff.Replace(e[1]))
	}
	p(".SH ENVIRONMENT\nEach shared flag can be given as a variable, named after it. Passwords: \\fBDOVEMEND_SSH_PASSWORD\\fR, \\fBDOVEMEND_IMAP_PASSWORD\\fR. The URL of a monitor: \\fBDOVEMEND_PING\\fR.")
	p(".SH SEE ALSO\n.BR ssh (1),\n.BR ssh_config (5)")
}

// manFlag writes one flag: its name with what it takes, and what it does.
func manFlag(p func(string, ...any), f cli.Flag) {
	name, usage := flagText(f)
	flag, value, _ := strings.Cut(name, " ")
	p(".TP\n\\fB%s\\fR \\fI%s\\fR\n%s", roff.Replace(flag), roff.Replace(value), roff.Replace(usage))
}

const manDescription = `Copies the mailbox first, shows what is wrong and what each remedy would cost, changes nothing without being told to, ` +
	`and can take every change back. Needs only an SSH login.
Start with "dovemend demo", which shows the whole repair on an embedded, broken host, or with "dovemend wizard", which asks for ` +
	`everything it has to know.`

var manExits = [][2]string{
	{"0", "done and verified"}, {"1", "error"}, {"2", "usage: a flag, a name or a path cannot be meant"},
	{"3", "findings, or a plan that was not applied"}, {"4", "refused by the guard, or because data would be lost"},
	{"5", "login or host key"}, {"6", "stopped midway; the journal is kept: resume or undo"},
	{"7", "applied, but verification found something missing"}, {"130", "interrupted"},
}
