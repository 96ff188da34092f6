package report

import (
	"slices"
	"strings"
)

// state is how things stand after a run.
func (r *Run) state() string {
	switch {
	case r.Stage == "undone":
		return StateUndone
	case r.Stage == "applying":
		return StateStopped
	case r.Kind == "undo" && r.Verification != nil && r.Verification.OK, r.Kind == "undo" && r.Stage == "applied":
		return StateUndone
	case r.Kind == "restore" && r.Stage == "verified":
		return StateRestored
	case r.Kind == "restore" && r.Stage == "planned":
		return StatePlanned
	case r.Kind == "backup" && r.Examined && r.Broken+r.Suspect > 0:
		return StateFound
	case r.Kind == "backup" && r.Examined:
		return StateHealthy
	case r.Stage == "applied" || r.Stage == "verified":
		switch v := r.Verification; {
		case v != nil && !v.OK:
			return StateNotPromised
		case r.Steps == 0 && !r.Applied:
			return StateNothing
		case v == nil && r.Stage == "applied":
			return StateApplied
		case v == nil || v.IMAP == "":
			return StateRepairedFiles
		}
		return StateRepaired
	case r.Stage == "planned" && r.Steps > 0:
		return StatePlanned
	case r.Stage == "planned" && r.Broken+r.Suspect == 0:
		return StateNothing
	case r.Examined && r.Broken+r.Suspect > 0:
		return StateFound
	case r.Stage == "snapshot":
		return StateCopied
	}
	return StateFailed
}

var tones = map[string]string{
	StateRepaired: ToneGood, StateRestored: ToneGood, StateRepairedFiles: ToneGood, StateNothing: ToneGood, StateHealthy: ToneGood, StateUndone: ToneAttention,
	StateCopied: ToneGood, StatePlanned: ToneAttention, StateApplied: ToneAttention, StateFailed: ToneAttention,
	StateFound: ToneBad, StateStopped: ToneBad, StateNotPromised: ToneBad,
}

// named are the mailboxes a verdict names: those in which something was found, else those the run was about.
func (r *Run) named() []string {
	var hit []string
	for _, f := range r.Findings {
		if f.Mailbox != "" && f.Severity != "note" && !slices.Contains(hit, f.Mailbox) {
			hit = append(hit, f.Mailbox)
		}
	}
	if len(hit) > 0 {
		return hit
	}
	return r.Boxes
}

// called says in a few words which mailboxes are meant.
func (t tongue) called(names []string) string {
	switch {
	case len(names) == 0:
		return t.w("v.account")
	case len(names) > 3:
		return t.w("mailboxes", len(names))
	}
	return t.and(names)
}

// worst gives the finding to begin with: the first broken one, else the first suspect one; nil where there is none.
func (r *Run) worst() *Finding {
	for _, severity := range []string{"broken", "suspect"} {
		for i := range r.Findings {
			if r.Findings[i].Severity == severity {
				return &r.Findings[i]
			}
		}
	}
	return nil
}

// lastFound is the newest run up to and with this one of which it is known what was found: an undo, or a repair that came to
// nothing, is judged by the one before.
func (r *Report) lastFound() *Run {
	for i := len(r.Runs) - 1; i >= 0; i-- {
		if r.Runs[i].Examined {
			return &r.Runs[i]
		}
	}
	return r.Newest()
}

// title is the key of the sentence for a state.
func (r *Run) title(state string) string {
	if key := "v." + state + "." + r.Kind; has(key) {
		return key
	}
	return "v." + state
}

// judge writes the verdict.
func (r *Report) judge(t tongue) {
	run := r.Newest()
	if run == nil {
		return
	}
	state := run.state()
	v := Verdict{State: state, Tone: tones[state], Title: t.w(run.title(state), max(1, len(run.named())), t.called(run.named()))}
	add := func(key, text string) {
		if text != "" {
			v.Lines = append(v.Lines, Line{t.w(key), text})
		}
	}
	if state != StateFailed && state != StateCopied && state != StateUndone && run.Kind != "restore" {
		add("v.lost", strings.Join(t.lost(run), " "))
	}
	add("v.checked", t.checkedInShort(run))
	if run.Error != "" && (state == StateFailed || state == StateStopped || state == StateNotPromised || state == StateApplied) {
		add("v.error", run.Error)
	}
	if f := run.worst(); f != nil {
		add("v.worst", t.worstLine(f, run.Broken+run.Suspect-1))
	}
	if len(run.Done) > 0 && run.Applied {
		add("v.done", t.doneInShort(run))
	}
	if run.Copy != nil {
		add("v.copy", run.Copy.Folder)
	}
	next := "next." + state
	if state == StateStopped && run.Kind == "undo" {
		next = "next.stopped-undo"
	}
	if has(next + "." + run.Kind) {
		next += "." + run.Kind
	}
	if has(next) {
		text := words[next][t.index()]
		if strings.Contains(text, "%") {
			text = t.w(next, run.ID)
		}
		add("v.next", text)
	}
	r.Verdict = v
}

func (t tongue) worstLine(f *Finding, more int) string {
	text := t.w("v.in", f.Text, f.File)
	if f.Offset >= 0 {
		text = t.w("v.at", f.Text, f.File, t.offset(f.Offset))
	}
	if more > 0 {
		text += " (" + t.w("more", more) + ")"
	}
	return text
}

// doneInShort counts what was done: "4 files set aside, 1 put into place".
func (t tongue) doneInShort(run *Run) string {
	var order []string
	n := map[string]int{}
	for _, d := range run.Done {
		if d.Done == 0 || d.What == "mkdir" || d.What == "copy-to-host" || d.What == "set-attr" {
			continue // a preparation, or of no interest to the owner
		}
		if n[d.What] == 0 {
			order = append(order, d.What)
		}
		n[d.What] += d.Done
	}
	var parts []string
	for _, what := range order {
		parts = append(parts, t.did(what, n[what]))
	}
	if len(parts) == 0 {
		return t.w("done.steps", run.StepsDone, run.Steps)
	}
	if r := t.word("remedy", run.Remedy); r != "" && run.Kind == "repair" {
		return r + ": " + t.and(parts)
	}
	return t.and(parts)
}

// checkedInShort tells how many messages the mail server has shown, of the first mailboxes.
func (t tongue) checkedInShort(run *Run) string {
	v := run.Verification
	if v == nil || v.IMAP == "" || !v.OK {
		return ""
	}
	var parts []string
	for _, b := range v.Boxes {
		if b.OK && b.Messages >= 0 && b.Messages == b.Expected && len(parts) < 3 {
			parts = append(parts, t.w("v.checkbox", int(b.Messages), b.Mailbox))
		}
	}
	return strings.Join(parts, "; ")
}

// lost says what was lost, in sentences.
func (t tongue) lost(run *Run) []string {
	var out []string
	switch {
	case !run.Applied:
		out = append(out, t.w("kept.unchanged"))
	case run.Verification == nil && run.Stage == "verified" && len(run.Costs) == 0:
		out = append(out, t.w("kept.then"))
	case run.Verification == nil && run.Stage != "verified":
		out = append(out, t.w("kept.unknown"))
	case run.Verification != nil && !run.Verification.OK:
		out = append(out, t.w("kept.missing"))
	case len(run.Costs) > 0:
		out = append(out, t.w("kept.costs")+" "+strings.Join(run.Costs, "; ")+".")
	case run.Saved == nil && run.Verification.IMAP == "":
		out = append(out, t.w("kept.files"))
	case run.Saved == nil:
		out = append(out, t.w("kept.nothing"))
	}
	if s := run.Saved; s != nil {
		out = append(out, t.w("kept.saved", s.Messages))
		if s.Unreadable > 0 {
			out = append(out, t.w("kept.savednot", s.Unreadable))
		}
	}
	return out
}

// Unverified is the key of the words for a run of which no comparison is kept.
func (r *Run) Unverified() string {
	if r.state() == StateRestored {
		return "verified.looked"
	}
	return "verified.not"
}
