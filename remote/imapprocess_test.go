package remote

import (
	"fmt"
	"io"
	"testing"
	"time"
)

// bareInput notes its end without a lock, as the input of a channel in x/crypto/ssh does.
type bareInput struct{ ended bool }

func (b *bareInput) Write(p []byte) (int, error) {
	if b.ended {
		return 0, io.EOF
	}
	return len(p), nil
}

func (b *bareInput) Close() error {
	b.ended = true
	return nil
}

// TestIMAPProcessIsClosedWhileItIsWrittenTo is for the race detector: the end of a connection is noticed by another goroutine than the
// one that asks.
func TestIMAPProcessIsClosedWhileItIsWrittenTo(t *testing.T) {
	for range 50 {
		p := &imapProcess{in: &bareInput{}, wait: func() error { return nil }, stop: func() {}}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 100 {
				if _, err := p.Write([]byte("a1 NOOP\r\n")); err != nil {
					return
				}
			}
		}()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		<-done
		if _, err := p.Write([]byte("x")); err == nil {
			t.Error("written after the end")
		}
	}
}

// TestLogIsToldFromAPlaceOn: each line once, also where the beginning is no longer kept, and none before it is whole.
func TestLogIsToldFromAPlaceOn(t *testing.T) {
	r := &ring{limit: 1000, ended: make(chan struct{})}
	in, out := io.Pipe()
	go r.fill(in)
	write := func(text string) {
		if _, err := out.Write([]byte(text)); err != nil {
			t.Error(err)
		}
	}
	write("motd\n" + logMark + "\nfirst\nhal")
	told, at := "", int64(0)
	tell := func() {
		lines, next := r.since(at)
		told, at = told+string(lines), next
	}
	wait := func(total int) {
		for {
			r.mu.Lock()
			n := r.total
			r.mu.Unlock()
			if n >= int64(total) {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	total := len("motd\n" + logMark + "\nfirst\nhal")
	wait(total)
	tell()
	if told != "first\n" {
		t.Fatalf("told %q", told)
	}
	write("f\n")
	want := "first\nhalf\n"
	for i := range 500 { // ten times what is kept
		line := fmt.Sprintf("line %d of the log\n", i)
		write(line)
		want += line
		total += len(line)
		wait(total + 2)
		tell()
	}
	if told != want {
		t.Errorf("told %d bytes of %d", len(told), len(want))
	}
	if lines, next := r.since(0); next != at || len(lines) == 0 || len(lines) > 1000 {
		t.Errorf("from the beginning: %d bytes up to %d of %d", len(lines), next, at)
	}
}
