package evacuate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"dovemend/remote/imap"
)

// TestMoveThatTheServerEndsLate: the connection is lost, the server's process cannot be ended, and does what it was told only so many
// commands later. No message is lost sight of, and with MOVE none is there twice; also where the run is killed meanwhile.
func TestMoveThatTheServerEndsLate(t *testing.T) {
	looks, pause := steadyLooks, steadyPause
	steadyLooks, steadyPause = 2, time.Microsecond
	t.Cleanup(func() { steadyLooks, steadyPause = looks, pause })
	for _, server := range servers {
		if skip(map[bool]int{true: 1}[server.silent], 2) {
			continue
		}
		for _, back := range []bool{false, true} {
			for delay := range 60 {
				if skip(delay, 3) && delay > 25 {
					continue
				}
				x := newTrial(t, 7, 1, 4)
				x.s.ways, x.back = server.ways, back
				want := x.without(x.s.everywhere())
				moves := 0
				x.s.fail = func(s *fake, _ int, op string) fault {
					if op == "MOVE" || op == "COPY" {
						if moves++; moves == 2 || back && moves == 4 {
							s.delay = delay
							return later
						}
					}
					return works
				}
				unsure := func(e *Engine) error {
					e.Quiet = func(context.Context) (bool, error) { return false, nil }
					return errors.Join(e.Run(t.Context()), e.Close())
				}
				e := x.engine(x.dir+"/run", nil)
				if delay%2 == 1 { // killed once that is found out
					e.j.After = func(int) error {
						if len(e.State.Doubts) > 0 {
							return errKilled
						}
						return nil
					}
				}
				err := unsure(e)
				if errors.Is(err, errKilled) || imap.Ended(err) {
					e = x.engine(x.dir+"/run", nil)
					err = unsure(e)
				}
				what := fmt.Sprintf("%s, back %v, delay %d", server.name, back, delay)
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if !server.ways.Move { // a late COPY cannot be told from somebody's own
					for _, l := range want {
						if !slices.Contains(x.s.everywhere(), l) {
							t.Fatalf("%s: %s is not there", what, l)
						}
					}
					continue
				}
				x.want(what, x.s.everywhere(), want)
				if n, m, gone := e.State.Counts(); n != len(x.in(day)) || m != len(x.in("INBOX")) || gone > 0 {
					t.Fatalf("%s: %d, %d and %d gone; there are %v", what, n, m, gone, x.s.all())
				}
			}
		}
	}
}
