package dovecot

import (
	"encoding/hex"
	"strconv"
	"strings"
)

// UIDList is a Maildir's dovecot-uidlist: which file has which UID.
type UIDList struct {
	Version     int // 3, or 1 (Courier's courierimapuiddb and Dovecot 1.0)
	UIDValidity uint32
	NextUID     UID // above all entries too, which may have been added without touching the header
	MailboxGUID GUID
	Other       []string // further header fields as written: a key letter and its value
	Entries     []UIDListEntry
	Cut         UID // of the entry whose line does not end, so that its name may be only the beginning of one; 0 for none
}

// UIDListEntry is one message of a uidlist. Its file may be gone since.
type UIDListEntry struct {
	Offset    int64
	UID       UID
	Name      string // the file's base name
	Size      int64  // S, -1 if not told
	Virtual   int64  // W, -1 if not told
	GUID      string // G; the default is the base name
	POP3UIDL  string // P
	HasUIDL   bool   // P is there; where its value is empty the base name is meant
	POP3Order string // O
	Fields    string // all of them as written
}

// ParseUIDList reads a dovecot-uidlist. A line that cannot be read, or whose UID does not fit between its neighbours, is
// left out and reported; the lines behind it count. Of two lines for one file the later one does.
func ParseUIDList(b []byte) (*UIDList, []Fault) {
	l, fs := &UIDList{NextUID: 1}, &faults{}
	text := string(b)
	first, rest, _ := strings.Cut(text, "\n")
	at := len(text) - len(rest)
	if !l.header(first, fs) { // the first line may be a message's
		at, rest = 0, text
	}
	for rest != "" {
		line, more, ended := strings.Cut(rest, "\n")
		if !ended {
			fs.add(at, "uidlist-cut", "the last line does not end")
		}
		if e, problem := l.entry(line); problem != "" {
			if at > 0 || l.Version != 0 {
				fs.add(at, "uidlist-line", "%s", problem)
			}
		} else {
			e.Offset = int64(at)
			if !ended {
				l.Cut = e.UID
			}
			l.Entries = append(l.Entries, e)
		}
		at += len(rest) - len(more)
		rest = more
	}
	l.inOrder(fs)
	if n := len(l.Entries); n > 0 {
		l.NextUID = max(l.NextUID, l.Entries[n-1].UID+1)
	}
	return l, fs.all()
}

// header reads "3 V<uidvalidity> N<next uid> G<mailbox guid>" or "1 <uidvalidity> <next uid>".
func (l *UIDList) header(line string, fs *faults) bool {
	fields := strings.Fields(line)
	if len(fields) < 2 || fields[0] != "3" && fields[0] != "1" {
		fs.add(0, "uidlist-header", "the first line is not that of a uidlist")
		return false
	}
	number := func(s string) uint32 {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			fs.add(0, "uidlist-header", "%q is not a number", s)
		}
		return uint32(n)
	}
	if fields[0] == "1" {
		if len(fields) != 3 {
			fs.add(0, "uidlist-header", "the first line has %d fields, not 3", len(fields))
			return false
		}
		l.Version, l.UIDValidity, l.NextUID = 1, number(fields[1]), UID(number(fields[2]))
		return true
	}
	l.Version = 3
	for _, f := range fields[1:] {
		switch f[0] {
		case 'V':
			l.UIDValidity = number(f[1:])
		case 'N':
			l.NextUID = UID(number(f[1:]))
		case 'G':
			if n, err := hex.Decode(l.MailboxGUID[:], []byte(f[1:min(len(f), 33)])); err != nil || n != 16 || len(f) != 33 {
				fs.add(0, "uidlist-header", "%q is not a mailbox GUID", f)
				l.MailboxGUID = GUID{}
			}
		default:
			l.Other = append(l.Other, f)
		}
	}
	if l.UIDValidity == 0 || l.NextUID == 0 {
		fs.add(0, "uidlist-header", "UIDVALIDITY is %d, the next UID %d", l.UIDValidity, l.NextUID)
	}
	return true
}

// entry reads "<uid> [<key><value> …] :<base name>", in version 1 "<uid> <base name>".
func (l *UIDList) entry(line string) (e UIDListEntry, problem string) {
	digits, rest, _ := strings.Cut(line, " ")
	uid, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || uid == 0 || uid == 1<<32-1 {
		return e, "the line does not begin with a UID"
	}
	e = UIDListEntry{UID: UID(uid), Size: -1, Virtual: -1}
	if l.Version != 1 {
		fields, name, ok := strings.Cut(rest, ":")
		if !ok {
			return e, "the line has no file name"
		}
		if !e.fields(fields) {
			return e, "the line has a field that is not one"
		}
		rest = name
	}
	e.Name, _, _ = strings.Cut(rest, ":2,")
	if e.Name == "" || strings.ContainsAny(e.Name, "/\x00\r") {
		return e, "the file name is not one"
	}
	return e, ""
}

func (e *UIDListEntry) fields(s string) bool {
	e.Fields = strings.TrimRight(s, " ")
	for _, f := range strings.Fields(s) {
		key, value := f[0], f[1:]
		if key < 'A' || key > 'Z' {
			return false
		}
		switch key {
		case 'S', 'W':
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil {
				return false
			}
			if key == 'S' {
				e.Size = int64(n)
			} else {
				e.Virtual = int64(n)
			}
		case 'G':
			e.GUID = value
		case 'P':
			e.POP3UIDL, e.HasUIDL = value, true
		case 'O':
			e.POP3Order = value
		}
	}
	return true
}

// inOrder leaves out entries whose UIDs do not ascend, and all but the last of a file.
func (l *UIDList) inOrder(fs *faults) {
	uids := make([]UID, len(l.Entries))
	for i, e := range l.Entries {
		uids[i] = e.UID
	}
	keep := ascending(uids)
	last := map[string]int{}
	for i, e := range l.Entries {
		if !keep[i] {
			fs.add(int(e.Offset), "uidlist-order", "UID %d does not fit between its neighbours", e.UID)
			continue
		}
		if j, ok := last[e.Name]; ok {
			fs.add(int(l.Entries[j].Offset), "uidlist-duplicate", "the file of UID %d is that of UID %d too", uids[j], e.UID)
			keep[j] = false
		}
		last[e.Name] = i
	}
	out := l.Entries[:0]
	for i, e := range l.Entries {
		if keep[i] {
			out = append(out, e)
		}
	}
	l.Entries = out
}
