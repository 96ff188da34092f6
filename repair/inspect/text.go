package inspect

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"dovemend/repair/dovecot"
)

// Text writes dumps for people: a line of its own for each thing in a header, and one for each record with what belongs
// to it beneath. Texts from files are in quotes, with escapes for what a terminal would obey; long ones are cut.
type Text struct {
	w     *bufio.Writer
	count int
}

// NewText writes to w.
func NewText(w io.Writer) *Text { return &Text{w: bufio.NewWriterSize(w, 64<<10)} }

// How much of a long value is shown.
const (
	maxShownText = 300 // characters
	maxShownHex  = 48  // bytes
)

// Dump writes one dump, and an empty line before all but the first.
func (t *Text) Dump(d *Dump) error {
	if t.count++; t.count > 1 {
		t.text("\n")
	}
	t.text(SafePath(d.Path) + ": " + string(d.Kind))
	if d.Size >= 0 {
		t.text(fmt.Sprintf(", %d bytes", d.Size))
	}
	if d.Note != "" {
		t.text(": " + string(d.Note))
	}
	t.text("\n")
	for m := range members(reflect.ValueOf(d).Elem()) {
		switch v := plain(m.value); {
		case m.name == "faults":
			t.faults(d)
		case m.name == "error":
			t.text("  not read: " + safe(string(d.Error)) + "\n")
		case v.Kind() == reflect.Struct:
			t.block(v, 1)
		}
	}
	return t.w.Flush()
}

func (t *Text) faults(d *Dump) {
	if len(d.faults) == 0 {
		if d.Kind != KindUnknown && d.Kind != KindSpecial && d.Kind != KindFolder {
			t.text("  faults: none\n")
		}
		return
	}
	t.text(fmt.Sprintf("  faults: %d\n", len(d.faults)))
	for _, f := range d.faults {
		where := ""
		if f.File != "" {
			where = f.File + " "
		}
		t.text(fmt.Sprintf("    %sat %d: %s: %s\n", safe(where), f.Offset, f.Rule, safe(string(f.Detail))))
	}
}

// text leaves errors to Flush: a bufio.Writer keeps the first.
func (t *Text) text(s string) { _, _ = t.w.WriteString(s) }

func (t *Text) indent(depth int) { t.text(strings.Repeat("  ", depth)) }

// block writes an object with a line for each member.
func (t *Text) block(v reflect.Value, depth int) {
	for m := range members(v) {
		if m.extra {
			continue
		}
		v := plain(m.value)
		switch {
		case isObject(v):
			t.indent(depth)
			t.text(m.name + ":\n")
			t.block(v, depth+1)
		case isList(v):
			t.list(m.name, v, depth)
		default:
			if s, ok := scalar(v); ok {
				t.indent(depth)
				t.text(m.name + " = " + s + "\n")
			}
		}
	}
}

// list writes a list of a block: objects in a line each, other values behind each other.
func (t *Text) list(name string, v reflect.Value, depth int) {
	t.indent(depth)
	t.text(name + ":")
	n, line := 0, true
	for e := range elements(v) {
		if e = plain(e); isObject(e) {
			if line {
				t.text("\n")
				line = false
			}
			t.row(e, depth+1)
		} else if s, ok := scalar(e); ok {
			t.text(" " + s)
		}
		n++
	}
	if n == 0 {
		t.text(" none")
	}
	if line {
		t.text("\n")
	}
}

// row writes an object in a line, and what it holds that is no single value in lines beneath.
func (t *Text) row(v reflect.Value, depth int) {
	line := false
	for m := range members(v) {
		mv := plain(m.value)
		if m.extra || isObject(mv) || isList(mv) && !isPlainList(mv) {
			continue
		}
		s := ""
		switch {
		case isList(mv):
			s = m.name + "=" + joined(mv)
		case mv.Kind() == reflect.Bool:
			if s = m.name; !mv.Bool() {
				continue
			}
		default:
			text, ok := scalar(mv)
			if !ok {
				continue
			}
			s = m.name + "=" + text
		}
		if line {
			t.text(" ")
		} else {
			t.indent(depth)
			line = true
		}
		t.text(s)
	}
	if line {
		t.text("\n")
	}
	for m := range members(v) {
		mv := plain(m.value)
		switch {
		case m.extra:
		case isObject(mv):
			t.row(mv, depth+1)
		case isList(mv) && !isPlainList(mv):
			for e := range elements(mv) {
				t.row(plain(e), depth+1)
			}
		}
	}
}

// isPlainList reports whether a list holds single values, which stand behind each other.
func isPlainList(v reflect.Value) bool {
	if v.Kind() != reflect.Slice {
		return false
	}
	e := v.Type().Elem()
	return e != reflect.TypeFor[Facts]() && e.Kind() != reflect.Struct
}

func joined(v reflect.Value) string {
	var out []string
	for e := range elements(v) {
		if s, ok := scalar(plain(e)); ok {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ",")
}

// scalar is a single value as text; ok is false where it is not known.
func scalar(v reflect.Value) (s string, ok bool) {
	if !v.IsValid() {
		return "", false
	}
	switch x := v.Interface().(type) {
	case Word:
		return safe(string(x)), true
	case Maybe:
		return strconv.FormatInt(int64(x), 10), x >= 0
	case Bits:
		return fmt.Sprintf("0x%x", uint32(x)), true
	case dovecot.Flags:
		s = fmt.Sprintf("0x%02x", uint8(x))
		if names := flagNames(x); len(names) > 0 {
			s += " (" + strings.Join(names, " ") + ")"
		}
		return s, true
	case Stamp:
		return dated(int64(x)), true
	case Moment:
		return dated(int64(x)), x >= 0
	case Hex:
		if len(x) > maxShownHex {
			return fmt.Sprintf("%s… (%d bytes)", hex.EncodeToString(x[:maxShownHex]), len(x)), true
		}
		return hex.EncodeToString(x), true
	case dovecot.GUID:
		return x.String(), true
	case string:
		return quoted(x), true
	}
	switch {
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10), true
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10), true
	case v.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool()), true
	}
	return quoted(v.String()), true
}

// dated is a Unix time, and the date in UTC where it is one that Dovecot can mean.
func dated(n int64) string {
	s := strconv.FormatInt(n, 10)
	if n > 0 && n < 1<<32-1 {
		s += time.Unix(n, 0).UTC().Format(" (2006-01-02 15:04:05 UTC)")
	}
	return s
}

// quoted is a text from a file in quotes, as Go writes it.
func quoted(s string) string {
	if len(s) <= maxShownText {
		return strconv.Quote(s)
	}
	n := maxShownText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return fmt.Sprintf("%s… (%d bytes)", strconv.Quote(s[:n]), len(s))
}

// safe escapes in a text of our own what a terminal would obey, in case something foreign is in it unquoted.
func safe(s string) string {
	q := strconv.Quote(s)
	if len(q) == len(s)+2 {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`), `\\`, `\`)
}

// SafePath is a path as it is where that is fit to print, and in quotes where it is not.
func SafePath(s string) string {
	if q := strconv.Quote(s); len(q) != len(s)+2 {
		return q
	}
	return s
}
