package ui

import (
	"fmt"
	"io"
	"math"
	"regexp"
	"runtime"
	"strings"

	"github.com/mattn/go-runewidth"
)

// hanging finds what a line begins with that its continuations hang beside: spaces, and a word or number in a column.
var hanging = regexp.MustCompile(`^ *(\S+ {2,})?`)

// wrap breaks lines at spaces so that none is wider than width columns where it can be broken. Continuations stand
// under the text of their line, also where that begins in a second column.
func wrap(s string, width int) string {
	var out []string
	for _, line := range strings.Split(s, "\n") {
		out = append(out, wrapLine(line, width)...)
	}
	return strings.Join(out, "\n")
}

func wrapLine(line string, width int) []string {
	if runewidth.StringWidth(line) <= width {
		return []string{line}
	}
	lead := hanging.FindString(line)
	indent := strings.Repeat(" ", runewidth.StringWidth(lead))
	if runewidth.StringWidth(lead) > width/2 {
		lead = line[:len(line)-len(strings.TrimLeft(line, " "))]
		indent = lead
	}
	words := strings.Fields(line[len(lead):])
	if len(words) == 0 {
		return []string{""}
	}
	var out []string
	current := lead + words[0]
	for _, w := range words[1:] {
		if runewidth.StringWidth(current)+1+runewidth.StringWidth(w) > width {
			out = append(out, current)
			current = indent + w
			continue
		}
		current += " " + w
	}
	return append(out, current)
}

// clip cuts a text to width columns, with an ellipsis where something is missing.
func clip(s string, width int) string {
	if runewidth.StringWidth(s) <= width {
		return s
	}
	return runewidth.Truncate(s, width, "…")
}

// clipMiddle cuts a path or name in its middle, because its end tells more than the part before it.
func clipMiddle(s string, width int) string {
	if runewidth.StringWidth(s) <= width {
		return s
	}
	if width < 4 {
		return clip(s, width)
	}
	tail := (width - 1) * 2 / 3
	r := []rune(s)
	i, w := len(r), 0
	for i > 0 && w+runewidth.RuneWidth(r[i-1]) <= tail {
		i--
		w += runewidth.RuneWidth(r[i])
	}
	return runewidth.Truncate(s, width-1-w, "") + "…" + string(r[i:])
}

// Say writes a text of our own, with what was put into it made safe, wrapped to the width of w.
func Say(w io.Writer, format string, args ...any) {
	fmt.Fprintln(w, wrap(safeLines(fmt.Sprintf(format, args...)), Width(w)-1))
}

// SayWhole is [Say] without breaking lines, for commands and paths that are to be copied.
func SayWhole(w io.Writer, format string, args ...any) {
	fmt.Fprintln(w, safeLines(fmt.Sprintf(format, args...)))
}

// SayCommand writes a command that is to be copied. At a terminal too narrow for it, it goes on in the next line after a
// backslash, between two flags, as a shell reads it; elsewhere, and where shells do not know that, it is one line.
func SayCommand(w io.Writer, indent string, args ...string) {
	width := math.MaxInt
	if isTerminal(w) && runtime.GOOS != "windows" {
		width = Width(w) - 1
	}
	fmt.Fprintln(w, commandLines(indent, args, width))
}

func commandLines(indent string, args []string, width int) string {
	line, out := indent, ""
	for i := 0; i < len(args); {
		part := Command(args[i])
		for i++; i < len(args) && (!strings.HasPrefix(args[i], "--") || i < 2); i++ {
			part += " " + Command(args[i])
		}
		if line != indent && runewidth.StringWidth(line)+len(" ")+runewidth.StringWidth(part)+len(" \\") > width {
			out += line + " \\\n"
			line = indent + "  " + part
			continue
		}
		if line != indent {
			line += " "
		}
		line += part
	}
	return out + line
}

// SayLog is [Say] where w is a terminal, and [SayWhole] where it is a log or a pipe, so that a message is one line there.
func SayLog(w io.Writer, format string, args ...any) {
	if isTerminal(w) {
		Say(w, format, args...)
		return
	}
	SayWhole(w, format, args...)
}

// Wrap breaks a text of our own into lines of at most width columns; see [Say] for what may hold something foreign.
func Wrap(s string, width int) string { return wrap(s, width) }
