package probe

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind is what differs.
type Kind string

// The kinds of difference.
const (
	Missing     Kind = "missing"     // expected, and not in the mailbox
	Extra       Kind = "extra"       // in the mailbox, and not expected
	Duplicated  Kind = "duplicated"  // in the mailbox under another UID as well
	Flags       Kind = "flags"       // system flags
	Keywords    Kind = "keywords"    // user flags
	Date        Kind = "date"        // received date
	Size        Kind = "size"        // RFC822.SIZE
	Text        Kind = "body"        // the message's own bytes
	UIDValidity Kind = "uidvalidity" // of the mailbox; mail programs download everything again
	Renumbered  Kind = "uid"         // there, byte for byte, under another UID
	Unreadable  Kind = "unreadable"  // the message, or with UID 0 the mailbox, cannot be read
)

// Want is what one message is expected to be. Zero fields are not compared.
type Want struct {
	UID          uint32
	Flags        []string // system flags, with their backslash
	Keywords     []string
	NoFlags      bool // flags and keywords are not foretold
	InternalDate time.Time
	Size         int64
	BodySHA256   string // hex, as by Digest
}

// Expected is what a mailbox is expected to be.
type Expected struct {
	UIDValidity uint32 // 0: not foretold
	Messages    []Want
	MayGrow     bool // messages with higher UIDs than all expected ones are new mail, not extra
}

// Difference is one thing that is not as expected.
type Difference struct {
	UID  uint32 // 0 for the mailbox as a whole
	Kind Kind
	Text string // in words, safe to print
}

// Compare says in what a reading differs from what is expected, in the order of UIDs.
func Compare(want Expected, got Reading) []Difference {
	var d []Difference
	add := func(uid uint32, kind Kind, format string, args ...any) {
		d = append(d, Difference{uid, kind, fmt.Sprintf(format, args...)})
	}
	if !got.Opened && len(got.Messages) == 0 {
		add(0, Unreadable, "the mailbox could not be opened")
		return d
	}
	if !got.Complete {
		add(0, Unreadable, "the mailbox could not be read to its end")
	}
	if want.UIDValidity != 0 && want.UIDValidity != got.UIDValidity {
		add(0, UIDValidity, "UIDVALIDITY was %d and is %d", want.UIDValidity, got.UIDValidity)
	}
	expected := make(map[uint32]bool)
	bodies := make(map[string]int) // how often each text is expected
	var last uint32
	for _, w := range want.Messages {
		expected[w.UID] = true
		last = max(last, w.UID)
		if w.BodySHA256 != "" {
			bodies[w.BodySHA256]++
		}
	}
	there := make(map[uint32]*Message)
	strays := make(map[string][]uint32) // unexpected UIDs by text
	for i := range got.Messages {
		m := &got.Messages[i]
		there[m.UID] = m
		if !expected[m.UID] && m.BodySHA256 != "" {
			strays[m.BodySHA256] = append(strays[m.BodySHA256], m.UID)
		}
	}
	for _, w := range want.Messages {
		m := there[w.UID]
		if m == nil {
			if s := strays[w.BodySHA256]; w.BodySHA256 != "" && len(s) > 0 {
				add(w.UID, Renumbered, "UID %d is now UID %d", w.UID, s[0])
				expected[s[0]] = true
				strays[w.BodySHA256] = s[1:]
			} else {
				add(w.UID, Missing, "UID %d is missing", w.UID)
			}
			continue
		}
		compareMessage(w, m, add)
	}
	for _, m := range got.Messages {
		switch {
		case expected[m.UID]:
		case bodies[m.BodySHA256] > 0:
			add(m.UID, Duplicated, "UID %d has the same text as another message", m.UID)
		case want.MayGrow && m.UID > last:
		default:
			add(m.UID, Extra, "UID %d was not expected", m.UID)
		}
		if !expected[m.UID] && m.BodyErr != "" {
			add(m.UID, Unreadable, "UID %d cannot be read: %s", m.UID, m.BodyErr)
		}
	}
	slices.SortStableFunc(d, func(a, b Difference) int { return cmp.Compare(a.UID, b.UID) })
	return d
}

func compareMessage(w Want, m *Message, add func(uint32, Kind, string, ...any)) {
	if m.BodyErr != "" {
		add(w.UID, Unreadable, "UID %d cannot be read: %s", w.UID, m.BodyErr)
	}
	if !w.NoFlags {
		if a, b := words(w.Flags), words(m.Flags); a != b {
			add(w.UID, Flags, "UID %d had the flags %s and has %s", w.UID, a, b)
		}
		if a, b := words(w.Keywords), words(m.Keywords); a != b {
			add(w.UID, Keywords, "UID %d had the keywords %s and has %s", w.UID, a, b)
		}
	}
	if !w.InternalDate.IsZero() && !m.InternalDate.IsZero() && w.InternalDate.Unix() != m.InternalDate.Unix() {
		add(w.UID, Date, "UID %d was received %s and is now %s", w.UID, w.InternalDate.UTC().Format(time.RFC3339), m.InternalDate.UTC().Format(time.RFC3339))
	}
	if w.Size > 0 && m.Size >= 0 && w.Size != m.Size {
		add(w.UID, Size, "UID %d had %d bytes and has %d", w.UID, w.Size, m.Size)
	}
	if w.BodySHA256 != "" && m.BodySHA256 != "" && w.BodySHA256 != m.BodySHA256 {
		add(w.UID, Text, "UID %d has another text than before", w.UID)
	}
}

// words puts flags in one form: IMAP compares them without regard to case, in no order.
func words(flags []string) string {
	var l []string
	for _, f := range flags {
		if !strings.EqualFold(f, `\Recent`) {
			l = append(l, strings.ToLower(f))
		}
	}
	slices.Sort(l)
	return fmt.Sprintf("%q", slices.Compact(l))
}
