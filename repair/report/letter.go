package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The bounds of the letter: it is read by somebody with many others.
const (
	letterFindings = 5
	letterReplies  = 4
	letterRuns     = 4
	letterWidth    = 300 // bytes of one quoted text
)

// write makes the text for the hosting company: what is broken, where, since when, what was tried, what is asked.
func (r *Report) write(t tongue) {
	found, last := r.lastFound(), r.Newest()
	if last == nil {
		return
	}
	state := last.state()
	n := max(1, len(found.named()))
	box, account := t.called(found.named()), orElse(r.Account.Address, r.Account.MailRoot)
	damaged := found.Broken+found.Suspect > 0
	fixed := state == StateRepaired || state == StateRepairedFiles
	l := Letter{}
	add := func(lines ...string) { l.Body = append(l.Body, lines...) }

	short, subject := "l.state.unsure", "l.subject.ok"
	switch {
	case fixed && damaged:
		short, subject = "l.state.fixed", "l.subject.fixed"
	case damaged && last.Applied && state != StateUndone:
		short, subject = "l.state.partly", "l.subject.bad"
	case damaged:
		short, subject = "l.state.bad", "l.subject.bad"
	}
	l.Subject = t.w("l.subject", n, box, account, t.w(subject))
	place := t.w("l.place", n, box, account, t.word("layout", r.Account.Layout), r.Host.Name, r.Host.Login)
	first, sound := r.since()
	top := t.w("l.short", t.w(short, n, place))
	if damaged && sound.IsZero() {
		top += " " + t.w("l.since", t.when(first))
	} else if damaged {
		top += " " + t.w("l.since.between", t.when(first), t.when(sound))
	}
	add(t.w("l.hello"), "", top)
	if damaged {
		head := t.w("l.broken")
		if fixed {
			head = t.w("l.broken.was")
		}
		add("", head)
		add(t.letterFindings(found)...)
	}
	if replies := r.letterReplies(t); len(replies) > 0 {
		add("", t.w("l.says"))
		add(replies...)
	}
	add("", t.w("l.tried"))
	add(r.letterRuns(t)...)
	add("", t.w("l.ask"))
	for i, q := range r.questions(t, found, first, sound) {
		add(fmt.Sprintf("%d. %s", i+1, q))
	}
	add("", t.w("l.facts"))
	add("- " + t.w("entry", t.w("f.root"), r.Account.MailRoot))
	if r.Host.Dovecot != "" {
		add("- " + t.w("entry", t.w("f.dovecot"), r.Host.Dovecot))
	}
	add("", t.w("l.thanks"), "", t.w("l.bye"))
	r.Support = l
}

// since tells when damage was first seen, and when the same mailboxes were last seen sound before; zero where nothing tells.
func (r *Report) since() (first, sound time.Time) {
	for i := range r.Runs {
		run := &r.Runs[i]
		switch {
		case !run.Examined || !first.IsZero():
		case run.Broken+run.Suspect > 0:
			first = run.Begun
		default:
			sound = run.Begun
		}
	}
	return first, sound
}

func (t tongue) letterFindings(run *Run) []string {
	var out []string
	n := 0
	for _, severity := range []string{"broken", "suspect"} {
		for _, f := range run.Findings {
			if f.Severity != severity {
				continue
			}
			if n++; n > letterFindings {
				continue
			}
			if f.Offset >= 0 {
				out = append(out, "- "+t.w("l.at", f.File, t.offset(f.Offset), cut(f.Text)))
			} else {
				out = append(out, "- "+t.w("l.in", f.File, cut(f.Text)))
			}
		}
	}
	if more := run.Broken + run.Suspect - min(n, letterFindings); more > 0 {
		out = append(out, "- "+t.w("l.more", more))
	}
	return out
}

// letterReplies gives the newest answers of the server that tell of a failure, each text once.
func (r *Report) letterReplies(t tongue) []string {
	var out []string
	seen := map[string]bool{}
	take := func(list []Reply) {
		for _, reply := range list {
			if reply.Whose == "none" || seen[reply.Text] || len(out) == letterReplies {
				continue
			}
			seen[reply.Text] = true
			out = append(out, "- "+t.w("entry", t.said(reply), cut(reply.Text)))
		}
	}
	take(r.Answers)
	for i := len(r.Runs) - 1; i >= 0; i-- {
		take(r.Runs[i].Replies)
	}
	return out
}

func (r *Report) letterRuns(t tongue) []string {
	var out []string
	for i := range r.Runs {
		run := &r.Runs[i]
		if run.Kind == "backup" || !run.Applied && run.Steps > 0 && run.Stage == "planned" {
			continue
		}
		how := "l.did.unseen"
		switch state := run.state(); {
		case state == StateUndone && run.Kind == "undo":
			how = "l.did.back"
		case state == StateUndone:
			how = "l.did.undone"
		case state == StateRepaired:
			how = "l.did.ok"
		case state == StateRestored:
			how = "l.did.restored"
		case state == StateRepairedFiles:
			how = "l.did.files"
		case state == StateNotPromised:
			how = "l.did.bad"
		case state == StateStopped:
			how = "l.did.stopped"
		case state == StateNothing:
			how = "l.did.nothing"
		case !run.Applied:
			continue
		}
		what := t.word("remedy", run.Remedy)
		if what == "" {
			what = t.word("kind", run.Kind)
		}
		out = append(out, "- "+t.w("l.did", t.when(run.Begun), what, run.ID, t.w(how)))
	}
	if len(out) > letterRuns {
		out = append([]string{"- " + t.w("l.more", len(out)-letterRuns)}, out[len(out)-letterRuns:]...)
	}
	if len(out) == 0 {
		out = []string{"- " + t.w("l.nothing")}
	}
	return out
}

// questions are what the hosting company is asked, the most telling first.
func (r *Report) questions(t tongue, found *Run, first, sound time.Time) []string {
	var out []string
	ask := func(key string, args ...any) { out = append(out, t.w(key, args...)) }
	rules, files := map[string]bool{}, map[string][]string{}
	for _, f := range found.Findings {
		if f.Severity != "note" {
			rules[f.Rule] = true
			files[f.Rule] = append(files[f.Rule], f.File)
		}
	}
	classes := map[string]bool{}
	for _, reply := range r.Answers {
		classes[reply.Class] = true
	}
	for i := range r.Runs {
		for _, reply := range r.Runs[i].Replies {
			classes[reply.Class] = true
		}
	}
	of := func(names ...string) string {
		var list []string
		for _, n := range names {
			for _, f := range files[n] {
				if !slices.Contains(list, f) && len(list) < 4 {
					list = append(list, f)
				}
			}
		}
		return strings.Join(list, ", ")
	}
	if first.IsZero() {
		first = r.Newest().Begun
	}
	if sound.IsZero() {
		ask("l.q.log", t.when(first))
	} else {
		ask("l.q.logbetween", t.when(sound), t.when(first))
	}
	if list := of("folder-owner", "file-owner"); list != "" {
		ask("l.q.owner", r.Host.Login, list)
	}
	if list := of("folder-emptied", "storage-missing", "storage-lost", "message-missing", "maildir-folder-missing"); list != "" {
		ask("l.q.backup", list)
	}
	if rules["disk-full-traces"] || classes["disk-full"] || classes["mail-quota"] {
		ask("l.q.quota")
	}
	if classes["connection-limit"] {
		ask("l.q.limit")
	}
	if found.Broken+found.Suspect > 0 {
		ask("l.q.disk", r.Account.MailRoot)
	}
	if classes["crash"] || classes["closed-without-a-word"] || rules["cache-huge"] || rules["dbox-no-message"] || rules["dbox-message"] {
		ask("l.q.version", orElse(r.Host.Dovecot, "("+t.w("unknown")+")"))
	}
	return out
}

// said is when and where something was said, in words.
func (t tongue) said(reply Reply) string {
	source := t.w("reply.server")
	if reply.FromLog {
		source = t.w("reply.log")
	}
	if reply.At.IsZero() {
		return source
	}
	return t.when(reply.At) + ", " + source
}

// cut bounds a text that is quoted in the letter.
func cut(s string) string {
	if len(s) <= letterWidth {
		return s
	}
	return strings.ToValidUTF8(s[:letterWidth], "") + "…"
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
