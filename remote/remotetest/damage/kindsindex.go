package damage

import "os"

// indexKinds break dovecot.index alone.
var indexKinds = []kind{
	{"index-missing", "", "dovecot.index is removed", over(index, removed)},
	{"index-empty", "", "dovecot.index has no byte left, as after a full disk", over(index, emptied)},
	{"index-short", "", "dovecot.index ends inside its header", over(index, func(b *breaker, path string) error {
		return b.truncate(path, b.between(1, indexHeader))
	})},
	{"index-cut-extensions", "", "dovecot.index ends inside the extension headers, and all records are gone", inIndex(func(b *breaker, x *indexFile) error {
		return b.truncate(x.path, b.between(indexHeader, x.header))
	})},
	{"index-cut", "", "dovecot.index ends at 60 %", over(index, keep(60))},
	{"index-cut-records", "", "dovecot.index ends somewhere in its records", inIndex(func(b *breaker, x *indexFile) error {
		return b.truncate(x.path, b.between(x.header, x.end))
	})},
	{"index-header-garbage", "", "random bytes over the header of dovecot.index", over(index, noisy(0, 64))},
	{"index-headers-garbage", "", "random bytes over the header of dovecot.index and over its extension headers", inIndex(func(b *breaker, x *indexFile) error {
		return b.garbage(x.path, 0, x.header)
	})},
	{"index-extensions-garbage", "", "random bytes over the extension headers of dovecot.index", inIndex(func(b *breaker, x *indexFile) error {
		return b.garbage(x.path, indexHeader, x.header-indexHeader)
	})},
	{"index-records-garbage", "", "random bytes over the records of dovecot.index", over(index, func(b *breaker, path string) error {
		size, err := b.size(path)
		if err != nil {
			return err
		}
		return b.garbage(path, max(indexHeader, size-size/3), size) // the records are the file's end
	})},
	{"index-records-start-garbage", "", "random bytes over the first records of dovecot.index", inIndex(func(b *breaker, x *indexFile) error {
		return b.garbage(x.path, x.header, b.between(x.record/2, min(4*x.record, x.end-x.header)))
	})},
	{"index-records-middle-garbage", "", "random bytes over some records amid those of dovecot.index", inIndex(func(b *breaker, x *indexFile) error {
		at := b.between(x.header+x.record/2, x.end-3*x.record)
		return b.garbage(x.path, at, b.between(x.record, 3*x.record))
	})},
	{"index-record-zero", "", "a record of dovecot.index has the UID 0", inIndex(func(b *breaker, x *indexFile) error {
		return b.overwrite(x.path, x.at(b.between(0, x.records()-1)), number(0))
	})},
	{"index-last-record-zero", "", "the last record of dovecot.index has the UID 0", inIndex(func(b *breaker, x *indexFile) error {
		return b.overwrite(x.path, x.at(x.records()-1), number(0))
	})},
	{"index-records-unordered", "", "a flipped bit makes the UID of a record of dovecot.index not fit between its neighbours", inIndex(func(b *breaker, x *indexFile) error {
		if x.records() < 3 {
			return nothing("%s has few records", x.path)
		}
		at := x.at(b.between(1, x.records()-1))
		before, uid, after := le.Uint32(x.b[at-x.record:]), le.Uint32(x.b[at:]), le.Uint32(x.b[at+x.record:])
		for bit := b.IntN(8); ; bit++ {
			if n := uid ^ 1<<(bit%32); n <= before || n >= after {
				return b.overwrite(x.path, at, number(n))
			}
		}
	})},
	{"index-extension-bad", "", "an extension header of dovecot.index cannot be right: its length, its place in the record, or its name", inIndex(func(b *breaker, x *indexFile) error {
		e := x.exts[b.IntN(len(x.exts))]
		switch b.IntN(3) {
		case 0:
			return b.overwrite(x.path, e.at, number(uint32(b.between(x.header, 1<<20))))
		case 1:
			return b.overwrite(x.path, e.at+8, le.AppendUint16(nil, uint16(b.between(x.record, 1<<15))))
		}
		return b.garbage(x.path, e.at+16, int64(len(e.name)))
	})},
	{"index-major-version", "", "dovecot.index says it is of version 8", over(index, func(b *breaker, path string) error { return b.overwrite(path, 0, []byte{8}) })},
	{"index-byte-order", "", "dovecot.index says it comes from a computer with the other byte order", over(index, func(b *breaker, path string) error {
		return b.overwrite(path, 12, []byte{0})
	})},
	{"index-id", "", "dovecot.index has another id than its log", inIndex(func(b *breaker, x *indexFile) error {
		return b.overwrite(x.path, 16, number(le.Uint32(x.b[16:])+uint32(b.between(1, 1<<20))))
	})},
	{"index-log-position", "", "dovecot.index says it knows more of its log than the log has", inIndex(func(b *breaker, x *indexFile) error {
		size, err := b.size(b.path(log))
		if err != nil {
			return err
		}
		return b.overwrite(x.path, 68, number(uint32(size+4*b.between(1, 1000))))
	})},
	{"index-next-uid", "", "the next UID in dovecot.index is lower than that of messages", inIndex(func(b *breaker, x *indexFile) error {
		last := le.Uint32(x.b[x.at(x.records()-1):])
		return b.overwrite(x.path, 28, number(uint32(b.between(1, int64(last)))))
	})},
	{"index-fsckd", "", "dovecot.index says that the mailbox has to be rebuilt from its storage", inIndex(func(b *breaker, x *indexFile) error {
		return b.overwrite(x.path, 20, number(le.Uint32(x.b[20:])|4))
	})},
	{"index-unreadable", "", "dovecot.index has mode 0000", over(index, func(b *breaker, path string) error {
		size, err := b.size(path)
		if err != nil {
			return err
		}
		b.note(Change{File: path, What: Hidden, Length: size})
		return os.Chmod(path, 0)
	})},
}

// inIndex makes a kind that has to know where things are in dovecot.index.
func inIndex(do func(*breaker, *indexFile) error) func(*breaker) error {
	return func(b *breaker) error {
		x, err := b.readIndex(b.path(index))
		if err != nil {
			return err
		}
		if x.records() == 0 || len(x.exts) == 0 {
			return nothing("%s has no records", x.path)
		}
		return do(b, x)
	}
}
