//go:build unix

package repair

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/damage"
	"dovemend/remote/remotetest/demoaccount"
	"dovemend/repair/plan"
	"dovemend/repair/rundir"
)

// broken are accounts for a rebuild that has everything to do: new index files, moved and changed message files.
var broken = map[string]func(t *testing.T) *bench{
	"mdbox": func(t *testing.T) *bench {
		return newBenchOf(t, demoaccount.Layout, func(root string) error {
			if err := errors.Join(os.RemoveAll(root), demoaccount.Unpack(root)); err != nil {
				return err
			}
			for _, kind := range []string{"index-header-garbage", "map-garbage", "message-magic"} {
				if _, err := damage.Break(damage.Target{MailRoot: root, Layout: demoaccount.Layout, Mailbox: "INBOX"}, kind, 1); err != nil {
					return err
				}
			}
			return nil
		})
	},
	"sdbox": func(t *testing.T) *bench {
		b := newBench(t)
		name := filepath.Join(b.folder("INBOX"), "u.4")
		bytes, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		copy(bytes[14:], "garbage") // the message's own header
		if err := os.WriteFile(name, bytes, 0o640); err != nil {
			t.Fatal(err)
		}
		return b
	},
	"maildir": func(t *testing.T) *bench { return newBenchOf(t, "maildir", layMaildir) },
}

func newBenchOf(t *testing.T, layout string, lay func(root string) error) *bench {
	t.Helper()
	h := remotetest.Embedded(t, remotetest.EmbeddedOptions{Layout: layout, Lay: lay})
	return &bench{T: t, h: h, state: filepath.Join(t.TempDir(), "state"), said: &said{}}
}

// layMaildir lays a Maildir whose dovecot-uidlist has garbage in its middle, and one message whose name tells a wrong size.
func layMaildir(root string) error {
	list := "3 V1577836800 N20 G000102030405060708090a0b0c0d0e0f\n"
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, sub), 0o700); err != nil {
			return err
		}
	}
	for i := range 12 {
		body := fmt.Sprintf("Subject: message %d\n\nText.\n", i+1)
		size := len(body)
		if i == 5 {
			size++
		}
		base := fmt.Sprintf("15778368%02d.M1P1.host,S=%d", i, size)
		if i == 7 {
			list += "\x00\x00garbage"
		}
		list += fmt.Sprintf("%d :%s\n", i+1, base)
		name := filepath.Join(root, "cur", base+":2,S")
		if err := os.WriteFile(name, []byte(body), 0o600); err != nil {
			return err
		}
		if at := time.Unix(1577836800+int64(i), 0); os.Chtimes(name, at, at) != nil {
			return errors.New("set the time of a message")
		}
	}
	return os.WriteFile(filepath.Join(root, "dovecot-uidlist"), []byte(list), 0o600)
}

// everything tells all files of the account but those set aside, with mode, time and bytes; of those that a rebuild stamps
// with the time of its own only the names.
func (b *bench) everything(times bool) string {
	b.Helper()
	var out strings.Builder
	err := filepath.WalkDir(b.h.MailRoot(), func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == string(plan.AsideDir) {
			return fs.SkipDir
		}
		fi, err := d.Info()
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(b.h.MailRoot(), p)
		if err != nil {
			return err
		}
		if !times {
			fmt.Fprintf(&out, "%s %v\n", rel, fi.Mode())
			return nil
		}
		bytes, err := os.ReadFile(p)
		fmt.Fprintf(&out, "%s %v %d %q\n", rel, fi.Mode(), fi.ModTime().Unix(), bytes)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return out.String()
}

func (b *bench) diff(what, got, want string) {
	b.Helper()
	if got == want {
		return
	}
	x, y := strings.Split(want, "\n"), strings.Split(got, "\n")
	for _, line := range x {
		if !slices.Contains(y, line) {
			b.Errorf("%s: lacks %.100s", what, line)
		}
	}
	for _, line := range y {
		if !slices.Contains(x, line) {
			b.Errorf("%s: has %.100s", what, line)
		}
	}
}

// afterStep calls do once after so many steps of a plan have been done.
type afterStep struct {
	*said
	at    int // negative: never
	steps int
	on    bool
	do    func()
}

func (a *afterStep) Stage(text string) { a.on = strings.HasPrefix(text, "repairing") }

func (a *afterStep) Advance(n int, _ int64) {
	if !a.on || a.at < 0 {
		return
	}
	if a.steps += n; a.steps >= a.at {
		a.at = -1
		a.do()
	}
}

// rebuild plans a rebuild of INBOX.
func (b *bench) rebuild() (*Run, *plan.Plan) {
	b.Helper()
	r := b.begin("repair", "INBOX")
	p, err := r.Plan(b.Context(), plan.Rebuild)
	if err != nil {
		b.Fatal(err)
	}
	if len(p.Steps) < 3 {
		b.Fatalf("a rebuild of %d steps", len(p.Steps))
	}
	return r, p
}

// shaken are the steps after which something happens: some of all, and the last.
func shaken(n int) []int {
	var list []int
	for k := 1; k < n; k += 1 + n/10 {
		list = append(list, k)
	}
	return append(list, n-1)
}

func TestRebuildIsTakenBackToTheLastByte(t *testing.T) {
	for layout, lay := range broken {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			b := lay(t)
			before := b.everything(true)
			r, _ := b.rebuild()
			if err := r.Apply(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.verified(r)
			if b.everything(true) == before {
				t.Fatal("nothing has changed")
			}
			after, again := b.everything(true), b.undo(r.ID())
			b.diff("after the undo", b.everything(true), before)
			b.undo(again)
			b.diff("after the undo of the undo", b.everything(true), after)
		})
	}
}

func TestRebuildThatIsInterruptedAfterAnyStepIsFinishedOrTakenBack(t *testing.T) {
	for layout, lay := range broken {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			b := lay(t)
			r, p := b.rebuild()
			if err := r.Apply(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.verified(r)
			want := b.everything(false)
			for _, k := range shaken(len(p.Steps)) {
				for _, end := range []string{"resume", "undo"} {
					b := lay(t)
					b.T = t
					before := b.everything(true)
					ctx, cancel := context.WithCancel(t.Context())
					b.rep = &afterStep{said: b.said, at: k, do: cancel}
					r, p := b.rebuild()
					err := r.Apply(ctx)
					cancel()
					if errors.Is(err, ErrUnchanged) && !slices.ContainsFunc(p.Steps[:k], func(s plan.Step) bool { return s.Op != plan.OpMkdir }) { // only a folder for what is set aside was made
						b.diff("unchanged", b.everything(true), before)
						continue
					}
					var stopped *StoppedError
					if !errors.As(err, &stopped) {
						t.Fatalf("after step %d of %d: %v", k, len(p.Steps), err)
					}
					if err := r.Close(); err != nil {
						t.Fatal(err)
					}
					if k < 4 { // the account is not left to itself
						if _, err := r.s.NewRun(t.Context(), "repair", r.account, r.boxes); !errors.As(err, new(*UnfinishedError)) {
							t.Errorf("a new run of a mailbox whose rebuild stopped midway: %v", err)
						}
					}
					if end == "undo" {
						b.undo(r.ID())
						b.diff(fmt.Sprintf("stopped after step %d and undone", k), b.everything(true), before)
						continue
					}
					again, err := Resume(t.Context(), b.options(), r.ID(), b.said)
					if err != nil {
						t.Fatalf("resume after step %d: %v", k, err)
					}
					b.verified(again)
					if err := again.Session().Close(); err != nil {
						t.Error(err)
					}
					b.diff(fmt.Sprintf("stopped after step %d and resumed", k), b.everything(false), want)
				}
			}
		})
	}
}

// A mail process wakes up, and writes what Dovecot would write: a new log, or more in the one that is there.
func TestRebuildBeginsAnewWhenAMailProcessWakesUp(t *testing.T) {
	for layout, lay := range broken {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			b := lay(t)
			r, p := b.rebuild()
			if err := r.Apply(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.verified(r)
			want := b.everything(false)
			anew := 0
			for _, k := range shaken(len(p.Steps)) {
				b := lay(t)
				dir := b.folder("INBOX")
				if layout == "maildir" {
					dir = b.h.MailRoot()
				}
				b.rep = &afterStep{said: b.said, at: k, do: func() {
					f, err := os.OpenFile(filepath.Join(dir, "dovecot.index.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := f.WriteString("woken"); err != nil {
						t.Error(err)
					}
					if err := f.Close(); err != nil {
						t.Error(err)
					}
				}}
				r, _ := b.rebuild()
				first := r.ID()
				if err := r.Apply(t.Context()); err != nil {
					t.Fatalf("woken after step %d of %d: %v", k, len(p.Steps), err)
				}
				if r.ID() == first { // too late to disturb
					if err := r.Close(); err != nil {
						t.Error(err)
					}
					continue
				}
				anew++
				b.verified(r)
				if m := b.meta(first); m.Stage != rundir.StageUndone || m.Error == "" {
					t.Errorf("woken after step %d: the first run is %s: %q", k, m.Stage, m.Error)
				}
				got := b.everything(false)
				if layout == "maildir" { // the new log was there, and stays where there was none
					got = strings.ReplaceAll(got, "dovecot.index.log -rw-------\n", "")
				}
				b.diff(fmt.Sprintf("woken after step %d", k), got, want)
			}
			if anew == 0 {
				t.Error("nothing ever disturbed")
			}
		})
	}
}
