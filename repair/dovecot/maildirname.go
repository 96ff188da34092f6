package dovecot

import (
	"strconv"
	"strings"
)

// MaildirName is what the name of a message file in a Maildir tells.
type MaildirName struct {
	Base     string // up to the flags: what identifies the message, and what dovecot-uidlist names
	Time     int64  // when it was delivered, Unix time; -1 if the name does not begin with a number
	Micro    int64  // microseconds of that time (after "M"); -1 if not told
	Size     int64  // S=: bytes of the plain message, also where the file is compressed; -1 if not told
	Virtual  int64  // W=: with CRLF line ends; -1 if not told
	HasFlags bool   // there is a ":2,"
	Flags    Flags
	Keywords uint32 // bit i: letter 'a'+i, which dovecot-keywords names
	Other    string // letters that Dovecot keeps but does not know
}

// ParseMaildirName reads a file name (maildir-filename.c, maildir-filename-flags.c). Any name has a reading.
func ParseMaildirName(name string) MaildirName {
	n := MaildirName{Base: name, Micro: -1}
	if i := strings.IndexByte(name, ':'); i >= 0 {
		n.Base = name[:i]
		if info, ok := strings.CutPrefix(name[i:], ":2,"); ok {
			n.HasFlags = true
			n.flags(info)
		}
	}
	n.Time = leadingNumber(n.Base)
	if _, after, ok := strings.Cut(n.Base, "."); ok && strings.HasPrefix(after, "M") {
		n.Micro = leadingNumber(after[1:])
	}
	n.Size, n.Virtual = n.number(",S="), n.number(",W=")
	return n
}

func (n *MaildirName) flags(info string) {
	for i := range len(info) {
		switch c := info[i]; {
		case c == 'D':
			n.Flags |= FlagDraft
		case c == 'F':
			n.Flags |= FlagFlagged
		case c == 'R':
			n.Flags |= FlagAnswered
		case c == 'S':
			n.Flags |= FlagSeen
		case c == 'T':
			n.Flags |= FlagDeleted
		case c >= 'a' && c <= 'z':
			n.Keywords |= 1 << (c - 'a')
		default:
			n.Other += string(rune(c))
		}
	}
}

// number is a field of the base name: digits up to its end or the next comma.
func (n *MaildirName) number(key string) int64 {
	_, rest, ok := strings.Cut(n.Base, key)
	if !ok {
		return -1
	}
	digits, _, _ := strings.Cut(rest, ",")
	v, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return -1
	}
	return int64(v)
}

func leadingNumber(s string) int64 {
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	v, err := strconv.ParseUint(s[:end], 10, 63)
	if err != nil {
		return -1
	}
	return int64(v)
}
