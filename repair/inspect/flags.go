package inspect

import (
	"strconv"
	"strings"

	"dovemend/repair/dovecot"
)

// flagNames are the IMAP flags as IMAP spells them, and those that are Dovecot's own in words: "recent" (not stored since
// 1.1), "backend" (sdbox: the message is in the alternative storage), "dirty" (Maildir: the file name does not tell it yet).
func flagNames(f dovecot.Flags) []string {
	out := strings.Fields(f.String())
	for _, own := range [...]struct {
		bit  dovecot.Flags
		name string
	}{{dovecot.FlagRecent, "recent"}, {dovecot.FlagBackend, "backend"}, {dovecot.FlagDirty, "dirty"}} {
		if f&own.bit != 0 {
			out = append(out, own.name)
		}
	}
	return out
}

func keywordName(n int, names []string) string {
	if n < len(names) {
		return clip(names[n])
	}
	return "unknown-" + strconv.Itoa(n)
}

// clipped is a list of names, none too long and the list not nil.
func clipped(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = clip(n)
	}
	return out
}
