package check

import (
	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// outcome counts what Dovecot would lose of what the copy tells, if it comes to the state seen by way of the verdict.
// Every rule here was measured on Dovecot 2.3.19.
func (x *examiner) outcome(seen *dovecot.State, verdict dovecot.Verdict, index bool) Outcome {
	o := Outcome{Verdict: verdict, Why: x.effect(verdict)}
	x.mended = nil
	if index && !x.dbox() && rebuilds(verdict) {
		x.mended = mend(x.State.Files.Index)
	}
	for i := range x.State.Messages {
		m := &x.State.Messages[i]
		if m.Lost || m.Stray && x.dbox() {
			continue
		}
		if x.dbox() {
			x.dboxFate(&o, m, seen, index)
		} else {
			x.maildirFate(&o, m, seen, index)
		}
	}
	return o
}

// dboxFate tells what becomes of one message of an mdbox or sdbox mailbox.
func (x *examiner) dboxFate(o *Outcome, m *reconstruct.Message, seen *dovecot.State, index bool) {
	r := seen.Find(m.UID)
	mdbox := x.account.Layout == store.MDBox
	if r != nil && mdbox && rebuilds(o.Verdict) && !known(seen, r) {
		r = nil // a rebuild finds a message by its GUID or its number in the map index, or not at all
	}
	if x.damaged[m.UID] && (mdbox && !x.unasked || rebuilds(o.Verdict)) {
		o.Gone++ // at the latest when it is read, mdbox rebuilds its storage without it; or what is left of it comes back
		r = nil
	} else if r == nil {
		switch x.returns(m, o.Verdict, index) {
		case never:
			o.Gone++
			return
		case perhaps:
			o.Gone++
		}
	}
	var flags dovecot.Flags
	keywords := 0
	if r != nil {
		flags, keywords = r.Flags, len(seen.KeywordNames(r))
	}
	if m.Flags&dovecot.FlagsIMAP&^flags != 0 {
		o.Flags++
	}
	if len(m.Keywords) > keywords {
		o.Keywords++
	}
	if seen.UIDValidity != x.State.UIDValidity || r == nil && mdbox {
		o.UIDs++
	}
}

// whether says how sure something is.
type whether int

const (
	never whether = iota
	perhaps
	surely
)

// returns tells whether a message that the index no longer knows comes back to this mailbox.
func (x *examiner) returns(m *reconstruct.Message, v dovecot.Verdict, index bool) whether {
	switch {
	case !rebuilds(v):
		return never // nothing makes Dovecot look into its storage
	case !index && fails(v):
		return never // after the error the log is thrown away, and with no index either the mailbox is empty
	case fails(v):
		return perhaps // after the error the index is taken as it is, until something makes Dovecot rebuild the mailbox
	case x.account.Layout != store.MDBox:
		return surely
	}
	// A rebuild of mdbox storage brings back only what no mailbox refers to, so a message that another mailbox holds too
	// does not come back to this one.
	refs, ok := x.State.Storage.Refs[m.MapUID]
	switch {
	case !ok || !x.State.Storage.Known:
		return perhaps
	case refs > 1:
		return never
	}
	return surely
}

// rebuilds reports whether Dovecot reads the mailbox anew from its storage on the way.
func rebuilds(v dovecot.Verdict) bool {
	switch v {
	case dovecot.VerdictSame, dovecot.VerdictOlder, dovecot.VerdictEmpty:
		return false
	}
	return true
}

func known(s *dovecot.State, r *dovecot.Record) bool {
	_, guid := s.GUID(r)
	_, _, number := s.MapUID(r)
	return guid || number
}

// maildirFate tells what becomes of one message of a Maildir, which keeps UIDs in dovecot-uidlist and flags in file names.
func (x *examiner) maildirFate(o *Outcome, m *reconstruct.Message, seen *dovecot.State, index bool) {
	if m.UID == 0 { // new mail, or all of it
		if x.listGone() {
			o.UIDs++
		}
		return
	}
	if x.mended != nil && !fails(o.Verdict) && !(x.mended.keeps(m.UID) && seen.Find(m.UID) != nil) {
		o.Gone++
		o.UIDs++
		return
	}
	if m.Renumber || x.changed[m.UID] && !x.unasked {
		o.UIDs++
	}
	if r := x.State.Index.Find(m.UID); r != nil && r.Flags&dovecot.FlagDirty != 0 && seen.Find(m.UID) == nil {
		if m.Flags&dovecot.FlagsIMAP != 0 {
			o.Flags++ // the file name does not tell them yet
		}
		if len(m.Keywords) > 0 {
			o.Keywords++
		}
	}
}

// listGone reports whether a Maildir that has been in use has lost the file that numbers its messages.
func (x *examiner) listGone() bool {
	s := x.State
	return !s.UIDList && (s.Files.Index != nil || s.Files.Log != nil || s.Names.Known && s.Names.UIDValidity != 0)
}

// mended is what Dovecot's own repair surely keeps of a Maildir's index. A message that should be in it and is not is shown as
// unreadable, or not at all, or comes back under a new UID: which of these is not foretold.
type mended struct {
	uids map[dovecot.UID]bool
	next dovecot.UID // messages from here on are told by the log; 0 where that cannot be believed
}

// mend drops every record behind one whose UID is wrong: Dovecot takes such a UID for the last one, and all behind it for
// out of order.
func mend(b []byte) *mended {
	x, faults := dovecot.ParseIndex(b)
	m := &mended{uids: make(map[dovecot.UID]bool, len(x.Records)), next: x.Header.NextUID}
	end := int64(len(b))
	for _, f := range faults {
		switch f.Rule {
		case "index-record-uid", "index-record-order":
			m.next = 0
			end = min(end, f.Offset)
		case "index-next-uid":
			m.next = 0
		}
	}
	for _, r := range x.Records {
		if r.Offset < end {
			m.uids[r.UID] = true
		}
	}
	return m
}

func (m *mended) keeps(uid dovecot.UID) bool {
	return m.uids[uid] || m.next != 0 && uid >= m.next
}

// fails reports whether the first access to the mailbox fails.
func fails(v dovecot.Verdict) bool {
	return v == dovecot.VerdictErrorThenSame || v == dovecot.VerdictErrorThenLoses
}
