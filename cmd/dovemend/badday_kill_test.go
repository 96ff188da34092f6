//go:build unix

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"dovemend/remote/remotetest"
	"dovemend/repair/rundir"
)

// TestKillAtRandomMoments kills clears of 200 messages with SIGKILL at random moments: each is either finished or taken
// back by what "dovemend runs" offers, and in the end every byte is as it was.
func TestKillAtRandomMoments(t *testing.T) {
	for _, layout := range []string{"sdbox", "maildir"} {
		d := newBadDay(t, layout, 200, remotetest.EmbeddedOptions{})
		before := d.tree()
		start := time.Now()
		if out, err := d.process("repair", clearIt...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		took := time.Since(start)
		d.want(0, "undo", nil)
		d.same("without a kill", before)
		stages := map[rundir.Stage]int{}
		for i := range 15 {
			moment := time.Duration(rand.New(rand.NewPCG(9, uint64(i))).Int64N(int64(took) * 11 / 10))
			t.Run(fmt.Sprintf("%s after %v of %v", layout, moment.Round(time.Millisecond), took.Round(time.Millisecond)), func(t *testing.T) {
				d := &badDay{t: t, h: d.h, state: t.TempDir()}
				stages[d.killAfter(moment, i%2 == 0, before)]++
			})
		}
		t.Logf("%s: killed at the stages %v", layout, stages)
	}
}

// killAfter kills a clear, and does what is offered then.
func (d *badDay) killAfter(moment time.Duration, back bool, before string) rundir.Stage {
	d.t.Helper()
	cmd := d.process("repair", clearIt...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	time.Sleep(moment)
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
	all := d.runs()
	if len(all) == 0 {
		d.same("killed before there was a run", before)
		return ""
	}
	run := all[0]
	switch {
	case !run.Undo: // nothing was changed, and both say so
		d.same("killed before the first change", before)
		d.want(2, "undo", []string{"--run", run.ID}, "changed nothing|nothing that", "next: dovemend runs")
	case run.Resume && !back:
		d.want(0, "resume", []string{"--run", run.ID}, "Verified")
		if n := d.messages(); n != 0 {
			d.t.Errorf("%d messages after resume", n)
		}
		d.want(0, "undo", []string{"--run", run.ID}, "Verified")
	default:
		d.want(0, "undo", []string{"--run", run.ID}, "Verified")
	}
	d.same("in the end", before)
	return run.Stage
}
