package mailgen

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

func TestSeriesIsTheSameForASeedAndOnlyForIt(t *testing.T) {
	a, b, other := Series(7, 100), Series(7, 100), Series(8, 100)
	differ := false
	for i := range a {
		if !bytes.Equal(a[i].Bytes, b[i].Bytes) || !a[i].Date.Equal(b[i].Date) || !slices.Equal(a[i].Flags, b[i].Flags) || !slices.Equal(a[i].Keywords, b[i].Keywords) {
			t.Errorf("message %d differs between two calls", i)
		}
		differ = differ || !bytes.Equal(a[i].Bytes, other[i].Bytes)
	}
	if !differ {
		t.Error("another seed gives the same messages")
	}
	if short := Series(7, 10); !bytes.Equal(short[9].Bytes, a[9].Bytes) {
		t.Error("a shorter series begins otherwise")
	}
}

func TestSeriesHoldsWhatMailboxesHold(t *testing.T) {
	mails := Series(1, 60)
	has := map[string]func(b []byte) bool{
		"a NUL byte":         func(b []byte) bool { return bytes.IndexByte(b, 0) >= 0 },
		"an 8-bit byte":      func(b []byte) bool { return bytes.ContainsFunc(b, func(r rune) bool { return r > 127 }) },
		"no final newline":   func(b []byte) bool { return b[len(b)-1] != '\n' },
		"no body":            func(b []byte) bool { return bytes.HasSuffix(b, []byte("\r\n\r\n")) },
		"no empty line":      func(b []byte) bool { return !bytes.Contains(b, []byte("\r\n\r\n")) },
		"a bare CR":          func(b []byte) bool { return bytes.Contains(bytes.ReplaceAll(b, []byte("\r\n"), nil), []byte("\r")) },
		"a bare LF":          func(b []byte) bool { return bytes.Contains(bytes.ReplaceAll(b, []byte("\r\n"), nil), []byte("\n")) },
		"a mail within":      func(b []byte) bool { return bytes.Contains(b, []byte("message/rfc822")) },
		"an attachment":      func(b []byte) bool { return bytes.Contains(b, []byte("base64")) },
		"dbox's record mark": func(b []byte) bool { return bytes.Contains(b, []byte("\x01\x02N")) },
		"a line over 10 kB": func(b []byte) bool {
			return slices.ContainsFunc(bytes.Split(b, []byte("\n")), func(l []byte) bool { return len(l) > 10000 })
		},
		"headers over 20 kB": func(b []byte) bool { h, _, _ := bytes.Cut(b, []byte("\r\n\r\n")); return len(h) > 20000 },
	}
	for what, is := range has {
		if !slices.ContainsFunc(mails, func(m Mail) bool { return is(m.Bytes) }) {
			t.Errorf("no message has %s", what)
		}
	}
	for i, m := range mails {
		if !bytes.Contains(m.Bytes, fmt.Appendf(nil, "\r\n%s: %d\r\n", NumberHeader, i)) && !bytes.HasPrefix(m.Bytes, fmt.Appendf(nil, "%s: %d\r\n", NumberHeader, i)) {
			t.Errorf("message %d (%s) does not tell its number", i, m.Kind)
		}
		if i > 0 && !m.Date.After(mails[i-1].Date) {
			t.Errorf("message %d is not after the one before", i)
		}
	}
}
