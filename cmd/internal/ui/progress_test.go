package ui

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a time that moves when told.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.t = c.t.Add(d) }

func testProgress(quiet bool) (*Progress, *bytes.Buffer, *clock) {
	b, c := new(bytes.Buffer), &clock{t: time.Unix(1577836800, 0)}
	p := NewProgress(b, false, quiet)
	p.now = c.now
	return p, b, c
}

func TestProgressWithoutTerminalTellsEveryTenSeconds(t *testing.T) {
	p, b, c := testProgress(false)
	p.Stage("copying the mailbox")
	p.Total(100, 1_000_000)
	for range 25 {
		c.pass(time.Second)
		p.Advance(1, 10_000)
	}
	p.Done()
	want := "copying the mailbox\n" +
		"  10 of 100 files, 100.0 kB of 1.0 MB, 10.0 kB/s, about 1m30s left\n" +
		"  20 of 100 files, 200.0 kB of 1.0 MB, 10.0 kB/s, about 1m20s left\n" +
		"  25 files, 250.0 kB in 25s\n"
	if got := b.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestQuietProgressTellsWarningsOnly(t *testing.T) {
	p, b, c := testProgress(true)
	p.Stage("copying the mailbox")
	p.Total(2, 2)
	c.pass(time.Minute)
	p.Advance(1, 1)
	p.Info("something")
	p.Warn("the file \x1b[2J is odd")
	p.Done()
	if got := b.String(); got != "warning: the file \\x1b[2J is odd\n" {
		t.Errorf("got %q", got)
	}
	if w := p.Warnings(); len(w) != 1 {
		t.Errorf("warnings %q, want one", w)
	}
}

func TestProgressCanBeToldFromManyGoroutines(t *testing.T) {
	p, b, _ := testProgress(false)
	p.Stage("copying")
	p.Total(800, 800)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				p.Advance(1, 1)
			}
			p.Info("done")
		})
	}
	wg.Wait()
	p.Done()
	if got := b.String(); !strings.Contains(got, "800 files, 800 B") {
		t.Errorf("got %q", got)
	}
}
