package evacuate

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"
)

// unclear takes the evacuation back, with something done in place of bringing the files back.
func (x *trial) unclear(restore func(ctx context.Context, was func(context.Context) error) error) error {
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
	u := x.c.uncleared(s.clearRun())
	was := u.Restore
	u.Restore = func(ctx context.Context) error { return restore(ctx, was) }
	e := x.engine(x.dir+"/undo", s)
	return errors.Join(e.Undo(x.Context(), u), e.Close())
}

// TestNewMailBeforeTheFilesComeBackIsMovedOutOfTheWay: it comes after the last look over IMAP, and the fresh copy of the files shows it.
func TestNewMailBeforeTheFilesComeBackIsMovedOutOfTheWay(t *testing.T) {
	x := newTrial(t, 6, 2)
	want := append(x.s.all(), "INBOX at the last moment []")
	slices.Sort(want)
	x.must(x.run(0))
	times := 0
	err := x.unclear(func(ctx context.Context, was func(context.Context) error) error {
		if times++; times == 1 {
			x.s.deliver("INBOX", "at the last moment")
			return ErrNewMail
		}
		return was(ctx)
	})
	x.must(nil, err)
	x.want("undone", x.s.all(), want)
}

// TestHalfRestoredMailboxIsNotOpened: the undo is killed while files come back; the next one looks at the mailbox only when all are back.
func TestHalfRestoredMailboxIsNotOpened(t *testing.T) {
	x := newTrial(t, 6, 2)
	want := x.s.all()
	x.must(x.run(0))
	if err := x.unclear(func(context.Context, func(context.Context) error) error { return errKilled }); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	whole := false
	x.s.selecting = func(op, name string) {
		if name == "INBOX" && !whole {
			t.Errorf("%s of a mailbox whose files are back in part", op)
		}
	}
	err := x.unclear(func(ctx context.Context, was func(context.Context) error) error {
		whole = true
		return was(ctx)
	})
	x.must(nil, err)
	x.want("undone", x.s.all(), want)
}

// TestNewMailUnderAnOldUIDIsMovedOutOfTheWay: an undo of an evacuation that was killed just after the clearing; while it moves what is new
// out of the way, more comes, under the UID of a message that stayed.
func TestNewMailUnderAnOldUIDIsMovedOutOfTheWay(t *testing.T) {
	x := newTrial(t, 6, 1, 4)
	want := append(x.s.all(), "INBOX came since []", "INBOX late []")
	slices.Sort(want)
	x.runCleared()
	x.s.deliver("INBOX", "came since")
	late := false
	x.s.fail = func(s *fake, _ int, op string) fault {
		if op == "MOVE" && !late {
			late = true
			s.boxes["INBOX"].next = 4
			s.deliver("INBOX", "late")
		}
		return works
	}
	x.must(x.undo(0))
	x.want("undone", x.s.all(), want)
}

// TestWhatCannotBeMovedOutOfTheWayStopsTheUndo: it would be set aside with the files, without a word.
func TestWhatCannotBeMovedOutOfTheWayStopsTheUndo(t *testing.T) {
	x := newTrial(t, 6, 2)
	x.must(x.run(0))
	x.s.deliver("INBOX", "stuck")
	x.s.unmoved["stuck"] = true
	if _, err := x.undo(0); err == nil {
		t.Error("it went on")
	}
	if !slices.Contains(x.in("INBOX"), "stuck") {
		t.Errorf("%v", x.s.all())
	}
	x.s.unmoved["stuck"] = false
	x.must(x.undo(0))
}

// TestMessageThatWaitsIsNotTakenForOneThatBreaks: a message that breaks the mailbox has there the UID that another one, which still waits in
// the backup mailbox, had in the old mailbox.
func TestMessageThatWaitsIsNotTakenForOneThatBreaks(t *testing.T) {
	x := newTrial(t, 9)
	x.back = true
	turn := x.c.clear
	e := x.engine(x.dir+"/run", nil)
	e.Clear = func(ctx context.Context, stay Staying, run string, begun func(string) error) error {
		if err := turn(ctx, stay, run, begun); err != nil {
			return err
		}
		for range 3 {
			x.s.deliver("INBOX", "came since")
		}
		x.s.poison["message 02"] = true // is UID 5 there when it is back
		return nil
	}
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.want("backup", x.in(day), []string{"message 02"})
}
