package inspect

import (
	"fmt"
	"iter"

	"dovemend/repair/dovecot"
)

// Cache is a dovecot.index.cache.
type Cache struct {
	Header      CacheHeader  `json:"header"`
	Fields      []CacheField `json:"fields"`
	RecordCount int          `json:"record_count"` // that can be read

	Records iter.Seq[CacheRecord] `json:"records,omitempty"`
}

// CacheHeader is struct mail_cache_header.
type CacheHeader struct {
	Major        uint8  `json:"major_version"`
	OffsetSize   uint8  `json:"compat_sizeof_uoff_t"`
	Minor        uint8  `json:"minor_version"`
	IndexID      Stamp  `json:"indexid"`
	Seq          Stamp  `json:"file_seq"` // the reset id of the index's cache extension
	Linked       uint32 `json:"continued_record_count"`
	Records      uint32 `json:"record_count"`
	UsedSize     uint32 `json:"used_file_size"` // not used since 2.2
	Deleted      uint32 `json:"deleted_record_count"`
	FieldsOffset uint32 `json:"field_header_offset"`
}

// CacheField is a field that messages may have in the cache.
type CacheField struct {
	ID       int    `json:"id"`
	Name     string `json:"name"`
	Type     Word   `json:"type"`     // fix, var, str, bit, hdr
	Size     Maybe  `json:"size"`     // unknown where it varies
	Decision Word   `json:"decision"` // whether Dovecot caches it: no, tmp, yes; with ! as a setting wants it
	LastUsed Stamp  `json:"last_used"`
}

// CacheRecord is one record: what was added for a message at one time.
type CacheRecord struct {
	Offset    uint32 `json:"offset"`
	Prev      uint32 `json:"prev_offset"` // of the record about the same message that this one continues, 0: none
	Size      uint32 `json:"size"`
	Recovered bool   `json:"recovered,omitempty"` // it stands behind the first damage, and was found by what it looks like
	Broken    bool   `json:"broken,omitempty"`    // its fields do not fit into it; those before the damage are told

	Values iter.Seq[Facts] `json:"values"`
}

func cacheFields(fields []dovecot.CacheField) []CacheField {
	out := []CacheField{}
	for i, f := range fields {
		x := CacheField{i, f.Name, cacheType(f.Type), Maybe(f.Size), cacheDecision(f.Decision), Stamp(f.LastUsed)}
		if f.Size == 0xffffffff && f.Type != dovecot.CacheFixed && f.Type != dovecot.CacheBitmask {
			x.Size = -1
		}
		out = append(out, x)
	}
	return out
}

// cacheType is the name `doveadm dump` gives the type.
func cacheType(t dovecot.CacheType) Word {
	names := [...]Word{"fix", "var", "str", "bit", "hdr"}
	if int(t) < len(names) {
		return names[t]
	}
	return Word(fmt.Sprintf("0x%x", uint8(t)))
}

// cacheDecision is the name `doveadm dump` gives enum mail_cache_decision_type.
func cacheDecision(d uint8) Word {
	const forced = 0x80
	names := [...]Word{"no", "tmp", "yes"}
	if int(d&^forced) >= len(names) {
		return Word(fmt.Sprintf("0x%x", d))
	}
	if d&forced != 0 {
		return names[d&^forced] + "!"
	}
	return names[d]
}

func (w *walker) cache(d *Dump, b []byte) {
	c, list := dovecot.ParseCache(b)
	d.wrong(list)
	d.Cache = &Cache{Header: CacheHeader{c.Major, c.OffsetSize, c.Minor, Stamp(c.IndexID), Stamp(c.Seq), c.Linked, c.Records, c.UsedSize, c.Deleted, c.FieldsOffset},
		Fields: cacheFields(c.Fields)}
	wrong := 0
	for at := range c.Offsets() {
		d.Cache.RecordCount++
		r, ok := c.Record(at)
		if ok && r.Whole() {
			continue
		}
		if wrong++; wrong <= maxCacheFaults {
			d.wrong([]dovecot.Fault{{Offset: int64(at), Rule: "cache-record", Detail: "the record's fields do not fit into it"}})
		}
	}
	if wrong > maxCacheFaults {
		d.wrong([]dovecot.Fault{{Rule: "more-faults", Detail: fmt.Sprintf("%d more records are like this", wrong-maxCacheFaults)}})
	}
	for range c.Recovered() {
		d.Cache.RecordCount++
	}
	if !w.o.Summary {
		d.Cache.Records = w.cacheRecords(c)
	}
}

// cacheRecords are the records of a cache, those behind damage last.
func (w *walker) cacheRecords(c *dovecot.Cache) iter.Seq[CacheRecord] {
	return func(yield func(CacheRecord) bool) {
		for _, recovered := range [...]bool{false, true} {
			places := c.Offsets()
			if recovered {
				places = c.Recovered()
			}
			for at := range places {
				r, ok := c.Record(at)
				if !ok {
					continue
				}
				out := CacheRecord{Offset: r.Offset, Prev: r.Prev, Size: r.Size, Recovered: recovered, Broken: !r.Whole(), Values: func(yield func(Facts) bool) {
					for f, v := range r.Values() {
						if !yield(cacheValue(f, v)) {
							return
						}
					}
				}}
				if w.ctx.Err() != nil || !yield(out) {
					return
				}
			}
		}
	}
}

// maxCacheFaults bounds how many broken records are told one by one.
const maxCacheFaults = 1000
