package reconstruct

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"testing/fstest"

	"dovemend/repair/dovecot"
	"dovemend/repair/store"
)

// grown is a real log that tells of a mailbox from its beginning on, and where it ended once, between two transactions, when mail was
// there that has been deleted since, and other mail was not.
func grown(t *testing.T) (log []byte, then int, listedThen, listedNow []dovecot.UID) {
	t.Helper()
	log = vector(t, "log", "whole")
	l, _ := dovecot.ParseLog(log)
	now, _ := dovecot.Replay(dovecot.Files{Log: log})
	for i := len(l.Records) - 1; i >= 0; i-- {
		at := l.Records[i].Offset
		s, _ := dovecot.Replay(dovecot.Files{Log: log[:at]})
		if !s.Exact || s.NextUID >= now.NextUID || !slices.ContainsFunc(s.Records, func(r dovecot.Record) bool { return now.Find(r.UID) == nil }) {
			continue
		}
		return log, int(at), uids(s), uids(now)
	}
	t.Fatal("the log has no such place")
	return nil, 0, nil, nil
}

func uids(s *dovecot.State) (list []dovecot.UID) {
	for i := range s.Records {
		list = append(list, s.Records[i].UID)
	}
	return list
}

func sdboxFiles(log []byte, list []dovecot.UID) fstest.MapFS {
	all := fstest.MapFS{dboxDir + "/dovecot.index.log": file(log)}
	for _, uid := range list {
		all[fmt.Sprintf("%s/u.%d", dboxDir, uid)] = sdboxFile(int(uid))
	}
	return all
}

// inMailbox are the UIDs of the messages that belong to it.
func (s *State) inMailbox() (list []dovecot.UID) {
	for i := range s.Messages {
		if m := &s.Messages[i]; s.Belongs(m) {
			list = append(list, m.UID)
		}
	}
	return list
}

func (s *State) hasFault(rule string) bool {
	return slices.ContainsFunc(s.Faults, func(f FileFault) bool { return f.Rule == rule })
}

func readAfter(t *testing.T, now, then fstest.MapFS) *State {
	t.Helper()
	m := store.Mailbox{Name: "INBOX", Storage: "INBOX", Dir: dboxDir}
	acct, err := ReadHealed(t.Context(), now, store.Account{Layout: store.SDBox, Mailboxes: []store.Mailbox{m}}, []store.Mailbox{m},
		func(yield func(Copy) bool) { yield(Copy{ID: "run", FS: then}) })
	if err != nil {
		t.Fatal(err)
	}
	return acct.Boxes[0]
}

// TestALogCutBetweenTransactionsBringsNothingBack: as it is, it lists messages that were deleted after its end. A copy of then has their files.
func TestALogCutBetweenTransactionsBringsNothingBack(t *testing.T) {
	log, then, before, after := grown(t)
	s := readAfter(t, sdboxFiles(log[:then], after), sdboxFiles(log[:then], before))
	if got := s.inMailbox(); !slices.Equal(got, after) {
		t.Errorf("messages %v, want %v", got, after)
	}
	if s.Sound || s.Dropped == 0 || s.Regained == 0 || !s.hasFault("log-end-lost") {
		t.Errorf("sound %v, %d dropped, %d regained; %v", s.Sound, s.Dropped, s.Regained, s.Faults)
	}
	if s.Recalled != nil && s.Recalled.Whole {
		t.Error("a copy of then tells the end")
	}
	if last := after[len(after)-1]; s.NextUID < last+someLost {
		t.Errorf("next UID %d: %d was given, and others may have been", s.NextUID, last)
	}
	// All is well where the log is whole: a message whose file is gone is one that is lost, and the copy has it.
	gone := after[0]
	now := sdboxFiles(log, after[1:])
	if s := readAfter(t, now, sdboxFiles(log[:then], before)); !s.Sound || s.Dropped > 0 || len(s.Faults) > 0 || s.inMailbox()[0] != gone {
		t.Errorf("sound %v, %d dropped; %v; messages %v, without %d", s.Sound, s.Dropped, s.Faults, s.inMailbox(), gone)
	}
}

// TestALogIsNotShorterThanItWas: what a copy has of it after its end is the log's.
func TestALogIsNotShorterThanItWas(t *testing.T) {
	log, then, _, after := grown(t)
	now := sdboxFiles(log[:then], after[:len(after)-1]) // nothing but the copy tells that it is cut, but for the files
	for uid := range slices.Values(after) {
		if s, _ := dovecot.Replay(dovecot.Files{Log: log[:then]}); uid >= s.NextUID {
			delete(now, fmt.Sprintf("%s/u.%d", dboxDir, uid))
		}
	}
	s := readAfter(t, now, sdboxFiles(log, after))
	if !s.hasFault("log-end-lost") || s.Recalled == nil || !slices.Equal(uids(s.Index), after) {
		t.Errorf("%v; recalled by %+v; messages %v, want %v", s.Faults, s.Recalled, uids(s.Index), after)
	}
	for what, old := range map[string][]byte{
		"another log":                     append(bytes.Clone(log[:20]), append([]byte{1, 2, 3, 4}, log[24:]...)...),
		"as long":                         log[:then],
		"garbage behind it":               append(bytes.Clone(log[:then]), bytes.Repeat([]byte{0xaa}, 400)...),
		"the beginning of a transaction":  log[:then+14],
		"of a mailbox that was made anew": nil,
	} {
		s := readAfter(t, now, sdboxFiles(old, after))
		if s.hasFault("log-end-lost") || s.Recalled != nil {
			t.Errorf("%s: %v, recalled by %+v", what, s.Faults, s.Recalled)
		}
	}
}

// TestTheListIndexIsAheadOfALogThatIsCut: then a message without a file is one that was deleted after the end of the log.
func TestTheListIndexIsAheadOfALogThatIsCut(t *testing.T) {
	log, then, before, after := grown(t)
	m := store.Mailbox{Name: "INBOX", Storage: "INBOX", Dir: dboxDir}
	whole, _ := dovecot.Replay(dovecot.Files{Log: log})
	cut, _ := dovecot.Replay(dovecot.Files{Log: log[:then]})
	var both []dovecot.UID
	for _, uid := range after {
		if slices.Contains(before, uid) {
			both = append(both, uid)
		}
	}
	names := func(of *dovecot.State) Listed {
		return Listed{Known: true, UIDValidity: of.UIDValidity, ModSeq: of.ModSeq, HasCounts: true, NextUID: of.NextUID}
	}
	for what, c := range map[string]struct {
		names Listed
		left  bool
	}{"as old": {names(cut), false}, "newer": {names(whole), true}, "of another mailbox": {Listed{Known: true, UIDValidity: 1, ModSeq: 1 << 40}, false}} {
		fsys, then := sdboxFiles(log[:then], both), sdboxFiles(log[:then], before)
		acct := &Account{Account: store.Account{Layout: store.SDBox}, healer: &healer{fsys: fsys, files: map[string]*Healed{},
			earlier: func(yield func(Copy) bool) { yield(Copy{ID: "run", FS: then}) }}}
		s := &State{Mailbox: m, Layout: store.SDBox, Names: c.names}
		if err := s.readIndex(fsys, m); err != nil {
			t.Fatal(err)
		}
		if err := s.readSDBox(t.Context(), fsys, acct); err != nil {
			t.Fatal(err)
		}
		want := before
		if c.left {
			want = both
		}
		if got := s.inMailbox(); !slices.Equal(got, want) || (s.Dropped > 0) != c.left {
			t.Errorf("%s: messages %v, want %v; %d dropped", what, got, want, s.Dropped)
		}
		if c.left && s.NextUID < whole.NextUID {
			t.Errorf("%s: next UID %d is given already", what, s.NextUID)
		}
	}
}

// lagging is an mdbox account with a sound mailbox that lists some of eight stored messages, which were all saved to it and are referred to as
// often as told.
func lagging(t *testing.T, names Listed, refs [8]int, listed ...dovecot.UID) (*reconciler, *State) {
	t.Helper()
	x := &dovecot.NewIndex{IndexID: 7, UIDValidity: 7, NextUID: listed[len(listed)-1] + 1, Exts: []dovecot.NewExt{{Name: "mdbox", Size: 8, Align: 4}}}
	for _, uid := range listed {
		x.Records = append(x.Records, dovecot.NewRecord{UID: uid, Data: [][]byte{binary.LittleEndian.AppendUint64(nil, uint64(uid+10))}})
	}
	b, err := x.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := leftover(t, true)
	r.t.Sound = true
	for i := range r.t.Stored {
		r.t.Stored[i].Refs = refs[i]
	}
	s := &State{Mailbox: store.Mailbox{Storage: "INBOX"}, Layout: store.MDBox, Storage: r.t, Names: names}
	state, _ := dovecot.Replay(dovecot.Files{Index: b})
	s.take(state)
	s.resolve(r.t)
	if !s.Sound || len(s.Messages) != len(listed) {
		t.Fatalf("sound %v, %d messages", s.Sound, len(s.Messages))
	}
	r.boxes = []*State{s}
	return r, s
}

// TestAMailboxDoesNotGetWhatOneThatIsNotHereMayHave: the newest message may have been moved there.
func TestAMailboxDoesNotGetWhatOneThatIsNotHereMayHave(t *testing.T) {
	for what, a := range map[string]store.Account{
		"a part of an account":         {Partial: true},
		"not all mailboxes are copied": {Mailboxes: make([]store.Mailbox, 2)},
	} {
		r, s := lagging(t, Listed{}, [8]int{1, 1, 1, 1, 1, 1, 1, 1}, 1, 2, 3, 4, 5)
		r.acct.Account = a
		if r.reconcile(); !s.Sound || len(placed(r, s)) != 5 || len(r.acct.Orphans) != 3 {
			t.Errorf("%s: sound %v, placed %v, %d in no mailbox", what, s.Sound, placed(r, s), len(r.acct.Orphans))
		}
	}
}

// TestAMailboxThatEndsTooEarlyGetsWhatCameAfterIt and no more than that.
func TestAMailboxThatEndsTooEarlyGetsWhatCameAfterIt(t *testing.T) {
	newer := Listed{Known: true, UIDValidity: 7, ModSeq: 1 << 20}
	all, five := []dovecot.UID{1, 2, 3, 4, 5, 6, 7, 8}, []dovecot.UID{1, 2, 3, 4, 5}
	for what, c := range map[string]struct {
		names  Listed
		refs   [8]int
		listed []dovecot.UID
		torn   bool // another mailbox has lost its index
		want   string
		sound  bool
	}{
		"mail came":          {Listed{}, [8]int{1, 1, 1, 1, 1, 1, 1, 1}, five, false, "[1 2 3 4 5 6 7 8]", false},
		"mail came and went": {Listed{}, [8]int{1, 1, 1, 1, 1, 0, 0, 0}, five, false, "[1 2 3 4 5]", true},
		"mail came, and another mailbox may have it":   {Listed{}, [8]int{1, 1, 1, 1, 1, 1, 1, 1}, five, true, "[1 2 3 4 5]", true},
		"mail came, which the list index tells":        {newer, [8]int{1, 1, 1, 1, 1, 1, 1, 1}, five, true, "[1 2 3 4 5 6 7 8]", false},
		"a message was deleted":                        {newer, [8]int{1, 1, 0, 1, 1, 1, 1, 1}, all, false, "[1 2 4 5 6 7 8]", false},
		"the count is wrong, and nothing tells more":   {Listed{}, [8]int{1, 1, 0, 1, 1, 1, 1, 1}, all, false, "[1 2 3 4 5 6 7 8]", true},
		"a message in the middle was never listed":     {Listed{}, [8]int{1, 1, 1, 1, 1, 1, 1, 1}, []dovecot.UID{1, 2, 4, 5, 6, 7, 8}, false, "[1 2 4 5 6 7 8]", true},
		"the list index is of an earlier life":         {Listed{Known: true, UIDValidity: 6, ModSeq: 1 << 20}, [8]int{1, 1, 0, 1, 1, 1, 1, 1}, all, false, "[1 2 3 4 5 6 7 8]", true},
		"the list index is newer, and all is as it is": {newer, [8]int{1, 1, 1, 1, 1, 1, 1, 1}, all, false, "[1 2 3 4 5 6 7 8]", true},
	} {
		r, s := lagging(t, c.names, c.refs, c.listed...)
		if c.torn {
			r.boxes = append(r.boxes, &State{Mailbox: store.Mailbox{Storage: "Trash"}, Layout: store.MDBox, Storage: r.t, Index: &dovecot.State{}})
		}
		r.reconcile()
		if got := fmt.Sprint(placed(r, s)); got != c.want || s.Sound != c.sound || s.hasFault("log-end-lost") == c.sound {
			t.Errorf("%s: %s, sound %v, want %s, %v; %v", what, got, s.Sound, c.want, c.sound, s.Faults)
		}
	}
}
