package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// textWidth is how wide the text is written, in characters.
const textWidth = 78

// Text writes the report as plain text, in UTF-8. [Report.Finish] comes before.
func (r *Report) Text(w io.Writer) error {
	p := &printer{tongue: tongue{r.Language}}
	p.head(r)
	p.letter(r)
	p.replies("h.answers", r.Answers, r.AnswersLeftOut)
	for i := range r.Runs {
		p.run(r, &r.Runs[i])
	}
	p.facts(r)
	if len(r.Notes) > 0 {
		p.section("h.notes")
		for _, n := range r.Notes {
			p.item("", n)
		}
	}
	p.line("")
	p.para(p.w("utc"))
	_, err := w.Write(p.b.Bytes())
	return err
}

type printer struct {
	tongue
	b bytes.Buffer
}

func (p *printer) line(s string) { p.b.WriteString(strings.TrimRight(s, " ") + "\n") }

// hang writes a text wrapped, its first line after lead and the others as far in. What is longer than a line, as a path is, is not
// broken.
func (p *printer) hang(lead, text string) {
	in := strings.Repeat(" ", utf8.RuneCountInString(lead))
	line := lead
	empty := true
	for _, word := range strings.Fields(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > textWidth {
			p.line(line)
			line, empty = in, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	p.line(line)
}

func (p *printer) para(text string) { p.hang("", text) }

func (p *printer) item(in, text string) { p.hang(in+"- ", text) }

func (p *printer) title(text, under string) {
	p.line("")
	p.para(text)
	p.line(strings.Repeat(under, min(utf8.RuneCountInString(text), textWidth)))
}

func (p *printer) section(key string, args ...any) { p.title(p.w(key, args...), "-") }

func (p *printer) head(r *Report) {
	title := p.w("title")
	if who := orElse(r.Account.Address, r.Account.MailRoot); who != "" {
		title = p.w("title.of", who)
	}
	p.para(title)
	p.line(strings.Repeat("=", min(utf8.RuneCountInString(title), textWidth)))
	p.para(p.w("made", p.when(r.Made), r.By))
	if r.Redacted {
		p.para(p.w("redacted"))
	}
	if r.Verdict.Title != "" {
		p.section("h.verdict")
		p.para(p.w("sentence", r.Verdict.Title))
		p.line("")
		for _, l := range r.Verdict.Lines {
			p.hang(fmt.Sprintf("%-*s ", textLabel, l.Label+":"), l.Text)
		}
	}
}

// textLabel is how wide labels stand before their text, in characters.
const textLabel = 17

func (p *printer) letter(r *Report) {
	if len(r.Support.Body) == 0 {
		return
	}
	p.section("h.letter")
	p.para(p.w("letter.how"))
	p.line("")
	p.hang("    ", p.w("entry", p.w("subject"), r.Support.Subject))
	p.line("")
	for _, l := range r.Support.Body {
		lead, text := "    ", l
		if before, after, ok := strings.Cut(l, " "); ok && (before == "-" || strings.HasSuffix(before, ".") && len(before) < 4) {
			lead, text = "    "+before+" ", after
		}
		p.hang(lead, text)
	}
}

func (p *printer) run(r *Report, run *Run) {
	p.title(fmt.Sprintf("%s — %s, %s", p.w("run", run.ID), p.what(run), p.when(run.Begun)), "=")
	p.found(run)
	p.replies("h.replies", run.Replies, run.RepliesLeftOut)
	p.done(run)
	p.verified(run)
	p.section("h.kept")
	for _, l := range p.lost(run) {
		p.para(l)
	}
	for _, l := range p.copies(run) {
		p.para(l)
	}
	if len(run.Timeline) > 0 {
		p.section("h.timeline")
	}
	for _, e := range run.Timeline {
		at := p.clock(e.At)
		if !e.Until.IsZero() && !e.Until.Equal(e.At) && p.clock(e.Until) != at {
			at += "–" + p.clock(e.Until)
		}
		p.hang(fmt.Sprintf("%-18s", at), p.event(run, e))
	}
	if run.EventsLeftOut > 0 {
		p.para(p.w("more.folder", run.EventsLeftOut))
	}
}

// event is what happened, in words.
func (t tongue) event(run *Run, e Event) string {
	key := "event." + e.What
	switch {
	case e.What == "begin":
		return t.w(key, t.what(run))
	case e.What == "steps" && e.Text == "":
		return t.did(e.Did, e.Count)
	case e.What == "steps":
		return t.w(key, t.did(e.Did, e.Count), e.Text)
	case e.What == "stage":
		return t.w(key, capital(e.Text))
	case e.What == "ended":
		return t.w(key, t.number(int64(e.Count)))
	case !has(key):
		return orElse(e.Text, e.What)
	case strings.Contains(words[key][0], "%"):
		return t.w(key, e.Text)
	}
	return t.w(key)
}

// did tells how many things something was done to.
func (t tongue) did(what string, n int) string {
	if !has("what." + what) {
		return t.w("what.other", n, what)
	}
	return t.w("what."+what, n)
}

func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// what says what a run is: "repair, cache removed".
func (t tongue) what(run *Run) string {
	what := t.word("kind", run.Kind)
	if m := t.word("remedy", run.Remedy); m != "" && run.Kind != "undo" {
		what += ", " + m
	}
	return what
}

func (p *printer) found(run *Run) {
	p.section("h.found")
	if !run.Examined {
		p.para(p.w("found.unknown", run.ID))
		return
	}
	for _, b := range run.Found {
		text := b.Mailbox
		if b.Messages >= 0 {
			text += ": " + p.w("messages", int(b.Messages))
		}
		p.para(fmt.Sprintf("%s, UIDVALIDITY %d, %s", text, b.UIDValidity, p.size(b.Bytes)))
	}
	if len(run.Findings) == 0 {
		p.para(p.w("found.none"))
	}
	for _, f := range run.Findings {
		p.line("")
		place := f.File
		if f.Offset >= 0 {
			place += ", " + p.w("c.offset") + " " + p.offset(f.Offset)
		}
		p.hang("["+p.word("severity", f.Severity)+"] ", orElse(f.Mailbox, p.w("of.account"))+": "+f.Text)
		p.hang("    ", place+"  ("+f.Rule+")")
		if f.Effect != "" {
			p.hang("    ", p.w("entry", p.w("c.effect"), f.Effect))
		}
		if f.Advice != "" {
			p.hang("    ", p.w("entry", p.w("c.advice"), f.Advice))
		}
	}
	if run.FindingsLeftOut > 0 {
		p.line("")
		p.para(p.w("more.folder", run.FindingsLeftOut))
	}
}

func (p *printer) replies(key string, list []Reply, more int) {
	if len(list) == 0 {
		return
	}
	p.section(key)
	for _, m := range list {
		head := p.said(m)
		if m.Count > 1 {
			head += ", " + p.w("times", m.Count)
		}
		if m.Mailbox != "" {
			head += ", " + m.Mailbox
		}
		p.hang("", head+":")
		p.hang("    ", m.Text)
		p.hang("    ", strings.TrimSpace(m.Meaning+" "+m.Next))
	}
	if more > 0 {
		p.para(p.w("more", more))
	}
}

func (p *printer) done(run *Run) {
	p.section("h.done")
	switch {
	case !run.Applied:
		p.para(p.w("done.nothing"))
		if run.Steps > 0 {
			p.para(p.w("done.plan", run.Steps))
		}
	case run.Steps > 0:
		p.para(p.w("done.steps", run.StepsDone, run.Steps))
	}
	for _, d := range run.Done {
		text := p.did(d.What, d.Steps)
		if d.Bytes > 0 {
			text += ", " + p.size(d.Bytes)
		}
		if d.Why != "" {
			text += ": " + d.Why
		}
		p.item("", text)
		for _, path := range d.Paths {
			p.line("    " + path)
		}
		if d.PathsLeftOut > 0 {
			p.line("    " + p.w("more.folder", d.PathsLeftOut))
		}
	}
	for i, n := range run.Planned {
		if i == 0 {
			p.para(p.w("plan.notes") + ":")
		}
		p.item("", n)
	}
}

func (p *printer) verified(run *Run) {
	p.section("h.verified")
	v := run.Verification
	if v == nil {
		p.para(p.w(run.Unverified()))
		return
	}
	result := "verified.bad"
	if v.OK {
		result = "verified.ok"
	}
	p.para(p.when(v.At) + ": " + p.w(result))
	p.para(p.looked(v))
	if len(v.Files) == 0 {
		p.para(p.w("verified.files"))
	}
	p.some("verified.diff", v.Files)
	for _, b := range v.Boxes {
		p.item("", p.boxLine(b))
		for _, s := range b.Problems {
			p.item("  ", s)
		}
		for _, s := range b.Notes {
			p.item("  ", s)
		}
	}
	p.some("verified.notes", v.FileNotes)
}

func (p *printer) some(key string, list []string) {
	for i, s := range list {
		if i == 0 {
			p.para(p.w(key) + ":")
		}
		p.item("", s)
	}
}

// looked says how a verification looked over IMAP, or why not.
func (t tongue) looked(v *Verified) string {
	if v.IMAP == "" {
		return t.w("verified.noimap", orElse(v.IMAPNot, t.w("unknown")))
	}
	how, through, ssh := strings.Cut(v.IMAP, " ")
	words := t.word("imap", how)
	if ssh {
		words += " (" + through + ")"
	}
	return t.w("verified.imap", words)
}

// boxLine says in one line how a mailbox is.
func (t tongue) boxLine(b VerifiedBox) string {
	result := "box.problems"
	if b.OK {
		result = "box.works"
	}
	s := b.Mailbox + " " + t.w(result)
	if b.Messages >= 0 {
		s += ": " + t.w("messages", int(b.Messages))
	}
	if b.Expected >= 0 {
		s += fmt.Sprintf(", %s: %d", t.w("c.expected"), b.Expected)
	}
	return s
}
