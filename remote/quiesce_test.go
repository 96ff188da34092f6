package remote

import (
	"context"
	"errors"
	"testing"
	"time"
)

// scriptedHost is a processHost in memory.
type scriptedHost struct {
	running  []Process
	stuck    map[int]bool
	signals  int
	listings int
	hidden   bool
	err      error
}

func (h *scriptedHost) listing(ctx context.Context) (listing, error) {
	h.listings++
	return listing{processes: append([]Process{}, h.running...), hidden: h.hidden}, errors.Join(h.err, ctx.Err())
}

func (h *scriptedHost) signalAll(_ context.Context, list []Process, _ Signal) ([]error, error) {
	h.signals++
	errs := make([]error, len(list))
	for i, p := range list {
		if h.stuck[p.PID] {
			continue
		}
		for j, r := range h.running {
			if r.PID == p.PID {
				h.running = append(h.running[:j], h.running[j+1:]...)
				break
			}
		}
		if p.Start == "reused" {
			errs[i] = ErrProcessGone
		}
	}
	return errs, nil
}

func TestQuiesceGivesUpOnWhatCannotDie(t *testing.T) {
	h := &scriptedHost{running: []Process{{PID: 7, Start: "a"}, {PID: 8, Start: "b"}, {PID: 9, Start: "reused"}}, stuck: map[int]bool{7: true}}
	start := time.Now()
	q, err := quiesce(context.Background(), h, QuiesceOptions{Grace: 50 * time.Millisecond, Settle: 50 * time.Millisecond})
	if err != nil || q.Stayed || len(q.Ended) != 2 || len(q.Back) != 1 || q.Back[0].PID != 7 {
		t.Errorf("%+v %v", q, err)
	}
	if h.signals != 2 || time.Since(start) > killWait+5*time.Second {
		t.Errorf("%d signals in %v", h.signals, time.Since(start))
	}
}

func TestQuiesceWatchesTheWholeSettleTime(t *testing.T) {
	h := &scriptedHost{hidden: true}
	start := time.Now()
	q, err := quiesce(context.Background(), h, QuiesceOptions{Settle: time.Second})
	if err != nil || !q.Stayed || !q.Hidden || h.signals != 0 {
		t.Errorf("%+v %v, %d signals", q, err, h.signals)
	}
	if took := time.Since(start); took < time.Second || h.listings < 4 {
		t.Errorf("watched for %v in %d looks", took, h.listings)
	}
}

func TestQuiesceEndsWithContext(t *testing.T) {
	h := &scriptedHost{running: []Process{{PID: 7, Start: "a"}}, stuck: map[int]bool{7: true}}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	q, err := quiesce(ctx, h, QuiesceOptions{})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	if q.Stayed || len(q.Back) != 1 {
		t.Errorf("%+v", q)
	}
}

func TestQuiescePassesNoShellOn(t *testing.T) {
	if _, err := quiesce(context.Background(), &scriptedHost{err: ErrNoShell}, QuiesceOptions{}); !errors.Is(err, ErrNoShell) {
		t.Errorf("%v, want ErrNoShell", err)
	}
}
