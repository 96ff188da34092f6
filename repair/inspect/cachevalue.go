package inspect

import (
	"bytes"

	"dovemend/repair/dovecot"
)

// cacheTimes and cacheSizes are fields that hold one number; cacheSent holds a time and a time zone.
var (
	cacheTimes = map[string]bool{"date.received": true, "date.save": true}
	cacheSent  = []part{{"time", 0, 4, stamp}, {"timezone_minutes", 4, 4, number}}
)

// cacheValue tells one field of a record: as what it is where that is known, and its bytes.
func cacheValue(f *dovecot.CacheField, v []byte) Facts {
	var known Facts
	switch {
	case f.Name == "date.sent" && len(v) == 8:
		known = decode(cacheSent[:1], v, 0)
		known = append(known, Fact{Name: "timezone_minutes", Value: int32(little(v[4:]))})
	case cacheTimes[f.Name] && len(v) == 4:
		known = Facts{{Name: "time", Value: Stamp(little(v))}}
	case f.Name == "mime.parts":
		known = mimeParts(v)
	case f.Name == "body.snippet" && len(v) > 0:
		known = Facts{{Name: "version", Value: v[0]}, {Name: "text", Value: cacheText(v[1:])}}
	case f.Type == dovecot.CacheString:
		known = Facts{{Name: "text", Value: cacheText(v)}}
	case f.Type == dovecot.CacheHeader:
		known = headerValue(v)
	case f.Type == dovecot.CacheBitmask && len(v) == 4:
		known = Facts{{Name: "bits", Value: Bits(little(v))}}
	case len(v) == 1 || len(v) == 2 || len(v) == 4 || len(v) == 8:
		known = Facts{{Name: "number", Value: little(v)}}
	}
	return append(Facts{{Name: "field", Value: clip(f.Name)}, {Name: "hex", Value: Hex(v), Extra: len(known) > 0}}, known...)
}

// cacheText is a cached text without the NUL it may end with.
func cacheText(v []byte) string { return string(bytes.TrimSuffix(v, []byte{0})) }

// headerValue reads the lines on which a header field stands, and the lines themselves. No bytes: it is absent.
func headerValue(v []byte) Facts {
	lines, rest, whole := []uint32{}, v, len(v) == 0
	for len(rest) >= 4 {
		n := uint32(little(rest[:4]))
		if rest = rest[4:]; n == 0 {
			whole = true
			break
		}
		lines = append(lines, n)
	}
	out := Facts{{Name: "lines", Value: lines}}
	if !whole {
		return append(out, Fact{Name: "broken", Value: true})
	}
	return append(out, Fact{Name: "text", Value: string(rest)})
}
