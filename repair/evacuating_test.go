//go:build unix

package repair

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dovemend/remote"
	"dovemend/remote/imap"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
	"dovemend/repair/evacuate"
	"dovemend/repair/plan"
	"dovemend/repair/probe"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

var everything = os.Getenv("DOVEMEND_TEST_FULL") != ""

// evacuation is a real host whose INBOX has poison messages, and a state directory.
type evacuation struct {
	*forecastHost
	*testing.T
	state   string
	bad     map[string]bool // by text: messages that were damaged
	badUIDs []uint32
	more    int  // messages that came meanwhile
	filter  bool // a filter marks messages meanwhile
	back    bool
	said    *said
	cut     func(int) error
	batch   int
	find    evacuate.Finder
}

func (x *evacuation) options() Options {
	return Options{StateDir: x.state, Account: x.Account(), AcceptLoss: plan.Losses(), Confirm: []string{"INBOX"}, MoveBack: x.back,
		Remote: remote.Config{Target: x.User() + "@" + x.Addr(), Identities: []string{x.Identity()}, KnownHosts: []string{x.KnownHosts()},
			ConfigFile: "none", NoAgent: true},
		Quiesce: remote.QuiesceOptions{Settle: 10 * time.Millisecond}, IMAP: IMAPOptions{Preauth: true}, cutMoves: x.cut, finder: x.find, batch: x.batch}
}

// poison damages the messages at some places of INBOX, counted from 0, negative from its end, so that Dovecot fails on them.
func (x *evacuation) poison(places ...int) {
	x.Helper()
	x.restore(x.T)
	x.bad, x.badUIDs = map[string]bool{}, nil
	r := x.begin(x.T, false)
	s := r.reports[0].State
	inbox := x.Truth.Mailboxes[fill.Inbox].Messages
	for _, p := range places {
		m := inbox[(p+len(inbox))%len(inbox)]
		i := slices.IndexFunc(s.Messages, func(k reconstruct.Message) bool { return uint32(k.UID) == m.UID })
		if i < 0 {
			x.Fatalf("UID %d is not in the copy", m.UID)
		}
		x.badUIDs = append(x.badUIDs, m.UID)
		x.bad[hex.EncodeToString(m.Sum[:])] = true
		k := &s.Messages[i]
		offset := int64(0)
		if st := k.Place(); st != nil {
			offset = st.Offset
		}
		damageMessage(x.T, filepath.Join(x.MailRoot(), string(k.File)), store.Layout(x.Layout()), offset)
	}
	if err := r.Close(); err != nil {
		x.Fatal(err)
	}
}

// damageMessage makes Dovecot fail on the message that begins at offset of a file.
func damageMessage(t *testing.T, name string, layout store.Layout, offset int64) {
	t.Helper()
	if layout == store.Maildir { // it should be longer, as its name says
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name, info.Size()/2); err != nil {
			t.Fatal(err)
		}
		return
	}
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 60
	if layout == store.MDBox {
		n = 20 // the message's own header
	}
	if _, err := f.WriteAt([]byte(strings.Repeat("\xa5garbage", 10)[:n]), offset); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// start makes a run as far as its plan.
func (x *evacuation) start() *Run {
	x.Helper()
	s, err := Connect(x.Context(), x.options(), x.said)
	if err != nil {
		x.Fatal(err)
	}
	x.Cleanup(func() { s.Close() })
	a, m, err := s.Choose(x.Context())
	if err != nil {
		x.Fatal(err)
	}
	r, err := s.NewRun(x.Context(), "repair", a, m)
	if err != nil {
		x.Fatal(err)
	}
	x.Cleanup(func() { r.Close() })
	if _, err := r.Snapshot(x.Context()); err != nil {
		x.Fatal(err)
	}
	if _, err := r.Plan(x.Context(), plan.Evacuate); err != nil {
		x.Fatal(err)
	}
	return r
}

// verified wants a run to be as promised.
func (x *evacuation) verified(r *Run) {
	x.Helper()
	v, err := r.Verify(x.Context())
	if err != nil || !v.OK {
		x.Fatalf("verification: %+v, %v", v, err)
	}
}

// undo takes a run back and wants the account as it was.
func (x *evacuation) undo(id string) {
	x.Helper()
	x.cut = nil
	u, err := UndoRun(x.Context(), x.options(), id, x.said)
	if err != nil {
		x.Fatalf("undo: %v\n%s", err, strings.Join(x.said.texts, "\n"))
	}
	x.verified(u)
	if err := errors.Join(u.End(0, nil), u.Close(), u.Session().Close()); err != nil {
		x.Fatal(err)
	}
	x.all(fill.Inbox)
}

// read reads mailboxes over IMAP. Messages that were damaged, under the UIDs they had, are not asked for: in mdbox that would make
// Dovecot rebuild the storage, and bring deleted mail back.
func (x *evacuation) read(names ...string) map[string][]probe.Message {
	x.Helper()
	c, err := imap.Connect(x.Context(), imap.Config{Addr: x.IMAP(), Security: imap.None, Timeout: 30 * time.Second})
	if err != nil {
		x.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(x.Context(), x.Account(), x.Password()); err != nil {
		x.Fatal(err)
	}
	l, err := c.List(x.Context())
	if err != nil {
		x.Fatal(err)
	}
	all := map[string][]probe.Message{}
	for _, name := range names {
		server, _ := l.Resolve(name)
		got, err := c.Examine(x.Context(), server)
		var uids []uint32
		at := map[uint32]*probe.Message{}
		err = errors.Join(err, c.FetchFlags(x.Context(), 1, func(m imap.Message) error {
			if name != fill.Inbox || got.UIDValidity != x.Truth.Mailboxes[name].UIDValidity || !slices.Contains(x.badUIDs, m.UID) {
				uids = append(uids, m.UID)
			}
			return nil
		}), c.FetchSummary(x.Context(), uids, func(m imap.Message) error {
			slices.Sort(m.Flags)
			slices.Sort(m.Keywords)
			at[m.UID] = &probe.Message{UID: m.UID, Flags: m.Flags, Keywords: m.Keywords, InternalDate: m.InternalDate, Size: m.Size}
			return nil
		}), c.FetchBodies(x.Context(), uids, func(b imap.Body) error {
			at[b.UID].BodySHA256 = hex.EncodeToString(b.SHA256[:])
			return nil
		}))
		if err != nil {
			x.Fatalf("read %s: %v", name, err)
		}
		for _, m := range at {
			all[name] = append(all[name], *m)
		}
	}
	return all
}

// backups are the mailboxes whose name begins as that of a backup mailbox.
func (x *evacuation) backups() []string {
	x.Helper()
	out := x.Doveadm(x.T, "mailbox", "list", "-u", x.Account(), "BACKUP*")
	return strings.Fields(out)
}

// all wants every readable message once, with flags, keywords and dates as they were, in this mailbox; and other mailboxes as
// they were.
func (x *evacuation) all(where string) {
	x.Helper()
	names := append([]string{fill.Inbox}, x.backups()...)
	rest := slices.Sorted(maps.Keys(x.rest.Mailboxes))
	read := x.read(append(names, rest...)...)
	seen, came := map[string]string{}, 0
	for _, name := range names {
		for _, m := range read[name] {
			if other, twice := seen[m.BodySHA256]; twice {
				x.Errorf("a message is in %s and in %s", other, name)
			}
			seen[m.BodySHA256] = name
			was, known := x.truth[m.BodySHA256]
			if x.filter {
				m.Keywords = slices.DeleteFunc(m.Keywords, func(k string) bool { return k == "Filtered" })
			}
			if !known && came < x.more {
				came++
				continue
			}
			if !known {
				x.Errorf("UID %d of %s is no message that was there", m.UID, name)
				continue
			}
			if !slices.Equal(m.Flags, was.Flags) || !slices.Equal(m.Keywords, was.Keywords) || !m.InternalDate.Equal(was.Date) {
				x.Errorf("UID %d had %v %v %v and has %v %v %v", was.UID, was.Flags, was.Keywords, was.Date, m.Flags, m.Keywords, m.InternalDate)
			}
		}
	}
	if came != x.more {
		x.Errorf("%d of the %d messages that came meanwhile are there", came, x.more)
	}
	for sum, m := range x.truth {
		if name := seen[sum]; x.bad[sum] == (name != "") || name != "" && name != where {
			x.Errorf("UID %d (damaged: %v) is in %q and should be in %s", m.UID, x.bad[sum], name, where)
		}
	}
	if where == fill.Inbox && len(x.backups()) > 0 {
		x.Errorf("there is still %v", x.backups())
	}
	for _, name := range rest {
		if n := len(read[name]); n != len(x.rest.Mailboxes[name].Messages) {
			x.Errorf("%s had %d messages and has %d", name, len(x.rest.Mailboxes[name].Messages), n)
		}
	}
}

// TestEvacuateRealDovecot is the founding recipe, in each layout, with no, one and three messages that Dovecot fails on, at the
// beginning, in the middle and at the end: everything else is moved, and can be moved back, and taken back.
func TestEvacuateRealDovecot(t *testing.T) {
	for _, layout := range []string{"mdbox", "sdbox", "maildir"} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			h := newForecastHost(t, realhost.Options{Layout: layout, RotateLogs: true})
			for i, places := range [][]int{{0, 22, -1}, nil, {0}, {22}, {-1}} {
				if !everything && i > 0 { // without any is what the command line's own test does
					break
				}
				for _, back := range []bool{true, false} {
					if !everything && back != (i == 0) {
						continue
					}
					t.Run(fmt.Sprintf("poison %v, back %v", places, back), func(t *testing.T) {
						x := &evacuation{forecastHost: h, T: t, state: filepath.Join(t.TempDir(), "state"), back: back, said: &said{}}
						x.poison(places...)
						r := x.start()
						if got := len(r.plan.Moves.Unreadable); got != len(places) {
							t.Errorf("the copy shows %d unreadable messages, not %d", got, len(places))
						}
						if err := r.Apply(t.Context()); err != nil {
							t.Fatalf("%v\n%s", err, strings.Join(x.said.texts, "\n"))
						}
						x.verified(r)
						where := r.Evacuated().Backup
						if back {
							where = fill.Inbox
						}
						x.all(where)
						if n := len(x.read(fill.Inbox)[fill.Inbox]); !back && n != 0 {
							t.Errorf("INBOX has %d messages", n)
						}
						saved, err := r.Saved()
						if err != nil || len(places) > 0 && (saved == nil || saved.Messages != len(places)) {
							t.Errorf("saved: %+v, %v", saved, err)
						}
						if err := errors.Join(r.End(0, nil), r.Close()); err != nil {
							t.Fatal(err)
						}
						x.undo(r.ID())
					})
				}
			}
		})
	}
}

var errCut = errors.New("cut here")

// TestEvacuateCutOnRealDovecot ends an evacuation after a line of its journal, and finishes it or takes it back: on real Dovecot,
// with everything that stands between. With DOVEMEND_TEST_FULL=1 after every line, in both ways.
func TestEvacuateCutOnRealDovecot(t *testing.T) {
	for i, layout := range []string{"mdbox", "sdbox", "maildir"} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			h := newForecastHost(t, realhost.Options{Layout: layout, RotateLogs: true})
			for cut, ended := 1, false; !ended; cut++ {
				for way, then := range []string{"resume", "undo"} {
					if !everything && (cut != []int{5, 11, 16}[i] || way != i%2) {
						ended = cut > 16
						continue
					}
					t.Run(fmt.Sprintf("after line %d, %s", cut, then), func(t *testing.T) {
						x := &evacuation{forecastHost: h, T: t, state: filepath.Join(t.TempDir(), "state"), back: true, said: &said{}, batch: 20}
						ended = x.cutAfter(cut, then == "undo")
					})
				}
			}
		})
	}
}

// cutAfter tells whether the evacuation ended before it was cut.
func (x *evacuation) cutAfter(cut int, undo bool) bool {
	x.poison(0, -1)
	x.cut = func(n int) error {
		if n == cut {
			return errCut
		}
		return nil
	}
	r := x.start()
	err := r.Apply(x.Context())
	if err == nil {
		return true
	}
	var stopped *StoppedError
	if !errors.As(err, &stopped) || !errors.Is(err, errCut) {
		x.Fatalf("%v\n%s", err, strings.Join(x.said.texts, "\n"))
	}
	if err := errors.Join(r.End(6, err), r.Close()); err != nil {
		x.Fatal(err)
	}
	if undo {
		x.undo(r.ID())
		return false
	}
	x.cut = nil
	again, err := Resume(x.Context(), x.options(), r.ID(), x.said)
	if err != nil {
		x.Fatalf("resume: %v\n%s", err, strings.Join(x.said.texts, "\n"))
	}
	x.verified(again)
	if err := errors.Join(again.End(0, nil), again.Close(), again.Session().Close()); err != nil {
		x.Fatal(err)
	}
	x.all(fill.Inbox)
	return false
}

// TestMessageThatBreaksItWhenItIsBackStaysInTheBackup: two messages are damaged while they are in the backup mailbox. They are found
// when they are moved back, go to the backup mailbox again, and are named; all others are back.
func TestMessageThatBreaksItWhenItIsBackStaysInTheBackup(t *testing.T) {
	t.Parallel()
	h := newForecastHost(t, realhost.Options{Layout: "sdbox", RotateLogs: true})
	x := &evacuation{forecastHost: h, T: t, state: filepath.Join(t.TempDir(), "state"), back: true, said: &said{}}
	x.poison()
	// The journal's line "fresh" comes when all messages are in the backup mailbox.
	x.cut = func(int) error {
		b, err := os.ReadFile(filepath.Join(x.state, "runs", x.newest(), evacuate.JournalFile))
		if err != nil || len(x.bad) > 0 || !strings.Contains(string(b), `"kind":"fresh"`) {
			return err
		}
		files, err := filepath.Glob(filepath.Join(x.MailRoot(), "mailboxes", "BACKUP*", "dbox-Mails", "u.*"))
		for _, i := range []int{3, 30} {
			x.bad[files[i]] = true
			damageMessage(t, files[i], store.SDBox, 0)
		}
		return err
	}
	r := x.start()
	if err := r.Apply(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(x.said.texts, "\n"))
	}
	got := r.Evacuated()
	if got.Moved != 2 || got.Back != len(x.truth)-2 || len(got.Breaking) != 2 || got.Breaking[0].Why == "" {
		t.Fatalf("%+v", got)
	}
	x.verified(r)
	if n := len(x.read(fill.Inbox)[fill.Inbox]); n != len(x.truth)-2 {
		t.Errorf("%d messages are back, not %d", n, len(x.truth)-2)
	}
	if err := errors.Join(r.End(0, nil), r.Close()); err != nil {
		t.Fatal(err)
	}
}

// newest is the newest run that has a journal of an evacuation.
func (x *evacuation) newest() string {
	all, err := filepath.Glob(filepath.Join(x.state, "runs", "*", evacuate.JournalFile))
	if err != nil || len(all) == 0 {
		x.Fatalf("no journal: %v", err)
	}
	return filepath.Base(filepath.Dir(all[len(all)-1]))
}

// TestEvacuateAsksForRebuildFirst: where the first look would cost something, nothing is looked at.
func TestEvacuateAsksForRebuildFirst(t *testing.T) {
	t.Parallel()
	h := newForecastHost(t, realhost.Options{Layout: "sdbox", RotateLogs: true})
	x := &evacuation{forecastHost: h, T: t, state: filepath.Join(t.TempDir(), "state"), said: &said{}}
	x.poison()
	if err := os.Remove(filepath.Join(x.MailRoot(), "mailboxes/INBOX/dbox-Mails/dovecot.index")); err != nil {
		t.Fatal(err)
	}
	before := tree(t, x.MailRoot())
	r := x.begin(t, false)
	p, err := r.Plan(t.Context(), plan.Evacuate)
	var first *plan.RebuildFirstError
	if p != nil || !errors.As(err, &first) || !strings.Contains(err.Error(), "rebuild") {
		t.Fatalf("%v, %v", p, err)
	}
	offers, err := r.Offers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range offers {
		if o.Remedy == plan.Evacuate && o.Refused == "" || o.Recommended && o.Remedy != plan.Rebuild {
			t.Errorf("offered: %+v", o)
		}
	}
	if tree(t, x.MailRoot()) != before {
		t.Error("the account was changed")
	}
}
