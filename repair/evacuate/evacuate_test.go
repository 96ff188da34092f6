package evacuate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"dovemend/remote/imap"
)

// quietly is a Reporter that says nothing.
type quietly struct{}

func (quietly) Stage(string)       {}
func (quietly) Total(int, int64)   {}
func (quietly) Advance(int, int64) {}
func (quietly) Info(string)        {}
func (quietly) Warn(string)        {}

const day = "BACKUP20260131"

// trial is an evacuation of a fake server's INBOX.
type trial struct {
	*testing.T
	s     *fake
	c     *clearing
	dir   string
	back  bool
	agree error
	batch int
}

func newTrial(t *testing.T, n int, poison ...int) *trial {
	t.Helper()
	s := newFake("INBOX", "Archive")
	for i := range n {
		text := fmt.Sprintf("message %02d", i+1) // all of one length, and so of one date and size
		s.deliver("INBOX", text, `\Seen`, fmt.Sprintf("k%d", i%3))
		s.poison[text] = slices.Contains(poison, i+1)
	}
	s.deliver("Archive", "old")
	return &trial{T: t, s: s, c: &clearing{s: s, name: "INBOX", runs: map[string]bool{}}, dir: t.TempDir(), batch: 3}
}

func (x *trial) engine(dir string, from *State) *Engine {
	x.Helper()
	e := &Engine{Dial: x.s.dial, Find: x.s.find, Report: quietly{}, State: from,
		Options: Options{Mailbox: "INBOX", Backup: day, Back: x.back, Batch: x.batch, Clear: x.c.clear,
			Agree: func([]Left) error { return x.agree }}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		x.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		x.Fatal(err)
	}
	x.Cleanup(func() { root.Close() })
	if err := e.Open(root); err != nil {
		x.Fatal(err)
	}
	x.Cleanup(func() { e.Close() })
	return e
}

// run does the evacuation, or goes on with it; cut ends it once so many lines are in its journal, 0 never.
func (x *trial) run(cut int) (*State, error) {
	x.Helper()
	e := x.engine(x.dir+"/run", nil)
	e.Cut(cutAt(cut))
	err := e.Run(x.Context())
	return e.State, errors.Join(err, e.Close())
}

var errKilled = errors.New("killed")

func cutAt(cut int) func(int) error {
	return func(n int) error {
		if n == cut {
			return errKilled
		}
		return nil
	}
}

// undo takes the evacuation back, cut as run is.
func (x *trial) undo(cut int) (*State, error) {
	x.Helper()
	root, err := os.OpenRoot(x.dir + "/run")
	if err != nil {
		x.Fatal(err)
	}
	defer root.Close()
	s, err := ReadState(root, nil)
	if err != nil {
		x.Fatal(err)
	}
	e := x.engine(x.dir+"/undo", s)
	e.Cut(cutAt(cut))
	err = e.Undo(x.Context(), x.c.uncleared(s.clearRun()))
	return e.State, errors.Join(err, e.Close())
}

func (x *trial) lines(name string) int {
	b, err := os.ReadFile(x.dir + "/" + name + "/" + JournalFile)
	if err != nil {
		x.Fatal(err)
	}
	return strings.Count(string(b), "\n")
}

func (x *trial) must(_ *State, err error) {
	x.Helper()
	if err != nil {
		x.Fatal(err)
	}
}

func (x *trial) want(what string, got, want []string) {
	x.Helper()
	if !slices.Equal(got, want) {
		x.Fatalf("%s:\n%s\nwant:\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// in lists the texts of a mailbox.
func (x *trial) in(name string) (texts []string) {
	if b := x.s.boxes[name]; b != nil {
		for _, m := range b.mails {
			texts = append(texts, m.text)
		}
	}
	return texts
}

// without leaves the lines of poison out.
func (x *trial) without(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(l string) bool {
		for text, bad := range x.s.poison {
			if bad && strings.Contains(l, text) {
				return true
			}
		}
		return false
	})
}

func TestEverythingReadableIsInTheBackupMailbox(t *testing.T) {
	x := newTrial(t, 10, 1, 5, 10)
	want := x.without(x.s.everywhere())
	s, err := x.run(0)
	x.must(s, err)
	x.want("after", x.s.everywhere(), want)
	if n := len(x.in(day)); n != 7 || len(x.in("INBOX")) != 0 {
		t.Errorf("%d messages in the backup mailbox, %d in INBOX", n, len(x.in("INBOX")))
	}
	if len(s.Left) != 3 || s.Left[1].UID != 5 || !x.s.subs[day] {
		t.Errorf("left: %v, subscribed: %v", s.Left, x.s.subs)
	}
}

func TestMovedBackTheBackupMailboxIsGone(t *testing.T) {
	x := newTrial(t, 10, 3)
	x.back = true
	want := x.without(x.s.everywhere())
	x.must(x.run(0))
	x.want("after", x.s.everywhere(), want)
	if x.s.boxes[day] != nil || x.s.subs[day] || len(x.in("INBOX")) != 9 {
		t.Errorf("INBOX %v, backup %v, subscribed %v", x.in("INBOX"), x.s.boxes[day], x.s.subs)
	}
}

// TestMessageThatBreaksTheMailboxStaysInTheBackup: it could be read at first, and not once it is back.
func TestMessageThatBreaksTheMailboxStaysInTheBackup(t *testing.T) {
	x := newTrial(t, 12)
	x.back = true
	want := x.s.everywhere()
	turn := x.c.clear
	e := x.engine(x.dir+"/run", nil)
	e.Clear = func(ctx context.Context, stay Staying, run string, begun func(string) error) error {
		x.s.poison["message 04"], x.s.poison["message 11"] = true, true
		return turn(ctx, stay, run, begun)
	}
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.want("after", x.s.everywhere(), want)
	x.want("backup", x.in(day), []string{"message 04", "message 11"})
	if len(e.State.Bad) != 2 || e.State.Bad[0].Why == "" {
		t.Errorf("named: %v", e.State.Bad)
	}
}

func TestNameThatIsTakenGetsACounter(t *testing.T) {
	x := newTrial(t, 2)
	x.s.create(day)
	x.s.create(day + "-2")
	x.must(x.run(0))
	if len(x.in(day+"-3")) != 2 {
		t.Errorf("%v", x.s.all())
	}
}

func TestMessageThatCannotBeMovedStays(t *testing.T) {
	x := newTrial(t, 9)
	x.s.unmoved["message 05"] = true
	s, err := x.run(0)
	x.must(s, err)
	if len(s.Left) != 1 || s.Left[0].UID != 5 || len(x.in(day)) != 8 {
		t.Errorf("left %v; backup %v", s.Left, x.in(day))
	}
}

func TestServerWithoutMoveAndUIDPlusIsRefusedBeforeAnything(t *testing.T) {
	x := newTrial(t, 3)
	x.s.ways = imap.Ways{}
	before := x.s.all()
	s, err := x.run(0)
	if !errors.Is(err, imap.ErrCannotMove) || s.Changed() {
		t.Errorf("%v, changed %v", err, s.Changed())
	}
	x.want("after", x.s.all(), before)
}

func TestLossThatIsNotAcceptedEndsItBeforeAnything(t *testing.T) {
	x := newTrial(t, 3, 2)
	x.agree = errors.New("no")
	before := x.s.all()
	s, err := x.run(0)
	if !errors.Is(err, x.agree) || s.Changed() {
		t.Errorf("%v, changed %v", err, s.Changed())
	}
	x.want("after", x.s.all(), before)
}

func TestMailboxThatIsNotAsCopiedIsLeftAlone(t *testing.T) {
	for name, known := range map[string]Known{"uidvalidity": {UIDValidity: 7}, "message gone": {UIDs: []uint32{1, 2, 3, 4}}} {
		x := newTrial(t, 3)
		before := x.s.all()
		e := x.engine(x.dir+"/run", nil)
		e.Known = known
		if err := e.Run(t.Context()); !errors.Is(err, ErrLooked) || e.State.Changed() {
			t.Errorf("%s: %v", name, err)
		}
		x.want(name, x.s.all(), before)
	}
}

func TestNames(t *testing.T) {
	at := func(names ...string) *imap.Listing {
		l := &imap.Listing{Delimiter: "."}
		for _, n := range names {
			l.Mailboxes = append(l.Mailboxes, imap.Mailbox{Name: n})
		}
		return l
	}
	for _, tt := range []struct {
		l          *imap.Listing
		name, want string
	}{
		{at("INBOX"), "B", "B"},
		{at("INBOX", "INBOX.Sent"), "B", "INBOX.B"},
		{at("INBOX", "INBOX.Sent", "INBOX.B", "INBOX.b-2"), "B", "INBOX.B-3"},
		{at("INBOX", "Sent", "INBOX.x"), "B", "B"},
		{at("INBOX", "Sent", "B"), "B", "B-2"},
	} {
		if got := free(tt.l, tt.name); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.l.Mailboxes, got, tt.want)
		}
	}
}
