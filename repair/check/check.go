package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// bigCache is the size from which on Dovecot before 2.3.21 is known to crash on its own cache file.
const bigCache = 1 << 30

// Mailbox examines the copy of one mailbox.
func Mailbox(ctx context.Context, fsys fs.FS, a store.Account, m store.Mailbox) (*Report, error) {
	s, err := reconstruct.Mailbox(ctx, fsys, a, m)
	if err != nil {
		return nil, fmt.Errorf("examine %s: %w", m.Dir, err)
	}
	r := &Report{State: s}
	x := &examiner{Report: r, ctx: ctx, fsys: fsys, account: a, box: m}
	x.index()
	x.cache()
	x.leftovers()
	switch a.Layout {
	case store.SDBox:
		err = x.sdbox()
	case store.MDBox:
		err = x.mdbox()
	case store.Maildir:
		err = x.maildir()
	}
	if err != nil {
		return nil, fmt.Errorf("examine %s: %w", m.Dir, err)
	}
	return r, ctx.Err()
}

type examiner struct {
	*Report
	ctx     context.Context
	fsys    fs.FS
	account store.Account
	box     store.Mailbox
	without *dovecot.State // what Dovecot would know without dovecot.index
}

func (x *examiner) dbox() bool { return x.account.Layout != store.Maildir }

func (x *examiner) file(name string) store.RelPath {
	return store.RelPath(path.Join(string(x.box.Dir), name))
}

func (x *examiner) find(f Finding) { x.Findings = append(x.Findings, f) }

// index tells what is wrong with the index files, and what Dovecot makes of them now and without dovecot.index.
func (x *examiner) index() {
	f := x.State.Files
	_, x.Verdict, _ = dovecot.Sees(f)
	without := f
	without.Index = nil
	seen, verdict, _ := dovecot.Sees(without)
	x.NoIndex, x.without = x.outcome(seen, verdict), seen

	cure, advice := CureNone, "none of the direct remedies brings back what the index files tell; keep the copy"
	if f.Index != nil && !x.NoIndex.Loses() {
		cure, advice = CureDropIndex, "removing dovecot.index costs nothing here: Dovecot makes it anew from its log"
	}
	if !x.dbox() {
		advice = "Dovecot makes the index of a Maildir anew from dovecot-uidlist and the file names"
	}
	effect := x.effect(x.Verdict)
	for _, fault := range x.State.Faults {
		severity := Broken
		if strings.HasSuffix(string(fault.File), ".backup") || x.Verdict == dovecot.VerdictSame {
			severity = Note
		}
		finding := Finding{Severity: severity, Rule: fault.Rule, File: fault.File, Offset: fault.Offset,
			Text: fault.Detail, Effect: effect, Cure: cure, Advice: advice}
		if severity == Note {
			finding.Effect, finding.Cure, finding.Advice = "none that Dovecot shows", CureNone, ""
		}
		x.find(finding)
	}
	if x.Verdict == dovecot.VerdictSame || len(x.Findings) > 0 && x.worst() == Broken {
		return
	}
	text := "the index files do not fit each other"
	switch {
	case f.Index == nil && f.Log == nil && f.Log2 == nil:
		text = "the index files are gone"
	case f.Index == nil:
		text = "dovecot.index is gone, and the logs do not reach back to the beginning"
	case f.Log == nil:
		text = "dovecot.index.log is gone"
	}
	x.find(Finding{Severity: Broken, Rule: "index-" + string(x.Verdict), File: x.file("dovecot.index"), Offset: -1,
		Text: text, Effect: effect, Cure: cure, Advice: advice})
}

func (x *examiner) worst() Severity {
	worst := Note
	for _, f := range x.Findings {
		if f.Severity == Broken {
			return Broken
		}
		if f.Severity == Suspect {
			worst = Suspect
		}
	}
	return worst
}

// effect says in words what Dovecot does with the files as they are. Measured on Dovecot 2.3.19.
func (x *examiner) effect(v dovecot.Verdict) string {
	if !x.dbox() {
		switch v {
		case dovecot.VerdictErrorThenSame, dovecot.VerdictErrorThenLoses:
			return "the first access may fail with SERVERBUG; after that the mailbox works"
		case dovecot.VerdictSame:
			return "none"
		}
		return "some messages may show as unreadable or twice until the index is made anew"
	}
	switch v {
	case dovecot.VerdictOlder:
		return "the mailbox opens without an error in an older state: newer mail and flags are missing"
	case dovecot.VerdictEmpty:
		return "the mailbox opens without an error and shows nothing, or only new mail"
	case dovecot.VerdictRebuild:
		return "Dovecot rebuilds the mailbox when it is opened; sessions may be cut off once"
	case dovecot.VerdictRebuildLoses:
		return "Dovecot rebuilds the mailbox when it is opened, and flags, keywords or message numbers are lost"
	case dovecot.VerdictErrorThenSame:
		return "opening the mailbox fails with SERVERBUG, then Dovecot rebuilds it"
	case dovecot.VerdictErrorThenLoses:
		return "opening the mailbox fails with SERVERBUG, then Dovecot rebuilds it and loses what its log told: flags, or moved and deleted mail comes back"
	}
	return "none"
}

// outcome compares what Dovecot would come to with what the copy tells.
func (x *examiner) outcome(seen *dovecot.State, verdict dovecot.Verdict) Outcome {
	o := Outcome{Verdict: verdict, Why: x.effect(verdict)}
	truth := x.State.Index
	if truth == nil || len(truth.Records) == 0 || !x.dbox() {
		return o // a Maildir keeps UIDs in dovecot-uidlist and flags in the file names
	}
	o.UIDs = seen.UIDValidity != truth.UIDValidity
	for i := range truth.Records {
		t := &truth.Records[i]
		s := seen.Find(t.UID)
		if s == nil {
			if verdict == dovecot.VerdictEmpty || verdict == dovecot.VerdictOlder {
				o.Gone++
			}
			s = &dovecot.Record{}
		}
		changed := false
		if lost := t.Flags & dovecot.FlagsIMAP &^ s.Flags; lost != 0 {
			o.Flags++
			changed = true
		}
		if len(truth.KeywordNames(t)) > len(seen.KeywordNames(s)) {
			o.Keywords++
			changed = true
		}
		if changed || o.UIDs {
			o.Messages++
		}
	}
	return o
}

// cache judges the cache by its size and header; any damage in it is healed by Dovecot itself, or by removing it.
func (x *examiner) cache() {
	info, err := fs.Stat(x.fsys, string(x.file("dovecot.index.cache")))
	if errors.Is(err, fs.ErrNotExist) || err != nil {
		return
	}
	if info.Size() >= bigCache {
		x.find(Finding{Severity: Suspect, Rule: "cache-huge", File: x.file("dovecot.index.cache"), Offset: -1,
			Text:   fmt.Sprintf("dovecot.index.cache is %d MiB long", info.Size()>>20),
			Effect: "Dovecot before 2.3.21 is known to crash when it writes or cleans a cache of 1 GiB and more: connections end without a word",
			Cure:   CureCache, Advice: "removing the cache is harmless in every layout: Dovecot fills it again"})
	}
}

// leftovers names files that interrupted work of Dovecot left behind.
func (x *examiner) leftovers() {
	entries, err := fs.ReadDir(x.fsys, string(x.box.Dir))
	if err != nil {
		return
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case strings.HasSuffix(name, ".broken"):
			x.find(Finding{Severity: Suspect, Rule: "leftover-broken", File: x.file(name), Offset: -1,
				Text: "Dovecot set a damaged file aside here", Effect: "a message was cut or changed when Dovecot mended it", Advice: "the original bytes are in this file; it is in the copy"})
		case strings.HasPrefix(name, ".temp.") || strings.HasSuffix(name, ".newlock"):
			x.find(Finding{Severity: Note, Rule: "leftover-temp", File: x.file(name), Offset: -1,
				Text: "an unfinished write of Dovecot was left behind", Effect: "none", Advice: "Dovecot removes it by itself after some days"})
		}
	}
}
