package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"dovemend/repair/salvage"
)

// undo takes back what a trial has added.
func (x *trial) undo(texts ...string) (*Undone, error) {
	x.t.Helper()
	e := New(x.dial, x.dir, "journal.jsonl", x.o, silent{}, slog.New(slog.DiscardHandler))
	e.cut, e.quietFor, e.unsure, e.pause, e.Quiet = x.cut, x.quiet, 3, -1, x.end
	u, err := e.Undo(deadline(x.t), x.gather(Filter{}, texts...))
	if errors.Is(err, errCut) {
		e.conn.Close()
		e.conn = nil
	}
	e.Close(x.t.Context())
	return u, err
}

// TestGoingOnAfterAKilledUndo: what an undo had taken out is missing again, not set aside; nothing was kept of it.
func TestGoingOnAfterAKilledUndo(t *testing.T) {
	texts := plain(5)
	for kill := 1; ; kill++ {
		s := &server{caps: "LITERAL+ UIDPLUS"}
		x := newTrial(t, s.dial, Options{})
		if _, _, err := x.apply(deadline(t), texts...); err != nil {
			t.Fatal(err)
		}
		lines := 0
		x.cut = func(int) error {
			if lines++; lines == kill {
				return errCut
			}
			return nil
		}
		_, err := x.undo(texts...)
		x.cut = nil
		if err != nil && !errors.Is(err, errCut) {
			t.Fatalf("killed at line %d: %v", kill, err)
		}
		whole := err == nil
		items, _, err := x.apply(deadline(t), texts...)
		if err != nil {
			t.Fatalf("after line %d: %v", kill, err)
		}
		expect(t, items, map[Status]int{Added: 5})
		exactly(t, s.texts(), texts...)
		if u, err := x.undo(texts...); err != nil || u.Removed != 5 || len(s.texts()) != 0 {
			t.Fatalf("undo after line %d: %+v, %v, %d left", kill, u, err, len(s.texts()))
		}
		if t.Failed() {
			t.Fatalf("after line %d", kill)
		}
		if whole {
			return
		}
	}
}

// TestConfirmedMessageIsNotSentAgain: a server that tells no UIDs and alters texts has said that it added them.
func TestConfirmedMessageIsNotSentAgain(t *testing.T) {
	s := &server{caps: "LITERAL+", alter: func(text string) string { return "X-Seen: yes\r\n" + text }}
	x := newTrial(t, s.dial, Options{All: true})
	for range 2 {
		items, _, err := x.apply(deadline(t), plain(6)...)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, items, map[Status]int{Added: 6})
		for i, item := range items {
			if item.Doubt == "" {
				t.Errorf("%d: its UID is %d, and nobody doubts it", i, item.UID)
			}
		}
	}
	if s.appends != 6 {
		t.Errorf("%d were sent", s.appends)
	}
}

// TestChangedSourceIsNotAdded: what is sent is what was hashed, or nothing.
func TestChangedSourceIsNotAdded(t *testing.T) {
	for name, now := range map[string]string{"other": "Message-ID: <3@x>\r\nSubject: numbEr 3\r\n\r\nxxx\r\n", "longer": plain(4)[3] + "more\r\n",
		"shorter": plain(4)[3][:20], "last byte": plain(4)[3][:len(plain(4)[3])-3] + "y\r\n"} {
		for _, caps := range []string{"", "LITERAL+ UIDPLUS", "LITERAL+ UIDPLUS MULTIAPPEND"} {
			t.Run(name+" "+caps, func(t *testing.T) {
				s := &server{caps: caps}
				x := newTrial(t, s.dial, Options{})
				texts := plain(8)
				opened := 0
				x.source = func(i int) string {
					if i != 3 {
						return texts[i]
					}
					if opened++; opened == 1 {
						return texts[i]
					}
					return now
				}
				items, _, err := x.apply(deadline(t), texts...)
				if err != nil {
					t.Fatal(err)
				}
				expect(t, items, map[Status]int{Added: 7, Unreadable: 1})
				exactly(t, s.texts(), append(texts[:3:3], texts[4:]...)...)
			})
		}
	}
}

// TestSourceBreaksWhenSentWithoutKeywords: the message that breaks is the one that is told, not another of its batch.
func TestSourceBreaksWhenSentWithoutKeywords(t *testing.T) {
	texts := plain(8)
	s := &server{caps: "LITERAL+ UIDPLUS", refuse: func(l letter) string {
		if strings.Contains(l.text, "number 3\r\n") && strings.Contains(l.flags, "$Label1") {
			return "NO keywords are not for this one"
		}
		return ""
	}}
	x := newTrial(t, s.dial, Options{})
	opened := 0
	x.source = func(i int) string {
		if i != 3 {
			return texts[i]
		}
		if opened++; opened <= 2 {
			return texts[i]
		}
		return texts[i][:20]
	}
	items, _, err := x.apply(deadline(t), texts...)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, items, map[Status]int{Added: 7, Unreadable: 1})
	if items[3].Status != Unreadable {
		t.Errorf("3 is %s", items[3].Status)
	}
	exactly(t, s.texts(), append(texts[:3:3], texts[4:]...)...)
}

// changing is a source whose messages may be others each time they are opened.
func changing(n int, text func(i int) string) func(yield func(*salvage.Message, error) bool) {
	return func(yield func(*salvage.Message, error) bool) {
		i := -1
		for m := range source(make([]string, n)...) {
			i++
			i := i
			m.Open = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text(i))), nil }
			if !yield(m, nil) {
				return
			}
		}
	}
}

// TestMessageThatCannotBeLookedAtBlocksNothing: going on and undoing pass by a message that the server fails at whatever it is asked.
func TestMessageThatCannotBeLookedAtBlocksNothing(t *testing.T) {
	for _, how := range []string{"NO [SERVERBUG] Internal error", "BYE", "CUT"} {
		for _, undo := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s undo=%v", how, undo), func(t *testing.T) {
				texts := plain(12)
				s := &server{caps: "LITERAL+ UIDPLUS", dark: func(l letter) string {
					if l.text == "dark" {
						return how
					}
					return ""
				}}
				x := newTrial(t, s.dial, Options{})
				x.cut = func(n int) error { // the third batch is sent, and none of its answers is on the disk
					if n == 20 {
						return errCut
					}
					return nil
				}
				if _, _, err := x.apply(deadline(t), texts...); !errors.Is(err, errCut) {
					t.Fatal(err)
				}
				x.cut = nil
				s.mu.Lock()
				s.next++
				s.letters = append(s.letters, letter{uid: s.next, text: "dark"})
				s.mu.Unlock()
				if !undo {
					items, _, err := x.apply(deadline(t), texts...)
					if err != nil {
						t.Fatal(err)
					}
					expect(t, items, map[Status]int{Added: 12})
					exactly(t, s.texts(), append([]string{"dark"}, texts...)...)
				}
				u, err := x.undo(texts...)
				if err != nil || len(u.Kept) != 0 {
					t.Fatalf("%+v, %v", u, err)
				}
				exactly(t, s.texts(), "dark")
			})
		}
	}
}

// TestDarkMessageThatIsOursIsNotSentAgain: what was on its way alone and what came and cannot be looked at are taken for one, which
// is told and never removed: nobody has seen that it is.
func TestDarkMessageThatIsOursIsNotSentAgain(t *testing.T) {
	texts := plain(3)
	s := &server{caps: "LITERAL+ UIDPLUS", hangUp: func(n int) bool { return n == 1 }, dark: func(l letter) string {
		if l.text == texts[0] {
			return "BYE"
		}
		return ""
	}}
	x := newTrial(t, s.dial, Options{})
	for range 2 {
		items, _, err := x.apply(deadline(t), texts...)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, items, map[Status]int{Added: 3})
		if items[0].Doubt == "" {
			t.Error("it is not told")
		}
		exactly(t, s.texts(), texts...)
	}
	u, err := x.undo(texts...)
	if err != nil || u.Removed != 2 || len(u.Kept) != 1 {
		t.Fatalf("%+v, %v", u, err)
	}
	exactly(t, s.texts(), texts[0])
}

// TestLateMessagesAreNotLeftTwice: a server that commits what it had received only after it was looked for has the message twice for
// a while; the second one is taken out again where the server can, and told where it cannot.
func TestLateMessagesAreNotLeftTwice(t *testing.T) {
	for _, caps := range []string{"LITERAL+ UIDPLUS", "LITERAL+"} {
		for _, undo := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s undo=%v", caps, undo), func(t *testing.T) {
				texts := plain(12)
				s := &server{caps: caps, hangUp: func(n int) bool { return n == 3 }, late: true}
				s.letters, s.next = []letter{{uid: 1, text: texts[2]}}, 1 // what was there before is not ours
				x := newTrial(t, s.dial, Options{All: true})
				if undo { // it comes after the restore has ended
					s.lateAfter = 100
				}
				items, _, err := x.apply(deadline(t), texts...)
				if err != nil {
					t.Fatal(err)
				}
				expect(t, items, map[Status]int{Added: 12})
				s.commit()
				want := append([]string{texts[2]}, texts...)
				switch {
				case undo && caps != "LITERAL+":
					exactly(t, s.texts(), append(want, texts[2])...)
				case caps == "LITERAL+":
					exactly(t, s.texts(), append(want, texts[2])...)
					if !undo && items[2].Doubt == "" {
						t.Error("that it is there twice is not told")
					}
					return
				default:
					exactly(t, s.texts(), want...)
				}
				if u, err := x.undo(texts...); err != nil || len(u.Kept) > 0 || u.Removed < 12 {
					t.Fatalf("%+v, %v", u, err)
				}
				exactly(t, s.texts(), texts[2])
			})
		}
	}
}

// TestProcessesAreEndedBeforeAnythingIsCalledLost: where they can be, nothing comes late, and nothing is sent twice.
func TestProcessesAreEndedBeforeAnythingIsCalledLost(t *testing.T) {
	texts := plain(12)
	s := &server{caps: "LITERAL+", hangUp: func(n int) bool { return n == 3 }, late: true, lateAfter: 100}
	x := newTrial(t, s.dial, Options{All: true})
	ended := 0
	x.end = func(ctx context.Context) (bool, error) {
		for s.open() > 0 { // else it would wait for ever, or end one of ours
			if err := ctx.Err(); err != nil {
				return false, err
			}
			time.Sleep(time.Millisecond)
		}
		ended++
		s.commit()
		return true, nil
	}
	items, _, err := x.apply(deadline(t), texts...)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, items, map[Status]int{Added: 12})
	exactly(t, s.texts(), texts...)
	if ended != 1 {
		t.Errorf("processes were ended %d times", ended)
	}
}
