package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"dovemend/cmd/internal/ui"
	"dovemend/repair"
	"dovemend/repair/rundir"
)

// jitter is a number from 0 to 1.
func jitter() float64 { return rand.Float64() }

// apart gives the time until the next look: the interval, by up to a tenth more or less.
func apart(every time.Duration, jitter float64) time.Duration {
	return time.Duration(float64(every) * (0.9 + 0.2*jitter))
}

// loopReporter shows the warnings of one look and keeps them for its document.
type loopReporter struct {
	repair.Silent
	k    *call
	mu   sync.Mutex
	seen []string
}

func (r *loopReporter) Warn(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seen) < 100 {
		r.seen = append(r.seen, text)
	}
	ui.SayLog(r.k.p.stderr, "%s warning: %s", stamp(time.Now()), text)
}

func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// watchOn looks again and again until it is interrupted. With --json each look is one document in one line, and so is the end.
func (k *call) watchOn(o repair.WatchOptions, every time.Duration) error {
	end := &watchDocument{p: k.p, line: true}
	k.doc = end
	looks := 0
	for {
		rep := &loopReporter{k: k}
		x, err := repair.NewWatcher(k.opts, o, rep).Look(k.ctx())
		switch {
		case k.ctx().Err() != nil:
		case errors.Is(err, rundir.ErrLocked):
			rep.Warn("another watch of this account is looking at it right now")
		case err != nil:
			return watchError(err)
		default:
			looks++
			if err := k.tellLook(x, rep.seen); err != nil {
				return err
			}
		}
		select {
		case <-k.ctx().Done():
			return &endError{code: exitInterrupted, text: fmt.Sprintf("stopped after %s", ui.Count(looks, "look"))}
		case <-time.After(apart(every, jitter())):
		}
	}
}

// tellLook tells one look of many.
func (k *call) tellLook(x *repair.Watched, warnings []string) error {
	var end *endError
	errors.As(k.told(x), &end)
	if !k.json {
		return nil
	}
	doc := &watchDocument{p: k.p, line: true}
	doc.fill(k, x)
	doc.Command, doc.Warnings = k.verb, warnings
	if end != nil {
		doc.Exit, doc.Error, doc.Hint = end.code, end.text, end.hint
	}
	return doc.write()
}
