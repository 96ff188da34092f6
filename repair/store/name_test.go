package store

import (
	"testing"
	"unicode/utf8"
)

func TestDecodeNameReadsModifiedUTF7(t *testing.T) {
	for _, tt := range []struct{ stored, shown string }{
		{"INBOX", "INBOX"},
		{"Entw&APw-rfe", "Entwürfe"},
		{"&U,BTFw-", "台北"},
		{"~peter", "~peter"},
		{"&ZeVnLIqe-", "日本語"},
		{"A&-B", "A&B"},
		{"&-", "&"},
		{"&2D3eAA-", "😀"},
		{"a b", "a b"},
		// Not as a proper encoder writes it: shown as it is.
		{"&", "&"},
		{"A&B", "A&B"},
		{"&APw", "&APw"},
		{"&AGE-", "&AGE-"},             // printable ASCII in base64
		{"&AC8-", "&AC8-"},             // a slash would add a level
		{"&APw-&APw-", "&APw-&APw-"},   // two runs side by side
		{"&2D0-", "&2D0-"},             // half a surrogate pair
		{"&APx-", "&APx-"},             // bits left over
		{"&A-", "&A-"},                 // half a unit
		{"&AP/8-", "&AP/8-"},           // "/" is not of this base64
		{"Entwürfe", "Entwürfe"},       // UTF-8 storage
		{"bad\xffname", "bad\xffname"}, // neither
		{"tab\there", "tab\there"},
		{"", ""},
	} {
		if got := DecodeName(tt.stored); got != tt.shown {
			t.Errorf("DecodeName(%q) = %q, want %q", tt.stored, got, tt.shown)
		}
	}
}

func FuzzNameCodesRoundTrip(f *testing.F) {
	for _, s := range []string{"", "INBOX", "Entwürfe", "&", "&-", "a&b", "日本語", "\x00", "\xff", "&APw-", "😀x😀"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if utf8.ValidString(s) {
			e := EncodeName(s)
			if got := DecodeName(e); got != s {
				t.Errorf("DecodeName(EncodeName(%q)) = %q by way of %q", s, got, e)
			}
		}
		if d, ok := decodeName(s); ok && EncodeName(d) != s {
			t.Errorf("%q decodes to %q, which encodes to %q", s, d, EncodeName(d))
		}
	})
}
