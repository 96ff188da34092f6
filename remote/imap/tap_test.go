package imap

import (
	"bytes"
	"testing"
)

// TestTapKeepsLittleOfManyLiterals: one response with thousands of literals fills no memory.
func TestTapKeepsLittleOfManyLiterals(t *testing.T) {
	tp := &tap{out: make(chan answer, 1), gone: make(chan struct{})}
	text := bytes.Repeat([]byte("x"), keptLiteral)
	tp.take([]byte("* 1 FETCH (BODY[] {65536}\r\n"), false, false, nil)
	for range 2000 {
		tp.take(text, true, false, nil)
		tp.take([]byte(" BODY[] {65536}\r\n"), false, false, nil)
	}
	tp.take([]byte(")\r\n"), false, true, nil)
	kept := 0
	for _, l := range (<-tp.out).literals {
		kept += len(l)
	}
	if kept != keptAnswer {
		t.Errorf("%d bytes are kept", kept)
	}
	tp.take([]byte("* 2 FETCH (BODY[] {1}\r\n"), false, false, nil)
	tp.take([]byte("y"), true, false, nil)
	tp.take([]byte(")\r\n"), false, true, nil)
	if a := <-tp.out; len(a.literals) != 1 || string(a.literals[0]) != "y" {
		t.Errorf("the next one is %q", a.literals)
	}
}
