package evacuate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"dovemend/remote/imap"
)

// servers are the ways in which a server can move.
var servers = []struct {
	name   string
	ways   imap.Ways
	silent bool // MOVE tells no new UIDs
}{
	{"MOVE", imap.Ways{Move: true, UIDPlus: true}, false},
	{"MOVE without COPYUID", imap.Ways{Move: true, UIDPlus: true}, true},
	{"COPY and EXPUNGE", imap.Ways{UIDPlus: true}, false},
	{"COPY without COPYUID", imap.Ways{UIDPlus: true}, true},
}

// everything asks for all that can be tried; else a part of it is, which with each run of the loop is as good as any other.
var everything = os.Getenv("DOVEMEND_TEST_FULL") != ""

// skip leaves out all but some of many things to try.
func skip(i, of int) bool { return !everything && i%of != 0 }

// each makes a trial of each server, with and without the way back.
func each(t *testing.T, test func(t *testing.T, fresh func(t *testing.T) *trial)) {
	for i, server := range servers {
		for _, back := range []bool{false, true} {
			if skip(i+map[bool]int{true: 1}[back], 2) {
				continue
			}
			t.Run(fmt.Sprintf("%s, back %v", server.name, back), func(t *testing.T) {
				t.Parallel()
				test(t, func(t *testing.T) *trial {
					x := newTrial(t, 7, 1, 4)
					x.s.ways, x.s.silent, x.back = server.ways, server.silent, back
					return x
				})
			})
		}
	}
}

// TestCutAfterEveryLineAndResumed: a kill after each line of the journal, and a resume: every readable message is there once.
func TestCutAfterEveryLineAndResumed(t *testing.T) {
	each(t, func(t *testing.T, fresh func(*testing.T) *trial) {
		x := fresh(t)
		want := x.without(x.s.everywhere())
		x.must(x.run(0))
		last := x.s.all()
		for cut := 1; cut <= x.lines("run"); cut++ {
			y := fresh(t)
			if _, err := y.run(cut); !errors.Is(err, errKilled) {
				t.Fatalf("cut after %d: %v", cut, err)
			}
			y.must(y.run(0))
			y.want(fmt.Sprintf("cut after line %d", cut), y.s.everywhere(), want)
			y.want(fmt.Sprintf("cut after line %d, by mailbox", cut), y.s.all(), last)
		}
	})
}

// TestCutAfterEveryLineAndUndone: a kill after each line, and an undo, which is killed after each of its lines too: every
// message is in INBOX again, once.
func TestCutAfterEveryLineAndUndone(t *testing.T) {
	each(t, func(t *testing.T, fresh func(*testing.T) *trial) {
		x := fresh(t)
		want := x.s.all()
		x.must(x.run(0))
		total := x.lines("run")
		for cut := 1; cut <= total; cut++ {
			if skip(total-cut, 4) {
				continue
			}
			for again := 1; ; again++ {
				y := fresh(t)
				_, _ = y.run(cut) // at its last line it ends well
				if cut == total {
					y.s.deliver("INBOX", "came since")
				}
				_, err := y.undo(again)
				if err != nil && !errors.Is(err, errKilled) {
					t.Fatalf("cut after %d, undo: %v", cut, err)
				}
				if err != nil {
					y.must(y.undo(0))
				}
				now := y.s.all()
				if cut == total {
					now = slices.DeleteFunc(now, func(l string) bool { return l == "INBOX came since []" })
					if len(now) != len(want) {
						t.Fatalf("new mail is lost or doubled: %v", y.s.all())
					}
				}
				y.want(fmt.Sprintf("cut after line %d, undo cut after line %d", cut, again), now, want)
				if y.s.boxes[day] != nil || y.s.subs[day] {
					t.Fatalf("cut after %d: the backup mailbox is still there", cut)
				}
				if err == nil {
					break
				}
			}
		}
	})
}

// TestConnectionLostAtEveryCommand breaks each command of a whole evacuation off in each way. Where it stops over that, a
// resume or an undo puts all in order.
func TestConnectionLostAtEveryCommand(t *testing.T) {
	each(t, func(t *testing.T, fresh func(*testing.T) *trial) {
		x := fresh(t)
		before := x.s.all()
		want := x.without(x.s.everywhere())
		x.must(x.run(0))
		last, commands := x.s.all(), x.s.commands
		for n := 1; n <= commands; n++ {
			if skip(n, 7) {
				continue
			}
			for _, how := range []fault{ahead, after, half, no} {
				for _, then := range []string{"resume", "undo"} {
					y := fresh(t)
					y.s.fail = func(_ *fake, i int, _ string) fault {
						if i == n {
							return how
						}
						return works
					}
					s, err := y.run(0)
					what := fmt.Sprintf("command %d, fault %d, %s (%v)", n, how, then, err)
					switch {
					case then == "resume":
						if err != nil {
							y.must(y.run(0))
						}
						y.want(what, y.s.everywhere(), want)
						y.want(what, y.s.all(), last)
					case s.Changed() || s.Begun:
						y.must(y.undo(0))
						y.want(what, y.s.all(), before)
					default:
						y.want(what, y.s.all(), before)
					}
				}
			}
		}
	})
}

const ahead = before // which the tests call the account as it was

// TestKilledAtEveryCommand kills at each command too, when it is done and nothing of the answer has come, or half of it.
func TestKilledAtEveryCommand(t *testing.T) {
	each(t, func(t *testing.T, fresh func(*testing.T) *trial) {
		x := fresh(t)
		before := x.s.all()
		want := x.without(x.s.everywhere())
		x.must(x.run(0))
		for n := 1; n <= x.s.commands; n++ {
			if skip(n, 8) {
				continue
			}
			for _, how := range []fault{ahead, after, half} {
				for _, then := range []string{"resume", "undo"} {
					y := fresh(t)
					dead := false
					y.s.fail = func(_ *fake, i int, _ string) fault {
						switch {
						case i == n:
							dead = true
							return how
						case i > n && dead:
							return ahead
						}
						return works
					}
					s, err := y.run(0)
					if err == nil {
						t.Fatalf("command %d: it went on", n)
					}
					dead = false
					what := fmt.Sprintf("killed at command %d, fault %d, %s", n, how, then)
					switch {
					case then == "resume":
						y.must(y.run(0))
						y.want(what, y.s.everywhere(), want)
					case s.Begun:
						y.must(y.undo(0))
						y.want(what, y.s.all(), before)
					default:
						y.want(what, y.s.all(), before)
					}
				}
			}
		}
	})
}

// TestIdenticalMessagesAreNotTakenForEachOther: of two messages of the same text, date and size one is moved and one is not.
func TestIdenticalMessagesAreNotTakenForEachOther(t *testing.T) {
	for cut := 1; cut < 30; cut++ {
		x := newTrial(t, 0)
		for range 6 {
			x.s.deliver("INBOX", "the same")
		}
		x.s.ways, x.s.silent = imap.Ways{Move: true, UIDPlus: true}, true
		want := x.s.everywhere()
		_, err := x.run(cut)
		x.must(x.run(0))
		x.want(fmt.Sprintf("cut after line %d", cut), x.s.everywhere(), want)
		if err == nil {
			return
		}
	}
	t.Error("it never came to its end")
}

// TestOthersTakeMessagesAway: a filter moves messages elsewhere while they are evacuated.
func TestOthersTakeMessagesAway(t *testing.T) {
	x := newTrial(t, 9)
	want := x.s.everywhere()
	at := 0
	x.s.fail = func(s *fake, _ int, op string) fault {
		b := s.boxes["INBOX"]
		if op == "MOVE" && len(b.mails) > 2 && at < 3 {
			at++
			m := b.mails[1]
			b.mails = slices.Delete(b.mails, 1, 2)
			m.uid = s.boxes["Archive"].next
			s.boxes["Archive"].next++
			s.boxes["Archive"].mails = append(s.boxes["Archive"].mails, m)
		}
		return works
	}
	s, err := x.run(0)
	x.must(s, err)
	x.want("after", x.s.everywhere(), want)
	if _, _, gone := s.Counts(); gone != 3 {
		t.Errorf("%d are told as gone, not 3", gone)
	}
}

// TestEditedJournalIsRefused: what was changed in the journal is noticed before anything is done.
func TestEditedJournalIsRefused(t *testing.T) {
	x := newTrial(t, 4)
	_, _ = x.run(6)
	name := x.dir + "/run/" + JournalFile
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[20] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(x.dir + "/run")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := ReadState(root, nil); err == nil {
		t.Error("it was read")
	}
}

// TestUndoKilledAtEveryCommand kills the undo of a whole evacuation, and of one that was killed just after its clearing, at each command, and
// undoes it again: every message is in INBOX, once.
func TestUndoKilledAtEveryCommand(t *testing.T) {
	each(t, func(t *testing.T, fresh func(*testing.T) *trial) {
		for _, cleared := range []bool{false, true} {
			evacuated := func() (*trial, []string) {
				y := fresh(t)
				before := append(y.s.all(), "INBOX came since []")
				slices.Sort(before)
				if cleared { // and Dovecot has not answered for the new mailbox yet
					y.runCleared()
				} else {
					y.must(y.run(0))
				}
				y.s.deliver("INBOX", "came since")
				y.s.commands = 0
				return y, before
			}
			x, want := evacuated()
			x.must(x.undo(0))
			x.want("undo", x.s.all(), want)
			for n := 1; n <= x.s.commands; n++ {
				for i, how := range []fault{ahead, after, half} {
					if skip(n+i, 4) {
						continue
					}
					y, _ := evacuated()
					dead := false
					y.s.fail = func(_ *fake, i int, _ string) fault {
						switch {
						case i == n:
							dead = true
							return how
						case i > n && dead:
							return ahead
						}
						return works
					}
					_, _ = y.undo(0) // what fails may be the last of it, which is not needed
					dead = false
					y.s.fail = nil
					what := fmt.Sprintf("cleared %v, killed at command %d, fault %d", cleared, n, how)
					if _, err := y.undo(0); err != nil {
						t.Fatalf("%s: %v", what, err)
					}
					y.want(what, y.s.all(), want)
				}
			}
		}
	})
}

// runCleared does the evacuation as far as the clearing, and is killed when that is done.
func (x *trial) runCleared() {
	x.Helper()
	e := x.engine(x.dir+"/run", nil)
	e.Clear = func(ctx context.Context, stay Staying, run string, begun func(string) error) error {
		return errors.Join(x.c.clear(ctx, stay, run, begun), errKilled)
	}
	if err := errors.Join(e.Run(x.Context()), e.Close()); !errors.Is(err, errKilled) {
		x.Fatal(err)
	}
}
