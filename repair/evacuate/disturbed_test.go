package evacuate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// TestClearingThatIsDisturbedGoesOn: Dovecot wakes up in the middle of it, makes the mailbox anew, and brings back what was left
// in it under new UIDs, with new mail.
func TestClearingThatIsDisturbedGoesOn(t *testing.T) {
	x := newTrial(t, 6, 2)
	want := x.without(x.s.everywhere())
	e := x.engine(x.dir+"/run", nil)
	turn, times := x.c.clear, 0
	e.Clear = func(ctx context.Context, stay Staying, run string, begun func(string) error) error {
		if times++; times == 1 {
			if err := begun("disturbed"); err != nil {
				return err
			}
			x.s.create("INBOX")
			x.s.deliver("INBOX", "message 02")
			x.s.deliver("INBOX", "new")
			return ErrNewMail
		}
		return turn(ctx, stay, "", begun)
	}
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want = append(want, "new []")
	slices.Sort(want)
	x.want("after", x.s.everywhere(), want)
	if s := e.State; len(s.Earlier) != 1 || s.Earlier[0].UID != 2 || len(s.Left) != 1 || s.Left[0].UID != 1 || len(s.ClearRuns) != 2 || times != 2 {
		t.Errorf("%+v, %d times", s, times)
	}
}

// TestMessagesThatShowAgainAreNotMovedTwice: a clearing is disturbed when the log is gone and the older index is still there, so that
// Dovecot shows messages that were moved out, under their UIDs, beside new mail.
func TestMessagesThatShowAgainAreNotMovedTwice(t *testing.T) {
	// The server may end a session over it, at any command ("IMAP session state is inconsistent"), and more than once.
	for _, op := range []string{"", "EXAMINE", "SELECT", "FETCH", "EXPUNGE", "MOVE"} {
		for _, how := range []fault{before, after} {
			for _, lost := range []int{1, 3} {
				if op == "MOVE" && lost > 1 { // that would be one of the messages' doing
					continue
				}
				t.Run(fmt.Sprintf("%s %d %d", op, how, lost), func(t *testing.T) { shownAgain(t, op, how, lost) })
			}
		}
	}
}

// shownAgain is that, where the server ends so many sessions at this command.
func shownAgain(t *testing.T, op string, how fault, lost int) {
	x := newTrial(t, 6, 2)
	want := append(x.without(x.s.everywhere()), "new []")
	slices.Sort(want)
	e := x.engine(x.dir+"/run", nil)
	before := slices.Clone(x.s.boxes["INBOX"].mails)
	turn, times := x.c.clear, 0
	e.Clear = func(ctx context.Context, stay Staying, run string, begun func(string) error) error {
		if times++; times == 1 {
			if err := begun("disturbed"); err != nil {
				return err
			}
			x.s.fail = func(_ *fake, _ int, is string) fault {
				if is == op && lost > 0 {
					lost--
					return how
				}
				return works
			}
			b := x.s.boxes["INBOX"]
			b.mails, b.next = slices.Clone(before), 7
			b.mails[5] = &mail{6, "new", nil, before[0].date} // it has a used UID
			return ErrNewMail
		}
		return turn(ctx, stay, "", begun)
	}
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.want("after", x.s.everywhere(), want)
}

// TestMailboxThatIsWrittenBackIsClearedAgain: the clearing comes to its end, but Dovecot, woken up in its middle, has the old list of
// messages in memory and writes it back. Resumed, or undone, or gone on with: no message is there twice.
func TestMailboxThatIsWrittenBackIsClearedAgain(t *testing.T) {
	for _, then := range []string{"go on", "resume", "undo"} {
		x := newTrial(t, 6, 2)
		before := x.s.all()
		want := x.without(x.s.everywhere())
		old := *x.s.boxes["INBOX"]
		old.mails = slices.Clone(old.mails)
		turn, times := x.c.clear, 0
		run := func() error {
			e := x.engine(x.dir+"/run", nil)
			defer e.Close()
			e.Clear = func(ctx context.Context, stay Staying, run string, begun func(string) error) error {
				if err := turn(ctx, stay, run, begun); err != nil {
					return err
				}
				if times++; times > 1 {
					return nil
				}
				back := old
				x.s.boxes["INBOX"] = &back
				if then == "go on" {
					return nil
				}
				return errKilled
			}
			return e.Run(t.Context())
		}
		err := run()
		if then == "resume" && errors.Is(err, errKilled) {
			err = run()
		}
		if then == "undo" && errors.Is(err, errKilled) {
			x.c.took = []*mail{old.mails[1]} // what the clearing took: the poison
			x.c.was = 0
			_, err = x.undo(0)
			x.want(then, x.s.all(), before)
		} else {
			x.want(then, x.s.everywhere(), want)
		}
		if err != nil {
			t.Errorf("%s: %v", then, err)
		}
	}
}

// TestNoRoomStopsItAndRoomLetsItGoOn: no smaller batch helps where there is no room, and no message is taken for unreadable.
func TestNoRoomStopsItAndRoomLetsItGoOn(t *testing.T) {
	x := newTrial(t, 9)
	want := x.s.everywhere()
	x.s.room = 4
	s, err := x.run(0)
	if !errors.Is(err, ErrFull) || !s.Changed() || len(s.Left) > 0 {
		t.Fatalf("%v, left %v", err, s.Left)
	}
	x.want("stopped", x.s.everywhere(), want)
	x.s.room = 0
	x.must(x.run(0))
	x.want("resumed", x.s.everywhere(), want)
	if len(x.in("INBOX")) > 0 {
		t.Errorf("%v", x.in("INBOX"))
	}
}

func TestNewMailMeanwhileIsMovedAndNotCleared(t *testing.T) {
	x := newTrial(t, 5, 2)
	n := 0
	x.s.fail = func(s *fake, _ int, op string) fault {
		if op == "MOVE" && n < 3 {
			s.deliver("INBOX", fmt.Sprintf("new %d", n))
			n++
		}
		return works
	}
	late := x.c.clear
	e := x.engine(x.dir+"/run", nil)
	e.Clear = func(ctx context.Context, stay Staying, run string, begun func(string) error) error {
		if n == 3 {
			n++
			x.s.deliver("INBOX", "at the last moment")
		}
		return late(ctx, stay, run, begun)
	}
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := x.in(day); len(got) != 8 || !slices.Contains(got, "at the last moment") || !slices.Contains(got, "new 2") {
		t.Errorf("%v", got)
	}
}

// TestNewMailUnderUIDsOfMessagesThatStay: the clearing is killed when the index files are gone; new mail comes, and Dovecot makes the
// mailbox anew and gives it the UIDs of the messages that stay. It is no message that stays: it is moved, not cleared.
func TestNewMailUnderUIDsOfMessagesThatStay(t *testing.T) {
	x := newTrial(t, 6, 1, 2)
	want := append(x.without(x.s.everywhere()), "new 1 []", "new 2 []")
	slices.Sort(want)
	e := x.engine(x.dir+"/run", nil)
	e.Clear = func(_ context.Context, _ Staying, _ string, begun func(string) error) error {
		if err := begun("killed"); err != nil {
			return err
		}
		x.s.create("INBOX")
		x.s.deliver("INBOX", "new 1")
		x.s.deliver("INBOX", "new 2")
		return errKilled
	}
	if err := errors.Join(e.Run(t.Context()), e.Close()); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	x.must(x.run(0))
	x.want("resumed", x.s.everywhere(), want)
	if len(x.in("INBOX")) > 0 {
		t.Errorf("%v", x.in("INBOX"))
	}
}
