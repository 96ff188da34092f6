package dovecot

import (
	"fmt"
	"slices"
	"strings"
)

// Append writes a dovecot-uidlist of version 3. It is an error where Dovecot would not read it to its end: UIDs that do not
// ascend or are not below the next one, names that cannot be.
func (l *UIDList) Append(dst []byte) ([]byte, error) {
	if l.UIDValidity == 0 || l.NextUID == 0 {
		return dst, fmt.Errorf("write uidlist: UIDVALIDITY is %d, the next UID %d", l.UIDValidity, l.NextUID)
	}
	start := len(dst)
	dst = fmt.Appendf(dst, "3 V%d N%d", l.UIDValidity, l.NextUID)
	if !l.MailboxGUID.IsZero() {
		dst = fmt.Appendf(dst, " G%s", l.MailboxGUID)
	}
	for _, f := range l.Other {
		if f == "" || strings.ContainsAny(f, " \n") {
			return dst[:start], fmt.Errorf("write uidlist: field %q cannot be", f)
		}
		dst = fmt.Appendf(dst, " %s", f)
	}
	dst = append(dst, '\n')
	last, seen := UID(0), make(map[string]bool, len(l.Entries))
	for _, e := range l.Entries {
		if e.UID <= last || e.UID >= l.NextUID {
			return dst[:start], fmt.Errorf("write uidlist: UID %d after %d, the next one is %d", e.UID, last, l.NextUID)
		}
		if e.Name == "" || strings.ContainsAny(e.Name, "/\x00\r\n") || strings.Contains(e.Name, ":2,") || seen[e.Name] || strings.ContainsAny(e.Fields, "\n:") {
			return dst[:start], fmt.Errorf("write uidlist: the name %q cannot be", e.Name)
		}
		last, seen[e.Name] = e.UID, true
		dst = fmt.Appendf(dst, "%d ", e.UID)
		if e.Fields != "" {
			dst = fmt.Appendf(dst, "%s ", e.Fields)
		}
		dst = append(append(append(dst, ':'), e.Name...), '\n')
	}
	return dst, nil
}

// Append writes a dovecot-keywords file.
func (k *MaildirKeywords) Append(dst []byte) []byte {
	for i, name := range k {
		if name != "" {
			dst = fmt.Appendf(dst, "%d %s\n", i, name)
		}
	}
	return dst
}

// WithSizes is the base name of a Maildir's message with other sizes in it: those it tells are replaced.
func (n MaildirName) WithSizes(size, virtual int64) string {
	fields := strings.Split(n.Base, ",")
	for i, f := range fields[1:] {
		switch {
		case strings.HasPrefix(f, "S=") && n.Size >= 0:
			fields[i+1] = fmt.Sprintf("S=%d", size)
		case strings.HasPrefix(f, "W=") && n.Virtual >= 0:
			fields[i+1] = fmt.Sprintf("W=%d", virtual)
		}
	}
	return strings.Join(slices.Clip(fields), ",")
}

// SaysFlags reports whether the name tells just these flags, and of the keywords those that have a letter.
func (n MaildirName) SaysFlags(f Flags, keywords []string, letters *MaildirKeywords) bool {
	var set uint32
	for _, k := range keywords {
		for i, name := range letters {
			if strings.EqualFold(k, name) {
				set |= 1 << i
			}
		}
	}
	return n.Flags&FlagsIMAP == f&FlagsIMAP && n.Keywords == set
}
