package salvage

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// plist is what is asked for of the dictionary on top of a property list: the values of plistKeys.
type plist map[string]any // float64, string, time.Time

// plistKeys are the keys whose values are read. No other value is: the parts of a binary list may refer to one long text thousands of
// times, and each copy of it would take memory.
var plistKeys = []string{"flags", "date-received"}

// maxPlistText bounds a value that is a text, in bytes: a number is shorter.
const maxPlistText = 64

var errNoPlist = errors.New("there is no property list")

// number gives a number, or a date as Unix time.
func (p plist) number(key string) (float64, bool) {
	switch v := p[key].(type) {
	case float64:
		return v, true
	case time.Time:
		return float64(v.Unix()), true
	case string:
		f, err := strconv.ParseFloat(v, 64)
		return f, err == nil
	}
	return 0, false
}

// parsePlist reads a property list in XML or in the binary form ("bplist00"). What is in it beside the numbers, short texts
// and dates of plistKeys is passed over; what it takes in memory is bounded by its size.
func parsePlist(b []byte) (plist, error) {
	b = bytes.TrimLeft(b, " \t\r\n")
	if bytes.HasPrefix(b, []byte("bplist0")) {
		return parseBinaryPlist(b)
	}
	if !bytes.HasPrefix(b, []byte("<")) {
		return nil, errNoPlist
	}
	return parseXMLPlist(b)
}

func parseXMLPlist(b []byte) (plist, error) {
	dec := xml.NewDecoder(bytes.NewReader(b))
	dec.Strict = false
	dec.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	p, depth, key := plist(nil), 0, ""
	for {
		t, err := dec.Token()
		if err == io.EOF && p != nil {
			return p, nil
		}
		if err != nil {
			return nil, errNoPlist
		}
		switch e := t.(type) {
		case xml.StartElement:
			name := e.Name.Local
			switch {
			case name == "plist":
			case name == "dict" || name == "array":
				if depth++; depth == 1 && name == "dict" {
					p = plist{}
				}
			case depth == 1 && p != nil:
				var text string
				if dec.DecodeElement(&text, &e) != nil {
					return nil, errNoPlist
				}
				key = p.take(key, name, strings.TrimSpace(text))
			}
		case xml.EndElement:
			if name := e.Name.Local; name == "dict" || name == "array" {
				if depth--; depth == 0 && p != nil {
					return p, nil
				}
				key = ""
			}
		}
	}
}

// take adds one value and gives the key of the next one.
func (p plist) take(key, kind, text string) string {
	switch kind {
	case "key":
		if !slices.Contains(plistKeys, text) {
			return ""
		}
		return text
	case "integer", "real":
		if f, err := strconv.ParseFloat(text, 64); err == nil && key != "" {
			p[key] = f
		} else if n, err := strconv.ParseInt(text, 0, 64); err == nil && key != "" {
			p[key] = float64(n)
		}
	case "date":
		if t, err := time.Parse("2006-01-02T15:04:05Z", text); err == nil && key != "" {
			p[key] = t
		}
	case "string":
		if key != "" && len(text) <= maxPlistText {
			p[key] = text
		}
	}
	return ""
}

// binaryPlist is a property list in its binary form: objects, a table of their offsets, and a trailer of 32 bytes that tells
// where all is.
type binaryPlist struct {
	b           []byte
	offsetSize  int
	refSize     int
	count       uint64
	offsetTable uint64
}

func parseBinaryPlist(b []byte) (plist, error) {
	if len(b) < 8+32 {
		return nil, errNoPlist
	}
	t := b[len(b)-32:]
	x := &binaryPlist{b: b[:len(b)-32], offsetSize: int(t[6]), refSize: int(t[7]), count: binary.BigEndian.Uint64(t[8:]), offsetTable: binary.BigEndian.Uint64(t[24:])}
	if x.offsetSize < 1 || x.offsetSize > 8 || x.refSize < 1 || x.refSize > 8 || x.count > uint64(len(b)) || x.offsetTable > uint64(len(b)) {
		return nil, errNoPlist
	}
	at, ok := x.object(binary.BigEndian.Uint64(t[16:]))
	if !ok || x.b[at]>>4 != 0xd {
		return nil, errNoPlist
	}
	n, at, ok := x.length(at)
	if !ok || n > uint64(len(b)) || at+2*n*uint64(x.refSize) > uint64(len(x.b)) {
		return nil, errNoPlist
	}
	p := plist{}
	for i := range n {
		key, _ := x.value(x.uint(at+i*uint64(x.refSize), x.refSize)).(string)
		if _, had := p[key]; had || !slices.Contains(plistKeys, key) {
			continue
		}
		if value := x.value(x.uint(at+(n+i)*uint64(x.refSize), x.refSize)); value != nil {
			p[key] = value
		}
	}
	return p, nil
}

// uint reads a number of up to 8 bytes; all ones where it is not there, which is no object.
func (x *binaryPlist) uint(at uint64, size int) (n uint64) {
	if at+uint64(size) > uint64(len(x.b)) || at > uint64(len(x.b)) {
		return math.MaxUint64
	}
	for _, c := range x.b[at : at+uint64(size)] {
		n = n<<8 | uint64(c)
	}
	return n
}

// object gives where an object begins.
func (x *binaryPlist) object(ref uint64) (at uint64, ok bool) {
	if ref >= x.count {
		return 0, false
	}
	at = x.uint(x.offsetTable+ref*uint64(x.offsetSize), x.offsetSize)
	return at, at < uint64(len(x.b))
}

// length reads the length that an object's first byte tells, or the number behind it, and where its content begins.
func (x *binaryPlist) length(at uint64) (n, content uint64, ok bool) {
	if n = uint64(x.b[at] & 15); n < 15 {
		return n, at + 1, true
	}
	if at+1 >= uint64(len(x.b)) || x.b[at+1]>>4 != 1 || x.b[at+1]&15 > 3 {
		return 0, 0, false
	}
	size := 1 << (x.b[at+1] & 15)
	n = x.uint(at+2, size)
	return n, at + 2 + uint64(size), n < uint64(len(x.b))
}

// value reads a number, short text or date; nil for anything else.
func (x *binaryPlist) value(ref uint64) any {
	at, ok := x.object(ref)
	if !ok {
		return nil
	}
	kind, low := x.b[at]>>4, x.b[at]&15
	switch kind {
	case 1, 2, 3:
		if low > 3 {
			return nil
		}
		size := 1 << low
		if at+1+uint64(size) > uint64(len(x.b)) {
			return nil
		}
		n := x.uint(at+1, size)
		switch {
		case kind == 1:
			return float64(int64(n))
		case size == 4:
			return float64(math.Float32frombits(uint32(n)))
		case size == 8 && kind == 2:
			return math.Float64frombits(n)
		case size == 8: // seconds since 2001
			if s := math.Float64frombits(n); math.Abs(s) < 1e11 {
				return time.Unix(int64(s)+978307200, 0).UTC()
			}
		}
	case 5:
		if n, content, ok := x.length(at); ok && n <= maxPlistText && content+n <= uint64(len(x.b)) {
			return string(x.b[content : content+n])
		}
	}
	return nil
}
