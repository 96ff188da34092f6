package sshhost

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ps is the ps of an embedded host: it knows the options of procps that dovemend uses and a few more, and the host's own
// processes only. account is the real name of the user, who may be asked for besides the login's name.
func ps(args []string, table, account string, out, errOut io.Writer) int {
	q, err := parsePS(args)
	if err != nil {
		fmt.Fprintln(errOut, err)
		return 1
	}
	var procs []Proc
	b, err := os.ReadFile(table)
	if err == nil {
		err = json.Unmarshal(b, &procs)
	}
	if err != nil {
		fmt.Fprintln(errOut, "error: can not read the process table:", err)
		return 1
	}
	slices.SortFunc(procs, func(a, b Proc) int { return a.PID - b.PID })
	if header := q.header(); header != "" {
		fmt.Fprintln(out, header)
	}
	status := 1
	for _, p := range procs {
		if q.matches(p, account) {
			fmt.Fprintln(out, q.row(p))
			status = 0
		}
	}
	return status
}

// psQuery is what one call of ps asks for.
type psQuery struct {
	columns []psColumn
	pids    []string
	users   []string
}

type psColumn struct{ field, header string }

// psFields are the fields that can be asked for, with their headers.
var psFields = map[string]string{
	"pid": "PID", "ppid": "PPID", "pgid": "PGID", "pgrp": "PGRP", "uid": "UID", "euid": "EUID", "ruid": "RUID",
	"user": "USER", "euser": "EUSER", "ruser": "RUSER", "comm": "COMMAND", "ucomm": "COMMAND", "args": "COMMAND",
	"command": "COMMAND", "cmd": "CMD", "lstart": "STARTED", "start": "STARTED", "etime": "ELAPSED", "etimes": "ELAPSED",
	"stat": "STAT", "state": "S", "s": "S", "tty": "TT", "tt": "TT", "time": "TIME",
}

func parsePS(args []string) (*psQuery, error) {
	q := &psQuery{}
	for i := 0; i < len(args); i++ {
		a := args[i]
		value := func(rest string) string {
			if rest == "" && i+1 < len(args) {
				i++
				rest = args[i]
			}
			return rest
		}
		short := strings.TrimPrefix(a, "-")
		for short != "" {
			c, rest := short[0], short[1:]
			short = rest
			switch c {
			case 'a', 'A', 'e', 'x', 'w', 'f', 'l', 'd':
			case 'o':
				if err := q.format(value(rest)); err != nil {
					return nil, err
				}
				short = ""
			case 'p', 'q':
				q.pids = append(q.pids, listOf(value(rest))...)
				short = ""
			case 'U', 'u':
				if !strings.HasPrefix(a, "-") && c == 'u' { // "ps aux": the BSD format, not a selection
					q.columns = append(q.columns, psColumn{"user", "USER"}, psColumn{"pid", "PID"})
					continue
				}
				q.users = append(q.users, listOf(value(rest))...)
				short = ""
			default:
				if _, err := strconv.Atoi(a); err == nil {
					q.pids, short = append(q.pids, a), ""
					continue
				}
				return nil, fmt.Errorf("error: unsupported option %q", a)
			}
		}
	}
	if len(q.columns) == 0 {
		q.columns = []psColumn{{"pid", "PID"}, {"tty", "TTY"}, {"stat", "STAT"}, {"time", "TIME"}}
	}
	if last := q.columns[len(q.columns)-1].field; (last == "time" || last == "pid") && !slices.Contains(args, "-o") {
		q.columns = append(q.columns, psColumn{"args", "COMMAND"})
	}
	return q, nil
}

func listOf(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// format takes the argument of -o: names with commas, the last one maybe with "=HEADER".
func (q *psQuery) format(s string) error {
	for s != "" {
		name := s
		if end := strings.IndexAny(s, ",= "); end >= 0 {
			name = s[:end]
		}
		s = s[len(name):]
		header, ok := psFields[name]
		if !ok {
			return fmt.Errorf("error: unknown user-defined format specifier %q", name)
		}
		if strings.HasPrefix(s, "=") { // the rest is this column's header, unless it is empty and more follow
			header, s = s[1:], ""
			if strings.HasPrefix(header, ",") {
				header, s = "", header
			}
		}
		q.columns = append(q.columns, psColumn{name, header})
		s = strings.TrimLeft(s, ", ")
	}
	return nil
}

func (q *psQuery) header() string {
	var words []string
	for _, c := range q.columns {
		words = append(words, c.header)
	}
	return strings.TrimSpace(strings.Join(words, " "))
}

func (q *psQuery) matches(p Proc, account string) bool {
	if len(q.pids) > 0 && !slices.Contains(q.pids, strconv.Itoa(p.PID)) {
		return false
	}
	if len(q.users) == 0 {
		return true
	}
	own := p.UID == os.Getuid() && slices.Contains(q.users, account)
	return own || slices.Contains(q.users, p.User) || slices.Contains(q.users, strconv.Itoa(p.UID))
}

// row prints a process, right-aligned numbers and a ragged last column as procps does.
func (q *psQuery) row(p Proc) string {
	var b strings.Builder
	for i, c := range q.columns {
		if i > 0 {
			b.WriteByte(' ')
		}
		last := i == len(q.columns)-1
		switch c.field {
		case "pid":
			fmt.Fprintf(&b, "%7d", p.PID)
		case "pgid", "pgrp":
			fmt.Fprintf(&b, "%7d", p.PID)
		case "ppid":
			fmt.Fprintf(&b, "%7d", p.PPID)
		case "uid", "euid", "ruid":
			fmt.Fprintf(&b, "%5d", p.UID)
		case "user", "euser", "ruser":
			fmt.Fprintf(&b, "%-8s", p.User)
		case "comm", "ucomm":
			pad(&b, p.Comm, 15, last)
		case "args", "command", "cmd":
			pad(&b, p.Title, 27, last)
		case "lstart":
			b.WriteString(p.Start.Format("Mon Jan _2 15:04:05 2006"))
		case "start":
			fmt.Fprintf(&b, "%8s", p.Start.Format("15:04:05"))
		case "etime":
			fmt.Fprintf(&b, "%11s", elapsed(time.Since(p.Start)))
		case "etimes":
			fmt.Fprintf(&b, "%7d", int(time.Since(p.Start).Seconds()))
		case "stat", "state", "s":
			b.WriteString("S   "[:len(psFields[c.field])])
		case "tty", "tt":
			b.WriteString("?       ")
		case "time":
			b.WriteString("00:00:00")
		}
	}
	return b.String()
}

func pad(b *strings.Builder, s string, width int, last bool) {
	if last {
		b.WriteString(s)
		return
	}
	fmt.Fprintf(b, "%-*.*s", width, width, s)
}

// elapsed prints a duration as [[DD-]hh:]mm:ss.
func elapsed(d time.Duration) string {
	s := int(d.Seconds())
	switch {
	case s >= 86400:
		return fmt.Sprintf("%d-%02d:%02d:%02d", s/86400, s/3600%24, s/60%60, s%60)
	case s >= 3600:
		return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%02d:%02d", s/60, s%60)
}
