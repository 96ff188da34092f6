package dovecot

import (
	"bytes"
	"iter"
	"strings"
)

const (
	cacheHeaderSize       = 32 // struct mail_cache_header
	cacheFieldsHeaderSize = 12 // struct mail_cache_header_fields
	cacheRecordHeaderSize = 8  // struct mail_cache_record
)

// CacheType is enum mail_cache_field_type.
type CacheType uint8

// How a cache field's data is laid out.
const (
	CacheFixed    CacheType = iota // always Size bytes
	CacheVariable                  // any bytes
	CacheString                    // text
	CacheBitmask                   // Size bytes; those of older records count too
	CacheHeader                    // line numbers ended by 0, then header lines; no bytes: the header is absent
)

// CacheField is a field that messages may have in the cache.
type CacheField struct {
	Name     string
	Type     CacheType
	Size     uint32 // 0xffffffff: variable
	Decision uint8
	LastUsed uint32 // Unix time, to the day
}

// Cache is a dovecot.index.cache. Records are found through the "cache" extension of the index, see [State.CacheOffset].
type Cache struct {
	CacheHead // it is usable with the index of this IndexID whose cache extension has Seq as its reset id
	Fields    []CacheField

	b      []byte
	blocks map[int]int // where field headers lie, and how long they are
}

// ParseCache reads the header and the fields of a cache, and checks that its records lie one behind the other to its end.
// The result shares memory with b.
func ParseCache(b []byte) (*Cache, []Fault) {
	c, fs := &Cache{CacheHead: parseCacheHead(b), b: b, blocks: map[int]int{}}, &faults{}
	if len(b) < cacheHeaderSize {
		fs.add(len(b), "cache-too-small", "the file has %d bytes, the header alone has %d", len(b), cacheHeaderSize)
		return c, fs.all()
	}
	if b[0] != 1 || b[1] != 8 {
		fs.add(0, "cache-version", "major version is %d and offsets have %d bytes, not 1 and 8", b[0], b[1])
	}
	if c.Seq == 0 {
		fs.add(8, "cache-sequence", "the file's sequence is 0")
	}
	c.fields(unpack(b[28:]), fs)
	c.walk(func(int) bool { return true }, fs)
	return c, fs.all()
}

// Offsets are the places of all records, whether an index refers to them or not, up to the first damage.
func (c *Cache) Offsets() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		c.walk(func(at int) bool { return yield(uint32(at)) }, &faults{})
	}
}

// walk goes from record to record, and gives where it ended.
func (c *Cache) walk(yield func(at int) bool, fs *faults) int {
	at := cacheHeaderSize
	for at < len(c.b) {
		if size, ok := c.blocks[at]; ok {
			at += align(size, 4)
			continue
		}
		size := int64(u32(c.b, at+4))
		if size < cacheRecordHeaderSize || size > int64(len(c.b)-at) || size%4 != 0 {
			fs.add(at, "cache-record-size", "a record of %d bytes, where the file has %d more", size, len(c.b)-at)
			break
		}
		if !yield(at) {
			break
		}
		at += int(size)
	}
	return at
}

// fields follows the chain of field headers to the last one, which replaces the others.
func (c *Cache) fields(at int, fs *faults) {
	if at == 0 && u32(c.b, 28) != 0 {
		fs.add(28, "cache-fields", "the offset of the fields is not one")
	}
	for last := 0; at != 0; {
		if at <= last || at < cacheHeaderSize || at+cacheFieldsHeaderSize > len(c.b) {
			fs.add(min(max(last, 28), len(c.b)), "cache-fields", "fields at %d after those at %d, in a file of %d bytes", at, last, len(c.b))
			return
		}
		size := int64(u32(c.b, at+4))
		if size < cacheFieldsHeaderSize || size > int64(len(c.b)-at) {
			fs.add(at, "cache-fields", "they have %d bytes, the file %d more", size, len(c.b)-at)
			return
		}
		c.blocks[at] = int(size)
		fields, ok := parseCacheFields(c.b[at : at+int(size)])
		if !ok {
			fs.add(at, "cache-fields", "%d fields do not fit into %d bytes", u32(c.b, at+8), size)
			return
		}
		c.Fields, last = fields, at
		at = unpack(c.b[at:])
	}
}

func parseCacheFields(b []byte) ([]CacheField, bool) {
	n := int64(u32(b, 8))
	if n*10 > int64(len(b)-cacheFieldsHeaderSize) {
		return nil, false
	}
	count := int(n)
	used, sizes := b[cacheFieldsHeaderSize:], b[cacheFieldsHeaderSize+4*count:]
	types, decisions, names := sizes[4*count:], sizes[5*count:], string(sizes[6*count:])
	fields := make([]CacheField, count)
	for i := range fields {
		end := strings.IndexByte(names, 0)
		if end <= 0 {
			return nil, false
		}
		fields[i] = CacheField{Name: names[:end], Type: CacheType(types[i]), Size: u32(sizes, 4*i), Decision: decisions[i], LastUsed: u32(used, 4*i)}
		names = names[end+1:]
	}
	return fields, true
}

// Lookup reads what the cache knows of a message: data by field name. It follows the chain of records from the newest,
// at offset, to the oldest; the newest value counts, of bitmasks all together.
func (c *Cache) Lookup(offset uint32) (map[string][]byte, []Fault) {
	values := map[string][]byte{}
	return values, c.LookupInto(values, offset)
}

// LookupInto is [Cache.Lookup] for those who look up many messages: it makes no map, but empties one and puts the values there.
func (c *Cache) LookupInto(values map[string][]byte, offset uint32) []Fault {
	clear(values)
	fs := &faults{}
	for at, steps := int64(offset), 0; at != 0; steps++ {
		if at < cacheHeaderSize || at%4 != 0 || at+cacheRecordHeaderSize > int64(len(c.b)) {
			fs.add(int(min(at, int64(len(c.b)))), "cache-offset", "a record at offset %d, in a file of %d bytes", at, len(c.b))
			break
		}
		prev, size := int64(u32(c.b, int(at))), int64(u32(c.b, int(at)+4))
		if size < cacheRecordHeaderSize || size > int64(len(c.b))-at {
			fs.add(int(at), "cache-record-size", "the record has %d bytes, the file %d more", size, int64(len(c.b))-at)
			break
		}
		if !c.record(c.b[at+cacheRecordHeaderSize:at+size], values) {
			fs.add(int(at), "cache-record", "the record's fields do not fit into it")
			break
		}
		if steps > len(c.b)/cacheRecordHeaderSize || prev == at {
			fs.add(int(at), "cache-loop", "the records refer to each other in a circle")
			break
		}
		at = prev
	}
	return fs.all()
}

// record adds the fields of one record to what newer records told.
func (c *Cache) record(b []byte, values map[string][]byte) bool {
	return c.values(b, func(f *CacheField, v []byte) bool {
		old, have := values[f.Name]
		switch {
		case !have:
			values[f.Name] = v
		case f.Type == CacheBitmask && len(old) == len(v):
			or := bytes.Clone(old)
			for i := range or {
				or[i] |= v[i]
			}
			values[f.Name] = or
		}
		return true
	})
}
