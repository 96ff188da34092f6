package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"dovemend/cmd/internal/ui"
	"dovemend/remote/imap"
	"dovemend/repair"
	"dovemend/repair/clientlog"
)

// explainedDocument is what a log means.
type explainedDocument struct {
	File        string         `json:"file"`
	Program     string         `json:"program,omitempty"`
	Lines       int64          `json:"lines"`
	Bytes       int64          `json:"bytes"`
	Connections int            `json:"connections"`
	Logins      int            `json:"logins"`
	From        string         `json:"from,omitempty"`
	To          string         `json:"to,omitempty"`
	Said        []saidDocument `json:"said"`
	More        int            `json:"more"`
	Advice      []string       `json:"advice"`
}

type saidDocument struct {
	Kind    string   `json:"kind"`
	Type    string   `json:"type,omitempty"`
	Code    string   `json:"code,omitempty"`
	Text    string   `json:"text"`
	Op      string   `json:"op,omitempty"`
	Mailbox string   `json:"mailbox,omitempty"`
	UIDs    []uint32 `json:"uids,omitempty"`
	Count   int      `json:"count"`
	First   string   `json:"first,omitempty"`
	Last    string   `json:"last,omitempty"`
	Line    int64    `json:"line"`
	Class   string   `json:"class"`
	Whose   string   `json:"whose"`
	Meaning string   `json:"meaning"`
	Next    string   `json:"next,omitempty"`
}

// explain says what the log of a mail program means.
func (k *call) explain(file string) error {
	doc := &watchDocument{p: k.p}
	k.doc = doc
	in, name, err := k.openLog(file)
	if err != nil {
		return err
	}
	defer in.Close()
	x, err := repair.ExplainClientLog(k.ctx(), in)
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("read %s: %w", name, path.Err)
	}
	if err != nil {
		return err
	}
	doc.Explained = describeExplained(name, x)
	k.progress.Done()
	k.printExplained(name, x)
	if !x.Matters {
		return nil
	}
	return &endError{exitFindings, "the log tells of trouble", x.Advice[0]}
}

func (k *call) openLog(file string) (io.ReadCloser, string, error) {
	if file == "-" {
		return io.NopCloser(k.p.stdin), "standard input", nil
	}
	p, err := localFile("explain", file)
	if err != nil {
		return nil, "", err
	}
	f, err := os.Open(p)
	var fi fs.FileInfo
	if err == nil {
		fi, err = f.Stat()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", &usageError{text: fmt.Sprintf("--explain %q: there is no such file", file), hint: "dovemend watch --explain FILE, or - for standard input"}
	case err != nil:
		return nil, "", &usageError{text: fmt.Sprintf("--explain %q: %v", file, errors.Unwrap(err))}
	case fi.IsDir():
		return nil, "", &usageError{text: fmt.Sprintf("--explain %q: is a folder", file)}
	}
	return f, p, nil
}

func describeExplained(name string, x *repair.ExplainedLog) *explainedDocument {
	d := &explainedDocument{File: name, Program: x.Program, Lines: x.Lines, Bytes: x.Bytes, Connections: x.Connections, Logins: x.Logins,
		From: x.First, To: x.Last, Said: []saidDocument{}, More: x.More, Advice: append([]string{}, x.Advice...)}
	for _, s := range x.Said {
		d.Said = append(d.Said, saidDocument{Kind: string(s.Kind), Type: s.Type, Code: s.Code, Text: s.Text, Op: s.Op, Mailbox: s.Mailbox, UIDs: s.UIDs,
			Count: s.Count, First: s.First, Last: s.Last, Line: s.Line, Class: string(s.Class), Whose: string(s.Whose), Meaning: s.Meaning, Next: s.Next})
	}
	return d
}

// mostSaid is how many things are told one by one.
const mostSaid = 20

func (k *call) printExplained(name string, x *repair.ExplainedLog) {
	whose := "a log of a form that is not known"
	if x.Program != "" {
		whose = "it seems to be a log of " + x.Program
	}
	k.say("%s: %s, %s; %s.", ui.Safe(name), ui.Count(int(x.Lines), "line"), ui.Bytes(x.Bytes), whose)
	if x.First != "" {
		k.say("From %s to %s.", ui.Safe(x.First), ui.Safe(x.Last))
	}
	if x.Connections > 0 {
		k.say("%s to the server.", ui.Count(x.Connections, "connection"))
	}
	if x.Logins > 0 {
		k.say("It holds logins (%s): do not pass it on as it is. None of their words is told here.", ui.Count(x.Logins, "line"))
	}
	if len(x.Said) == 0 {
		k.say("No answer of a server in it says that something is wrong, as far as dovemend knows its form.")
		return
	}
	harmless := 0
	for i, s := range x.Said {
		if s.Whose == imap.WhoseNone || i >= mostSaid {
			harmless++
			continue
		}
		lead := "Also:"
		if i == 0 && x.Matters {
			lead = "What matters most:"
		}
		k.say("")
		k.say("%s %s", lead, saidText(s))
		k.say("  %s", saidWhere(s))
		k.say("  %s", ui.Safe(s.Meaning))
		if s.Next != "" {
			k.say("  next: %s", ui.Safe(s.Next))
		}
	}
	if harmless+x.More > 0 {
		k.say("")
		k.say("Besides: %s, harmless or less telling.", ui.Count(harmless+x.More, "answer"))
	}
	if len(x.Advice) > 0 {
		k.say("")
		k.say("All in all:")
		for _, a := range x.Advice {
			k.say("-  %s", ui.Safe(a))
		}
	}
}

func saidText(s repair.ExplainedSaid) string {
	switch {
	case s.Kind == clientlog.Symptom:
		return "the program says: " + ui.Safe(s.Text)
	case s.Kind == clientlog.Server:
		return "Dovecot logs: " + ui.Safe(s.Text)
	}
	text := strings.TrimSpace(s.Type + " ")
	if s.Code != "" {
		text += " [" + s.Code + "]"
	}
	return "the server answers " + ui.Safe(strings.TrimSpace(text+" "+s.Text))
}

func saidWhere(s repair.ExplainedSaid) string {
	where := ui.Count(s.Count, "time")
	if s.Op != "" {
		where += ", to " + s.Op
	}
	if s.Mailbox != "" {
		where += ", mailbox " + ui.Safe(s.Mailbox)
	}
	for i, u := range s.UIDs {
		if i == 0 {
			where += ", at the message with UID "
		} else {
			where += ", "
		}
		where += strconv.FormatUint(uint64(u), 10)
	}
	where += ", first in line " + strconv.FormatInt(s.Line, 10)
	switch {
	case s.First != "" && s.First == s.Last:
		where += ", at " + ui.Safe(s.First)
	case s.First != "":
		where += ", from " + ui.Safe(s.First) + " to " + ui.Safe(s.Last)
	}
	return where
}
