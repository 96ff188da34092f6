package inspect

import (
	"bufio"
	"encoding/hex"
	"io"
	"reflect"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"dovemend/repair/dovecot"
)

// JSON writes dumps as a JSON array: an object each, whose long lists have one element in each line. Only what one element
// of such a list tells is ever held. Control characters and what turns the direction of writing are escaped; bytes that
// are not UTF-8 become U+FFFD.
type JSON struct {
	w     *bufio.Writer
	count int
	buf   []byte
}

// NewJSON begins an array. It is complete when [JSON.Close] was called.
func NewJSON(w io.Writer) *JSON {
	j := &JSON{w: bufio.NewWriterSize(w, 64<<10)}
	j.text("[")
	return j
}

// Dump adds an element.
func (j *JSON) Dump(d *Dump) error {
	if j.count++; j.count > 1 {
		j.text(",")
	}
	j.newline(2)
	j.value(reflect.ValueOf(d), 2)
	return j.w.Flush()
}

// Close ends the array.
func (j *JSON) Close() error {
	if j.count > 0 {
		j.newline(1)
	}
	j.text("]")
	return j.w.Flush()
}

// text and the like leave errors to Flush: a bufio.Writer keeps the first.
func (j *JSON) text(s string) { _, _ = j.w.WriteString(s) }

const spaces = "                                        "

func (j *JSON) newline(depth int) {
	j.text("\n")
	j.text(spaces[:min(2*depth, len(spaces))])
}

// value writes any value; depth is how deep it stands, or -1 where it is to be on one line.
func (j *JSON) value(v reflect.Value, depth int) {
	v = plain(v)
	if !v.IsValid() {
		j.text("null")
		return
	}
	switch x := v.Interface().(type) {
	case Maybe, Moment:
		if v.Int() < 0 {
			j.text("null")
			return
		}
	case Hex:
		j.text(`"`)
		_, _ = hex.NewEncoder(j.w).Write(x)
		j.text(`"`)
		return
	case dovecot.GUID:
		j.text(`"` + x.String() + `"`)
		return
	}
	switch {
	case isObject(v):
		j.object(v, depth)
	case isList(v):
		j.list(v, depth)
	case v.CanInt():
		j.text(strconv.FormatInt(v.Int(), 10))
	case v.CanUint():
		j.text(strconv.FormatUint(v.Uint(), 10))
	case v.Kind() == reflect.Bool:
		j.text(strconv.FormatBool(v.Bool()))
	default:
		j.string(v.String())
	}
}

func (j *JSON) object(v reflect.Value, depth int) {
	j.text("{")
	first := true
	for m := range members(v) {
		if !first {
			j.text(",")
		}
		inner := -1
		if depth >= 0 {
			inner = depth + 1
			j.newline(inner)
		}
		first = false
		j.string(m.name)
		j.text(":")
		if depth >= 0 {
			j.text(" ")
		}
		j.value(m.value, inner)
	}
	if depth >= 0 && !first {
		j.newline(depth)
	}
	j.text("}")
}

func (j *JSON) list(v reflect.Value, depth int) {
	j.text("[")
	first, objects := true, false
	for e := range elements(v) {
		if !first {
			j.text(",")
		}
		if first {
			objects = isObject(plain(e)) && depth >= 0
		}
		first = false
		if objects {
			j.newline(depth + 1)
		}
		j.value(e, -1)
	}
	if objects {
		j.newline(depth)
	}
	j.text("]")
}

// string writes a text. What a terminal would obey, or not show, is escaped.
func (j *JSON) string(s string) {
	b := append(j.buf[:0], '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, '\\', 'n')
		case r == utf8.RuneError:
			b = append(b, `\ufffd`...)
		case strconv.IsPrint(r):
			b = utf8.AppendRune(b, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b = appendEscape(appendEscape(b, high), low)
		default:
			b = appendEscape(b, r)
		}
		if len(b) > 32<<10 {
			_, _ = j.w.Write(b)
			b = b[:0]
		}
	}
	b = append(b, '"')
	_, _ = j.w.Write(b)
	j.buf = b
}

func appendEscape(b []byte, r rune) []byte {
	const digits = "0123456789abcdef"
	return append(b, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}
