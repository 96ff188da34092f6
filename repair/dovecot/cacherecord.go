package dovecot

import "iter"

// CacheHead is struct mail_cache_header.
type CacheHead struct {
	Major, OffsetSize, Minor uint8 // OffsetSize is sizeof(uoff_t) where the file was written: 8
	IndexID, Seq             uint32
	Linked, Records          uint32 // records that continue others, and all of them
	UsedSize                 uint32 // not used since 2.2
	Deleted                  uint32
	FieldsOffset             uint32 // of the first field header, decoded; 0 where it is none
}

func parseCacheHead(b []byte) CacheHead {
	var p [cacheHeaderSize]byte
	copy(p[:], b)
	return CacheHead{Major: p[0], OffsetSize: p[1], Minor: p[2], IndexID: u32(p[:], 4), Seq: u32(p[:], 8), Linked: u32(p[:], 12),
		Records: u32(p[:], 16), UsedSize: u32(p[:], 20), Deleted: u32(p[:], 24), FieldsOffset: uint32(unpack(p[28:]))}
}

// CacheRecord is one record of a cache: struct mail_cache_record. What the cache knows of a message is a chain of them.
type CacheRecord struct {
	Offset uint32
	Prev   uint32 // the record that this one continues, 0: none
	Size   uint32 // with its header of 8 bytes

	c *Cache
	b []byte
}

// Record reads the frame of the record at an offset (see [Cache.Offsets]); ok is false where none fits there.
func (c *Cache) Record(offset uint32) (r CacheRecord, ok bool) {
	at := int64(offset)
	if at < cacheHeaderSize || at+cacheRecordHeaderSize > int64(len(c.b)) {
		return r, false
	}
	r = CacheRecord{Offset: offset, Prev: u32(c.b, int(at)), Size: u32(c.b, int(at)+4), c: c}
	if r.Size < cacheRecordHeaderSize || int64(r.Size) > int64(len(c.b))-at {
		return r, false
	}
	r.b = c.b[at+cacheRecordHeaderSize : at+int64(r.Size)]
	return r, true
}

// Values are the fields of a record, in their order, with their data. It ends before a field that goes outside the
// record or is not declared; [CacheRecord.Whole] tells whether that happened.
func (r *CacheRecord) Values() iter.Seq2[*CacheField, []byte] {
	return func(yield func(*CacheField, []byte) bool) { r.c.values(r.b, yield) }
}

// Whole reports whether the fields fill the record to its end.
func (r *CacheRecord) Whole() bool {
	return r.c.values(r.b, func(*CacheField, []byte) bool { return true })
}

// Recovered are the places of records behind the first damage: those whose fields fill them to their end and which the
// file's end, or another such record, follows.
func (c *Cache) Recovered() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		at := c.walk(func(int) bool { return true }, &faults{})
		budget := 1<<20 + 64*len(c.b) // fields that may be looked at
		for at+cacheRecordHeaderSize <= len(c.b) && budget > 0 {
			size := c.believable(at, &budget)
			if size == 0 || at+size < len(c.b) && c.blocks[at+size] == 0 && c.believable(at+size, &budget) == 0 {
				at += 4
				continue
			}
			if !yield(uint32(at)) {
				return
			}
			at += size
		}
	}
}

// believable gives the size of the record at a place, 0 where there is none.
func (c *Cache) believable(at int, budget *int) int {
	r, ok := c.Record(uint32(at))
	if !ok || r.Size%4 != 0 || len(r.b) == 0 || int64(r.Prev) >= int64(at) || r.Prev%4 != 0 || r.Prev > 0 && r.Prev < cacheHeaderSize {
		return 0
	}
	whole := c.values(r.b, func(*CacheField, []byte) bool {
		*budget--
		return *budget > 0
	})
	if *budget--; !whole || *budget <= 0 {
		return 0
	}
	return int(r.Size)
}

// values reads fields one after the other; false where they do not fit.
func (c *Cache) values(b []byte, yield func(*CacheField, []byte) bool) bool {
	for len(b) >= 4 {
		n := u32(b, 0)
		if int64(n) >= int64(len(c.Fields)) {
			return false
		}
		f := &c.Fields[n]
		size := int64(f.Size)
		b = b[4:]
		if f.Size == 0xffffffff {
			if len(b) < 4 {
				return false
			}
			size, b = int64(u32(b, 0)), b[4:]
		}
		if size > int64(len(b)) {
			return false
		}
		if !yield(f, b[:size:size]) {
			return true
		}
		b = b[min(align(int(size), 4), len(b)):]
	}
	return len(b) == 0
}
