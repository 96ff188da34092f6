package reconstruct

import (
	"bytes"
	"slices"
	"strconv"

	"dovemend/repair/dovecot"
)

// nameKeywords finds the names of keyword letters that dovecot-keywords no longer tells: the letter is on exactly the messages
// that have the keyword in the index. A name that is cut off stays where the index has no better one.
func (r *maildirReader) nameKeywords() {
	n := r.cutLetter
	if n < 0 || slices.Contains(r.Index.Keywords, r.names[n]) {
		r.nameLetters()
		return
	}
	cut := r.names[n]
	r.names[n] = ""
	if r.nameLetters(); r.names[n] == "" {
		r.names[n] = cut
	}
}

// usedLetters are those that any message has.
func (r *maildirReader) usedLetters() uint32 {
	var used uint32
	for i := range r.Messages {
		used |= r.Messages[i].Name.Keywords
	}
	return used
}

func (r *maildirReader) nameLetters() {
	used := r.usedLetters()
	r.Nameless = r.noNames && used != 0
	var free []string // keywords of the index that no letter stands for
	for _, k := range r.Index.Keywords {
		if !r.named(k) {
			free = append(free, k)
		}
	}
	if len(free) == 0 || !r.noNames && r.full() {
		return
	}
	has := map[string]map[dovecot.UID]bool{}
	for i := range r.Index.Records {
		rec := &r.Index.Records[i]
		for _, k := range r.Index.KeywordNames(rec) {
			if has[k] == nil {
				has[k] = map[dovecot.UID]bool{}
			}
			has[k][rec.UID] = true
		}
	}
	for letter := range r.names {
		if used&(1<<letter) == 0 || r.names[letter] != "" {
			continue
		}
		i := slices.IndexFunc(free, func(k string) bool { return r.agrees(letter, has[k]) })
		if i < 0 {
			continue
		}
		r.names[letter] = free[i]
		r.Renamed = true
		free = slices.Delete(free, i, i+1)
	}
}

// agrees reports whether a letter is on just these messages, among those of which both name and index tell.
func (r *maildirReader) agrees(letter int, uids map[dovecot.UID]bool) bool {
	n := 0
	for i := range r.Messages {
		m := &r.Messages[i]
		rec := r.Index.Find(m.UID)
		if m.UID == 0 || rec == nil || rec.Flags&dovecot.FlagDirty != 0 || r.pending[m.UID] {
			continue
		}
		if (m.Name.Keywords&(1<<letter) != 0) != uids[m.UID] {
			return false
		}
		if uids[m.UID] {
			n++
		}
	}
	return n > 0
}

// cutLetter gives the letter whose name is cut off where dovecot-keywords ends in the middle of a line, or -1.
func cutLetter(b []byte, names *dovecot.MaildirKeywords) int {
	line := b[bytes.LastIndexByte(b, '\n')+1:]
	digits, name, _ := bytes.Cut(line, []byte(" "))
	n, err := strconv.Atoi(string(digits))
	if err != nil || n < 0 || n >= len(names) || len(name) == 0 || names[n] != string(name) {
		return -1
	}
	return n
}
