package salvage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// references is a binary property list of pairs of references to objects of which the first is the dictionary.
func references(keys, values []uint16, objects ...[]byte) []byte {
	dict := binary.BigEndian.AppendUint32([]byte{0xdf, 0x12}, uint32(len(keys)))
	for _, ref := range append(append([]uint16{}, keys...), values...) {
		dict = binary.BigEndian.AppendUint16(dict, ref)
	}
	b := []byte("bplist00")
	var table []byte
	for _, o := range append([][]byte{dict}, objects...) {
		table = binary.BigEndian.AppendUint32(table, uint32(len(b)))
		b = append(b, o...)
	}
	trailer := make([]byte, 32)
	trailer[6], trailer[7] = 4, 2
	binary.BigEndian.PutUint64(trailer[8:], uint64(len(objects)+1))
	binary.BigEndian.PutUint64(trailer[24:], uint64(len(b)))
	return append(append(b, table...), trailer...)
}

// ascii is a text object of a binary property list.
func ascii(s string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0x5f, 0x12}, uint32(len(s))), s...)
}

// TestPlistTakesNoMoreMemoryThanItsSize: however often its parts refer to one another.
func TestPlistTakesNoMoreMemoryThanItsSize(t *testing.T) {
	const pairs = 40_000
	fill := func(refs ...uint16) (all []uint16) {
		for len(all) < pairs {
			all = append(all, refs...)
		}
		return all
	}
	long := ascii(strings.Repeat("x", 600_000))
	var different []uint16
	objects := [][]byte{long}
	for i := range pairs {
		objects = append(objects, fmt.Appendf([]byte{0x55}, "%05d", i))
		different = append(different, uint16(i+2))
	}
	lists := map[string][]byte{
		"all values are one long text":         references(different, fill(1), objects...),
		"all keys are one long text":           references(fill(1), fill(2), long, []byte{0x10, 1}),
		"a value that is asked for, each time": references(fill(2), fill(1), long, ascii("flags")),
	}
	if n := len(lists["all values are one long text"]); n > maxPlist {
		lists["all values are one long text"] = references(different[:20_000], fill(1)[:20_000], objects[:20_001]...)
	}
	var xml bytes.Buffer
	xml.WriteString("<plist><dict>")
	for i := range 10_000 {
		fmt.Fprintf(&xml, "<key>k%d</key><string>%s</string>", i, strings.Repeat("y", 60))
	}
	xml.WriteString("</dict></plist>")
	lists["XML"] = xml.Bytes()
	for name, b := range lists {
		if len(b) > maxPlist {
			t.Fatalf("%s: %d bytes are more than are read", name, len(b))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p, err := parsePlist(b)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 32<<20 {
			t.Errorf("%s: %d MiB for %d KiB", name, used>>20, len(b)>>10)
		}
		if len(p) > 2 {
			t.Errorf("%s: %d values are kept", name, len(p))
		}
	}
}

// TestPlistStillTellsWhatIsAskedFor: as number, text and date, in both forms.
func TestPlistStillTellsWhatIsAskedFor(t *testing.T) {
	for name, b := range map[string][]byte{
		"binary":         references([]uint16{1, 2, 3}, []uint16{4, 5, 4}, ascii("flags"), ascii("date-received"), ascii("other"), []byte{0x10, 17}, ascii("1588929011")),
		"XML":            []byte("<plist><dict><key>other</key><string>z</string><key>flags</key><integer>17</integer><key>date-received</key><string>1588929011</string></dict></plist>"),
		"XML, as a date": []byte("<plist><dict><key>flags</key><real>17</real><key>date-received</key><date>2020-05-08T09:10:11Z</date></dict></plist>"),
	} {
		p, err := parsePlist(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		flags, _ := p.number("flags")
		received, _ := p.number("date-received")
		if flags != 17 || received != 1588929011 || len(p) != 2 {
			t.Errorf("%s: got %v", name, p)
		}
	}
}
