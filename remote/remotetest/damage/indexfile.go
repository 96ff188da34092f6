package damage

import (
	"encoding/binary"
	"os"
)

var le = binary.LittleEndian

// indexHeader is the length of struct mail_index_header in bytes, after which extensions and records begin.
const indexHeader = 120

// indexFile is where things are in a dovecot.index. What is read here is what is about to be broken, so nothing but sound files
// is understood; the readers under test are not used, so that they and the damages check each other.
type indexFile struct {
	path                string
	b                   []byte
	header, record, end int64 // where the records begin, how long one is, where they end
	exts                []indexExt
}

// indexExt is an extension: where its header lies, and its part of a record.
type indexExt struct {
	name           string
	at, data, next int64 // its header, its header's data, the next extension's header
	offset, size   int64 // in a record
}

func (b *breaker) readIndex(path string) (*indexFile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	x := &indexFile{path: path, b: data}
	if len(data) < indexHeader {
		return nil, nothing("%s has no header", path)
	}
	x.header, x.record = int64(le.Uint32(data[4:])), int64(le.Uint32(data[8:]))
	x.end = x.header + x.record*int64(le.Uint32(data[32:]))
	if x.header < indexHeader || x.record < 8 || x.end > int64(len(data)) {
		return nil, nothing("%s is no sound index", path)
	}
	for at := int64(indexHeader); at+16 <= x.header; {
		name := int64(le.Uint16(data[at+14:]))
		e := indexExt{at: at, data: at + to8(16+name), offset: int64(le.Uint16(data[at+8:])), size: int64(le.Uint16(data[at+10:]))}
		e.next = e.data + to8(int64(le.Uint32(data[at:])))
		if at+16+name > x.header || e.next > x.header {
			return nil, nothing("%s is no sound index", path)
		}
		e.name = string(data[at+16 : at+16+name])
		x.exts = append(x.exts, e)
		at = e.next
	}
	return x, nil
}

func to8(n int64) int64 { return (n + 7) &^ 7 }

// records is how many there are.
func (x *indexFile) records() int64 { return (x.end - x.header) / x.record }

// at is where record i begins.
func (x *indexFile) at(i int64) int64 { return x.header + i*x.record }

// ext finds an extension by name.
func (x *indexFile) ext(name string) (indexExt, error) {
	for _, e := range x.exts {
		if e.name == name {
			return e, nil
		}
	}
	return indexExt{}, nothing("%s has no extension %s", x.path, name)
}

// number is a 32-bit number as an index holds it.
func number(n uint32) []byte { return le.AppendUint32(nil, n) }
