package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"dovemend/cmd/internal/ui"
)

// helpWidth is how wide help is: one column less than the narrowest terminal it is made for.
const helpWidth = 79

const helpHead = `dovemend - repair a broken Dovecot mailbox on a shared host, over SSH

Usage:  dovemend VERB [flags]

Copies the mailbox first, shows what is wrong and what each remedy would cost,
changes nothing without being told to, and can take every change back. Needs
only an SSH login.

Start with:  dovemend demo     the whole repair on an embedded, broken host
or with:     dovemend wizard   asks for everything it has to know

Verbs:
`

const helpTail = `
"dovemend VERB --help" tells a verb's flags. Those it shares with others can be
given as environment variables too. Without --apply, repair and restore change
nothing.

Exit codes: 0 done and verified; 1 error; 2 usage; 3 findings, or a plan not
applied; 4 refused by the guard or because data would be lost; 5 login or host
key; 6 stopped midway (resume or undo); 7 applied, but something is missing;
130 interrupted.
`

func init() {
	plain := cli.HelpPrinterCustom
	cli.HelpPrinter = func(w io.Writer, text string, data any) {
		switch d := data.(type) {
		case *cli.App:
			printAppHelp(w, d)
		case *cli.Command:
			if d.HelpName == d.Name || len(d.Subcommands) > 0 && d.Name == "dovemend" {
				plain(w, text, data, nil)
				return
			}
			printVerbHelp(w, d)
		default:
			plain(w, text, data, nil)
		}
	}
}

func printAppHelp(w io.Writer, app *cli.App) {
	fmt.Fprint(w, helpHead)
	for _, c := range app.VisibleCommands() {
		fmt.Fprintf(w, "  %-12s%s\n", c.Name, strings.ReplaceAll(ui.Wrap(c.Usage, helpWidth-14), "\n", "\n              "))
	}
	fmt.Fprint(w, helpTail)
}

// printVerbHelp writes a verb's help: what it does, then its flags in the order they are declared, by what they concern.
func printVerbHelp(w io.Writer, c *cli.Command) {
	fmt.Fprintln(w, ui.Wrap(c.HelpName+" - "+c.Usage, helpWidth))
	usage := c.HelpName
	if len(c.Flags) > 1 {
		usage += " [flags]"
	}
	if len(c.Subcommands) > 0 {
		usage += " SHELL"
	}
	fmt.Fprintf(w, "\nUsage:  %s\n", usage)
	if c.Description != "" {
		fmt.Fprintf(w, "\n%s\n", ui.Wrap(reflow(c.Description), helpWidth))
	}
	var groups []string
	flags := map[string][]string{}
	for _, f := range c.Flags {
		if slices.Contains(f.Names(), "generate-bash-completion") {
			continue
		}
		group := "Flags"
		if in, ok := f.(cli.CategorizableFlag); ok && in.GetCategory() != "" {
			group = in.GetCategory()
		}
		if slices.Contains(f.Names(), "help") {
			group = "Output"
			if len(groups) == 0 {
				group = "Flags"
			}
		}
		if !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
		flags[group] = append(flags[group], flagHelp(f))
	}
	for _, g := range groups {
		fmt.Fprintf(w, "\n%s:\n%s", g, strings.Join(flags[g], ""))
	}
}

// flagHelp is one flag: its name with what it takes, and beneath it what it does.
func flagHelp(f cli.Flag) string {
	const indent = "        "
	name, usage := flagText(f)
	return "  " + name + "\n" + ui.Wrap(indent+usage, helpWidth) + "\n"
}

// flagText gives a flag's name with what it takes, and what it does with its default and its variable.
func flagText(f cli.Flag) (name, usage string) {
	name = "--" + f.Names()[0]
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return name, ""
	}
	usage = d.GetUsage()
	if before, rest, ok := strings.Cut(usage, "`"); ok {
		if value, after, ok := strings.Cut(rest, "`"); ok {
			name += " " + value
			usage = strings.TrimSpace(before + after)
			if before != "" {
				usage = before + value + after
			}
		}
	}
	if v := d.GetDefaultText(); v != "" && d.TakesValue() && d.GetValue() != "" && d.GetValue() != "[]" {
		usage += " (default: " + strings.Trim(v, `"`) + ")"
	}
	if e := d.GetEnvVars(); len(e) > 0 {
		usage += " [$" + e[0] + "]"
	}
	return name, usage
}

// reflow joins the lines of each paragraph; indented lines stay as they are.
func reflow(s string) string {
	var out []string
	open := false
	for _, line := range strings.Split(s, "\n") {
		if open && line != "" && !strings.HasPrefix(line, " ") {
			out[len(out)-1] += " " + line
			continue
		}
		out = append(out, line)
		open = line != "" && !strings.HasPrefix(line, " ")
	}
	return strings.Join(out, "\n")
}
