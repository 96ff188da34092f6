package reconstruct

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"dovemend/repair/dovecot"
)

// matchUIDs finds the UIDs of messages that dovecot-uidlist no longer tells: the index still has the UIDs, with flags and
// sizes, but not the file names. A message whose name the cache holds is known by it; the others stand in the order in which
// they came, and only where flags and sizes of all of them agree are they taken for the same.
func (r *maildirReader) matchUIDs() error {
	known := map[dovecot.UID]bool{}
	var files []*Message // without a UID, in the order in which Dovecot numbers them
	for i := range r.Messages {
		if m := &r.Messages[i]; m.UID != 0 {
			known[m.UID] = true
		} else {
			files = append(files, m)
		}
	}
	var records []*dovecot.Record
	for i := range r.Index.Records {
		rec := &r.Index.Records[i]
		if _, listed := r.Listed[rec.UID]; !known[rec.UID] && !listed { // a listed one has lost its file
			records = append(records, rec)
		}
	}
	if len(files) == 0 || len(records) == 0 || r.UIDValidity == 0 {
		return nil
	}
	slices.SortStableFunc(files, func(a, b *Message) int { return numbered(a, b) })
	byName := map[string]*dovecot.Record{}
	cached, err := r.cacheNames(records)
	if err != nil {
		return err
	}
	for rec, name := range cached {
		byName[name] = rec
	}
	if err := r.byMessageID(files, records, byName); err != nil {
		return err
	}
	r.align(files, records, byName)
	return nil
}

// byMessageID finds records whose Message-ID the cache holds, where just one file without a UID has it.
func (r *maildirReader) byMessageID(files []*Message, records []*dovecot.Record, byName map[string]*dovecot.Record) error {
	of := map[string]*dovecot.Record{}
	for _, rec := range records {
		if id := messageID(cachedHeader(r.cached[rec]["hdr.Message-ID"])); id != "" {
			if _, twice := of[id]; twice {
				of[id] = nil
				continue
			}
			of[id] = rec
		}
	}
	if len(of) == 0 {
		return nil
	}
	has := map[string]*Message{}
	for _, f := range files {
		head, err := ReadFile(r.fsys, string(f.File), maxHead)
		if errors.Is(err, fs.ErrNotExist) || NotCopied(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read the copy of %s: %w", f.File, err)
		}
		id := messageID(head)
		if _, twice := has[id]; twice {
			has[id] = nil
			continue
		}
		has[id] = f
	}
	for id, rec := range of {
		if f := has[id]; rec != nil && f != nil && byName[f.Name.Base] == nil {
			byName[f.Name.Base] = rec
		}
	}
	return nil
}

// maxHead is how much of a message is looked through for its Message-ID.
const maxHead = 32 << 10

// cachedHeader is the text of a header field in the cache: numbers of lines, ended by 0, stand before it.
func cachedHeader(v []byte) []byte {
	for len(v) >= 4 {
		n := number(v[:4])
		v = v[4:]
		if n == 0 {
			return v
		}
	}
	return nil
}

// messageID is the value of the header field Message-ID; "" where there is none before the first empty line.
func messageID(head []byte) string {
	for len(head) > 0 {
		line, rest, _ := bytes.Cut(head, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			return ""
		}
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && strings.EqualFold(string(bytes.TrimSpace(name)), "Message-ID") {
			if len(bytes.TrimSpace(value)) == 0 { // it stands in the next line
				value, _, _ = bytes.Cut(rest, []byte("\n"))
			}
			return string(bytes.TrimSpace(value))
		}
		head = rest
	}
	return ""
}

// numbered compares two messages in the order in which Dovecot gives them UIDs.
func numbered(a, b *Message) int {
	return cmp.Or(cmp.Compare(a.Name.Time, b.Name.Time), cmp.Compare(a.Name.Micro, b.Name.Micro), cmp.Compare(a.Name.Base, b.Name.Base))
}

// cacheNames are the base names that the cache holds: a Maildir's message has its base name as GUID.
func (r *maildirReader) cacheNames(records []*dovecot.Record) (map[*dovecot.Record]string, error) {
	c, err := r.readCache(r.fsys)
	if c == nil || err != nil {
		return nil, err
	}
	names := map[*dovecot.Record]string{}
	for _, rec := range records {
		values := map[string][]byte{}
		r.cacheOf(c, rec, values)
		r.cached[rec] = values
		if v := values["guid"]; len(v) > 0 {
			names[rec] = string(v)
		}
	}
	return names, nil
}

// align gives files the UIDs of records. Those that the cache names divide both into stretches; within one, as many files as
// records stand in the same order. Behind the last known record come files that are new.
func (r *maildirReader) align(files []*Message, records []*dovecot.Record, byName map[string]*dovecot.Record) {
	at := map[*dovecot.Record]int{}
	for i, rec := range records {
		at[rec] = i
	}
	f0, r0 := 0, 0
	for i, f := range files {
		rec := byName[f.Name.Base]
		if rec == nil || at[rec] < r0 {
			continue
		}
		r.stretch(files[f0:i], records[r0:at[rec]], false)
		r.take(f, rec, ByCache)
		f0, r0 = i+1, at[rec]+1
	}
	r.stretch(files[f0:], records[r0:], true)
}

// stretch takes files for records one by one, if all agree.
func (r *maildirReader) stretch(files []*Message, records []*dovecot.Record, last bool) {
	if len(records) == 0 || len(files) < len(records) || len(files) > len(records) && !last {
		return
	}
	for i, rec := range records {
		if !r.same(files[i], rec) {
			r.unlike(files, records)
			return
		}
	}
	for i, rec := range records {
		r.take(files[i], rec, ByOrder)
	}
}

// unlike takes those files of a stretch for records that no other file can be, and that can be no other record: by the size or the time that
// the record tells of its message.
func (r *maildirReader) unlike(files []*Message, records []*dovecot.Record) {
	if len(files)*len(records) > 1<<20 {
		return
	}
	fits := make([]int, len(files)) // how many records a file may be
	of := make([]int, len(records)) // the only file for a record, or -1
	for i, rec := range records {
		of[i] = -1
		n := 0
		for k, f := range files {
			if r.same(f, rec) {
				fits[k]++
				n++
				of[i] = k
			}
		}
		if n != 1 || !r.measured(rec) {
			of[i] = -1
		}
	}
	for i, rec := range records {
		if k := of[i]; k >= 0 && fits[k] == 1 {
			r.take(files[k], rec, ByCache)
		}
	}
}

// measured reports whether anything is told of a record's message by which it differs from others.
func (r *maildirReader) measured(rec *dovecot.Record) bool {
	_, ok := r.Index.VirtualSize(rec)
	values := r.cached[rec]
	return ok || len(values["size.virtual"]) == 8 || len(values["date.received"]) == 4
}

// same reports whether nothing speaks against a file being the message of a record.
func (r *maildirReader) same(m *Message, rec *dovecot.Record) bool {
	if rec.Flags&dovecot.FlagDirty == 0 && !r.pending[rec.UID] && rec.Flags&dovecot.FlagsIMAP != m.Name.Flags&dovecot.FlagsIMAP {
		return false
	}
	virtual := m.Name.Virtual
	if virtual < 0 {
		virtual = m.Body.Counted
	}
	if v, ok := r.Index.VirtualSize(rec); ok && virtual >= 0 && int64(v) != virtual {
		return false
	}
	values := r.cached[rec]
	if v := values["size.virtual"]; len(v) == 8 && virtual >= 0 && int64(number(v)) != virtual {
		return false
	}
	if v := values["date.received"]; len(v) == 4 && !m.Received.IsZero() && int64(number(v)) != m.Received.Unix() {
		return false
	}
	return true
}

// number is a little-endian number of up to 8 bytes.
func number(b []byte) uint64 {
	var n uint64
	for i, c := range b {
		n |= uint64(c) << (8 * i)
	}
	return n
}

func (r *maildirReader) take(m *Message, rec *dovecot.Record, by Evidence) {
	m.UID, m.By.UID, m.Stray, m.Renumber = rec.UID, by, false, true
	r.Matched++
}
