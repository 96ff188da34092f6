package remote

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestSafeEscapesWhatATerminalWouldObey(t *testing.T) {
	for in, want := range map[string]string{
		"plain ümläut ☃ 日本": "plain ümläut ☃ 日本",
		"a\nb\tc\r":         `a\nb\tc\r`,
		"\x1b[31m":          `\x1b[31m`,
		"\u009b31m":         `\u009b31m`,
		"a\u202eb\u2066":    `a\u202eb\u2066`,
		"zero\u200bwidth":   `zero\u200bwidth`,
		"\xff\xfe":          `\xff\xfe`,
		"\x00\x7f":          `\x00\x7f`,
		"bom\ufeff":         `bom\ufeff`,
		"nbsp\u00a0":        `nbsp\u00a0`,
		"tag\U000e0041":     `tag\U000e0041`,
		`C:\dir "q"`:        `C:\dir "q"`,
	} {
		if got := Safe(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	if got := safeLines("a\r\nb\x1b\n"); got != "a\nb\\x1b\n" {
		t.Errorf("lines become %q", got)
	}
	long := Safe(strings.Repeat("é", 100_000))
	if len(long) > safeLimit+60 || !strings.HasSuffix(long, "more)") || !utf8.ValidString(long) {
		t.Errorf("a long text becomes %d bytes, ending %q", len(long), long[len(long)-40:])
	}
}

func FuzzSafe(f *testing.F) {
	f.Add("a\x1b\xff\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		got := Safe(s)
		if !utf8.ValidString(got) || len(got) > safeLimit+60 {
			t.Fatalf("%q becomes %q", s, got)
		}
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q lets %U through", s, r)
			}
		}
		if Safe(got) != got && len(s) < safeLimit/10 {
			t.Fatalf("%q is not stable", got)
		}
	})
}
