package snapshot

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// A manifest of a mail account is mostly rows of entries, and encoding/json takes far longer for one than all else that is done with
// its file where nothing has changed. What follows writes what encoding/json does, and reads only that; whatever a row holds that is
// not plain is left to encoding/json.

// appendRow writes an entry as the manifest has it.
func appendRow(b []byte, e *Entry) ([]byte, error) {
	if !plain(string(e.Path)) || !plain(e.Local) || !plain(e.Link) || !plain(e.SHA256) || !plain(e.Err) ||
		e.MTime.Location() != time.UTC || e.MTime.Year() < 0 || e.MTime.Year() > 9999 {
		row, err := json.Marshal(e.row())
		return append(b, row...), err
	}
	text := func(name, s string) {
		if s != "" {
			b = append(append(append(b, name...), s...), '"')
		}
	}
	b = append(b, '{')
	if e.Path != "" {
		text(`"path":"`, string(e.Path))
		b = append(b, ',')
	}
	if e.Local != "" {
		text(`"local":"`, e.Local)
		b = append(b, ',')
	}
	text(`"type":"`, typeName(e.Type))
	b = append(b, `,"mode":"`...)
	mode := unixMode(e.Mode)
	for shift := 9; shift >= 0; shift -= 3 {
		b = append(b, byte('0'+mode>>shift&7))
	}
	b = append(b, '"')
	if e.Size != 0 {
		b = strconv.AppendInt(append(b, `,"size":`...), e.Size, 10)
	}
	if !e.MTime.IsZero() {
		b = append(e.MTime.AppendFormat(append(b, `,"mtime":"`...), time.RFC3339Nano), '"')
	}
	if e.UID >= 0 {
		b = strconv.AppendInt(append(b, `,"uid":`...), int64(e.UID), 10)
	}
	if e.GID >= 0 {
		b = strconv.AppendInt(append(b, `,"gid":`...), int64(e.GID), 10)
	}
	if e.Inode != 0 {
		b = strconv.AppendUint(append(b, `,"inode":`...), e.Inode, 10)
	}
	text(`,"link":"`, e.Link)
	text(`,"sha256":"`, e.SHA256)
	if e.Torn {
		b = append(b, `,"torn":true`...)
	}
	text(`,"error":"`, e.Err)
	return append(b, '}'), nil
}

// plain reports whether encoding/json writes a text as it is.
func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&':
			return false
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError || r == '\u2028' || r == '\u2029' {
				return false
			}
			i += n - 1
		}
	}
	return true
}

// readRow reads an entry as the manifest has it.
func readRow(row []byte, e *Entry) error {
	var j entryJSON
	var uid, gid int
	if !plainRow(row, &j, &uid, &gid) {
		j = entryJSON{}
		if err := json.Unmarshal(row, &j); err != nil {
			return err
		}
	}
	return e.take(&j)
}

// plainRow reads a row that appendRow wrote by itself; uid and gid are room for those of j. It reports whether it is one.
func plainRow(row []byte, j *entryJSON, uid, gid *int) bool {
	r := rowReader{row, true}
	r.ok = r.passes(`{`)
	if r.passes(`"path":"`) {
		j.Path = string(r.text())
		r.ok = r.ok && r.passes(`,`)
	}
	if r.passes(`"local":"`) {
		j.Local = string(r.text())
		r.ok = r.ok && r.passes(`,`)
	}
	if r.ok = r.ok && r.passes(`"type":"`); !r.ok {
		return false
	}
	name := r.text()
	i := slices.IndexFunc(typeNames, func(t typeNamed) bool { return t.name == string(name) })
	if i < 0 || !r.passes(`,"mode":"`) {
		return false
	}
	j.Type, j.Mode = typeNames[i].name, string(r.text())
	if r.passes(`,"size":`) {
		j.Size = int64(r.number(1<<63 - 1))
	}
	if r.passes(`,"mtime":"`) {
		r.ok = j.MTime.UnmarshalText(r.text()) == nil && r.ok
	}
	if r.passes(`,"uid":`) {
		*uid = int(r.number(1<<31 - 1))
		j.UID = uid
	}
	if r.passes(`,"gid":`) {
		*gid = int(r.number(1<<31 - 1))
		j.GID = gid
	}
	if r.passes(`,"inode":`) {
		j.Inode = r.number(1<<64 - 1)
	}
	if r.passes(`,"link":"`) {
		j.Link = string(r.text())
	}
	if r.passes(`,"sha256":"`) {
		j.SHA256 = string(r.text())
	}
	j.Torn = r.passes(`,"torn":true`)
	if r.passes(`,"error":"`) {
		j.Err = string(r.text())
	}
	return r.ok && string(r.left) == `}`
}

// rowReader goes through a row of a manifest.
type rowReader struct {
	left []byte
	ok   bool // nothing unexpected was met
}

// passes goes past what comes next, if it is that.
func (r *rowReader) passes(what string) bool {
	if len(r.left) < len(what) || string(r.left[:len(what)]) != what {
		return false
	}
	r.left = r.left[len(what):]
	return true
}

// text gives what there is until a quotation mark, which is passed.
func (r *rowReader) text() []byte {
	end := bytes.IndexByte(r.left, '"')
	if end < 0 {
		r.ok = false
		return nil
	}
	text := r.left[:end]
	r.left = r.left[end+1:]
	if r.ok = r.ok && utf8.Valid(text); r.ok {
		r.ok = !slices.ContainsFunc(text, func(c byte) bool { return c < ' ' || c == '\\' })
	}
	return text
}

// number gives a number of no more than a limit.
func (r *rowReader) number(most uint64) uint64 {
	n := 0
	for n < len(r.left) && r.left[n] >= '0' && r.left[n] <= '9' {
		n++
	}
	v, err := strconv.ParseUint(string(r.left[:n]), 10, 64)
	r.ok = r.ok && err == nil && v <= most && (n == 1 || r.left[0] != '0')
	r.left = r.left[n:]
	return v
}

// typeName is what the manifest calls a type.
func typeName(t fs.FileMode) string {
	for _, known := range typeNames {
		if known.mode == t {
			return known.name
		}
	}
	return "irregular"
}
