// Package dovecot reads Dovecot's on-disk formats: index, transaction log, cache, map, mailbox list, dbox files, Maildir
// names, uidlist, keywords, subscriptions, mailbox log and uidvalidity, as versions 2.2 to 2.4 write them.
//
// Every reader is a pure function over bytes and tolerant: it yields what can be read and a list of [Fault] for what
// cannot, and goes on behind the damage where that is possible. No faults means the file is sound. The memory a reader
// takes is a small multiple of the length of its input and never depends on a number found in it; no input makes it
// panic or run without end. Strings in results come from the files as they are: whoever prints them quotes them.
//
// The package opens no file and changes none. Names in comments such as struct mail_index_header are Dovecot's.
package dovecot

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// A Fault is one thing a reader found wrong in a file.
type Fault struct {
	File   string // which of several files: "index", "backup", "log", "log2"; "" where there is only one
	Offset int64  // where in the file, from 0 to its length
	Rule   string // which rule is broken, in kebab-case and stable: "index-record-order"
	Detail string // in words, for people; what came from the file is quoted in it
}

// String is the fault in one line, safe to print.
func (f Fault) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s 0x%x %s: %s", f.File, f.Offset, f.Rule, f.Detail))
}

// maxFaults bounds how many faults one reader reports. A file that is noise from end to end has as many as it has records.
const maxFaults = 1000

// faults collects what a reader finds wrong.
type faults struct {
	file   string
	list   []Fault
	unsaid int
}

func (fs *faults) add(offset int, rule, format string, args ...any) {
	if len(fs.list) >= maxFaults {
		fs.unsaid++
		return
	}
	fs.list = append(fs.list, Fault{File: fs.file, Offset: int64(offset), Rule: rule, Detail: fmt.Sprintf(format, args...)})
}

func (fs *faults) all() []Fault {
	if fs.unsaid > 0 {
		last := fs.list[len(fs.list)-1]
		return append(fs.list, Fault{File: last.File, Offset: last.Offset, Rule: "more-faults", Detail: fmt.Sprintf("%d more faults are not listed", fs.unsaid)})
	}
	return fs.list
}

// UID is a message's number in its mailbox, or a message's number in the map index. 0 is no UID.
type UID uint32

// GUID is Dovecot's guid_128_t: the identity of a message or a mailbox.
type GUID [16]byte

// String is the GUID in lower-case hexadecimal, as Dovecot prints it.
func (g GUID) String() string { return hex.EncodeToString(g[:]) }

// IsZero reports whether the GUID is all zero, which Dovecot uses for "unknown".
func (g GUID) IsZero() bool { return g == GUID{} }

// Flags are the flag byte of an index record: enum mail_flags and enum mail_index_mail_flags.
type Flags uint8

// The bits of Flags.
const (
	FlagAnswered Flags = 0x01
	FlagFlagged  Flags = 0x02
	FlagDeleted  Flags = 0x04
	FlagSeen     Flags = 0x08
	FlagDraft    Flags = 0x10
	FlagRecent   Flags = 0x20 // not stored since 1.1
	FlagBackend  Flags = 0x40 // sdbox: the message is in the alternative storage
	FlagDirty    Flags = 0x80 // Maildir: the file name does not yet tell the flags; the index does

	FlagsIMAP = FlagAnswered | FlagFlagged | FlagDeleted | FlagSeen | FlagDraft
)

// String lists the IMAP flags as IMAP spells them, separated by spaces.
func (f Flags) String() string {
	var out []string
	for i, name := range [...]string{`\Answered`, `\Flagged`, `\Deleted`, `\Seen`, `\Draft`} {
		if f&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return strings.Join(out, " ")
}

var le = binary.LittleEndian

func align(n, to int) int { return (n + to - 1) / to * to }

// u32 reads a little-endian number where the bytes may end early; missing bytes are 0.
func u32(b []byte, at int) uint32 {
	if at+4 <= len(b) {
		return le.Uint32(b[at:])
	}
	return 0
}

func u16(b []byte, at int) uint16 {
	if at+2 <= len(b) {
		return le.Uint16(b[at:])
	}
	return 0
}

// unpack decodes a size or offset as mail_index_offset_to_uint32 does: four bytes, big end first, 7 bits each with the
// eighth set, the number in units of 4. Anything else is 0, which Dovecot takes as "not written yet".
func unpack(b []byte) int {
	if len(b) < 4 || b[0]&b[1]&b[2]&b[3]&0x80 == 0 {
		return 0
	}
	return int(uint32(b[0]&0x7f)<<23 | uint32(b[1]&0x7f)<<16 | uint32(b[2]&0x7f)<<9 | uint32(b[3]&0x7f)<<2)
}
