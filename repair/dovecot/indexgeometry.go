package dovecot

// guessGeometry finds out how long headers and records are when the base header does not tell: the extension headers
// are a chain that can be walked, and they say what a record holds. Where they are gone too, another state of the same
// index (model) tells, and where there is none, the records themselves: their UIDs ascend.
func (x *Index) guessGeometry(b []byte, model *Index, fs *faults) {
	h := &x.Header
	if h.Major == 7 && h.CompatFlags == 1 && h.RecordSize >= 8 && h.BaseHeaderSize == indexHeaderSize && int64(h.HeaderSize) <= int64(len(b)) && h.HeaderSize >= indexHeaderSize {
		return // unusable to Dovecot for another reason: a flag
	}
	x.guessed = true
	// The header is believed where it says what another state says. Then the file ends before its records begin.
	if model != nil && int64(h.HeaderSize) > int64(len(b)) && h.IndexID == model.Header.IndexID && h.BaseHeaderSize == model.Header.BaseHeaderSize &&
		h.RecordSize >= model.Header.RecordSize && h.HeaderSize >= model.Header.HeaderSize && h.HeaderSize-model.Header.HeaderSize < grownHeaders {
		h.HeaderSize, h.Messages = uint32(len(b)), 0
		return
	}
	if x.walkExts(b) {
		h.Messages = uint32((len(b) - int(h.HeaderSize)) / int(h.RecordSize))
		fs.add(4, "index-guessed", "read by its %d extension headers instead: headers end at %d, a record has %d bytes", len(x.Exts), h.HeaderSize, h.RecordSize)
		return
	}
	x.Exts = nil
	start, size, ok := findRecords(b, model)
	if !ok {
		h.HeaderSize, h.RecordSize = 0, 0
		return
	}
	h.BaseHeaderSize, h.HeaderSize, h.RecordSize = indexHeaderSize, uint32(start), uint32(size)
	h.Messages = uint32((len(b) - start) / size)
	fs.add(4, "index-guessed", "read by where its UIDs ascend instead: headers end at %d, a record has %d bytes", start, size)
	if model != nil && int(model.Header.RecordSize) == size {
		x.borrow(model, fs)
	}
}

// grownHeaders is how many bytes the headers of two states of an index may differ: by names of keywords, and a few extensions.
const grownHeaders = 4096

// walkExts reads the extension headers one behind the other and takes the geometry from them.
func (x *Index) walkExts(b []byte) bool {
	x.Exts = nil
	at, size, to := indexHeaderSize, 8, 4
	for at < len(b) {
		e, next, problem := readExt(b, at)
		if problem != "" || next == 0 || e.check(0) != "" || e.RecordOffset == 0 && e.RecordSize != 0 || x.Ext(e.Name) != nil {
			break
		}
		x.Exts = append(x.Exts, e)
		at = next
		if e.RecordSize != 0 {
			size, to = max(size, int(e.RecordOffset)+int(e.RecordSize)), max(to, int(e.RecordAlign))
		}
	}
	size = align(size, to)
	// A chain that breaks off in its middle leads to where no records are.
	if len(x.Exts) == 0 || ascends(b, at, size) < min(4, (len(b)-at)/size) {
		return false
	}
	x.Header.BaseHeaderSize, x.Header.HeaderSize, x.Header.RecordSize = indexHeaderSize, uint32(at), uint32(size)
	return true
}

// borrow takes the extensions that another state of the same index has and this file no longer tells: records of one
// length hold the same things, because extensions are only ever added.
func (x *Index) borrow(model *Index, fs *faults) {
	if model == nil || model == x || model.Header.RecordSize != x.Header.RecordSize {
		return
	}
	all, lent := make([]Ext, 0, len(model.Exts)), 0
	for _, e := range model.Exts {
		if own := x.Ext(e.Name); own != nil {
			e = *own
		} else {
			lent++
		}
		all = append(all, e)
	}
	for _, e := range x.Exts {
		if findExt(all, e.Name) == nil {
			all = append(all, e)
		}
	}
	if lent > 0 {
		x.Exts = all
		fs.add(min(indexHeaderSize, int(x.Header.HeaderSize)), "index-borrowed", "%d extensions are told by another state of this index", lent)
	}
}

// Limits of the search for records: how far behind the base header they may begin, how long one may be, in bytes, and how
// many must ascend.
const (
	searchHeaders = 64 << 10
	searchSize    = 256
	searchRun     = 8
)

// findRecords finds where records begin, and how long they are, by their UIDs. The model's geometry is tried first.
func findRecords(b []byte, model *Index) (start, size int, ok bool) {
	enough := func(at, size int) bool { return ascends(b, at, size) >= min(searchRun, (len(b)-at)/size) }
	if model != nil && model.Header.RecordSize >= 8 {
		start, size = int(model.Header.HeaderSize), int(model.Header.RecordSize)
		if start < len(b) && (len(b)-start)/size >= 1 && enough(start, size) {
			return start, size, true
		}
		if start, ok := firstRun(b, size, enough); ok {
			return start, size, true
		}
	}
	best := 0
	for s := 8; s <= searchSize; s += 4 {
		at, found := firstRun(b, s, enough)
		if !found {
			continue
		}
		// Every multiple of the true length ascends too: the shortest with the longest run is the one.
		if n := ascends(b, at, s); n >= searchRun && n > best {
			best, start, size = n, at, s
		}
	}
	return start, size, best > 0
}

// firstRun is the first place behind the base header from where on enough UIDs ascend.
func firstRun(b []byte, size int, enough func(at, size int) bool) (int, bool) {
	for at := indexHeaderSize; at < min(len(b)-searchRun*size+1, searchHeaders); at += 8 {
		if enough(at, size) {
			return at, true
		}
	}
	return 0, false
}

// ascends counts the records from a place on whose UIDs ascend by steps that mailboxes know, up to the first one that does not fit.
func ascends(b []byte, at, size int) int {
	n, last := 0, uint32(0)
	for ; at+size <= len(b); at += size {
		uid := le.Uint32(b[at:])
		if uid <= last || n > 0 && uid-last > 1<<20 || b[at+4]&byte(FlagRecent) != 0 {
			break
		}
		n, last = n+1, uid
	}
	return n
}
