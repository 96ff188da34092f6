package pathtext

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

func TestValidPathsStayReadable(t *testing.T) {
	for _, s := range []string{"", "mailboxes/INBOX", "Entwürfe/日本", "50%/a\\b", "\u2028\ufffd"} {
		if got := Encode(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
	if got, want := Encode("a\xffb\xc3"), "a\x00ffb\x00c3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDecodeRefusesMalformedText(t *testing.T) {
	for _, s := range []string{"\x00", "\x00f", "a\x00FF", "\x00zz", "\x00\x0000"} {
		if got, err := Decode(s); err == nil {
			t.Errorf("%q became %q", s, got)
		}
	}
}

func FuzzEveryStringSurvivesJSON(f *testing.F) {
	for _, s := range []string{"", "a/b", "\xff\xfe", "\x00", "\x00ff", "ü\xc3", "\xed\xa0\x80", "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(Encode(s)) {
			t.Errorf("%q: not UTF-8", s)
		}
		b, err := json.Marshal(map[string]Path{"p": Path(s)})
		if err != nil {
			t.Fatal(err)
		}
		var back map[string]Path
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if string(back["p"]) != s {
			t.Errorf("%q came back as %q", s, back["p"])
		}
	})
}
