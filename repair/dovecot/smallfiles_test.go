package dovecot

import "testing"

func TestUIDValidityIsReadFromContentAndName(t *testing.T) {
	for _, c := range []struct {
		name, content string
		value         uint32
		ok            bool
		faults        int
	}{
		{"dovecot-uidvalidity", "6b052d7d", 0x6b052d7d, true, 0},
		{"dovecot-uidvalidity", "6b052d7d\n", 0x6b052d7d, true, 0},
		{"dovecot-uidvalidity.6b052d7d", "", 0x6b052d7d, true, 0},
		{"dovecot-uidvalidity.6b052d7d", "x", 0x6b052d7d, true, 1},
		{"dovecot-uidvalidity", "", 0, false, 1},
		{"dovecot-uidvalidity", "6b052", 0x6b052, false, 1},
		{"dovecot-uidvalidity", "\x00\x00\x00\x00\x00\x00\x00\x00", 0, false, 1},
		{"dovecot-uidvalidity", "a text that is no number", 0, false, 2},
		{"dovecot-uidvalidity.lock", "", 0, false, 1},
	} {
		value, ok, list := ParseUIDValidity(c.name, []byte(c.content))
		if value != c.value || ok != c.ok || len(list) != c.faults {
			t.Errorf("%s %q: got %x, %v, %v; want %x, %v, %d faults", c.name, c.content, value, ok, list, c.value, c.ok, c.faults)
		}
	}
}
