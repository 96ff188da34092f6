package remote

import (
	"io"
	"testing"
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
