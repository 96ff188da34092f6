package damage

import (
	"errors"
	"io/fs"
)

// mapKinds break mdbox's map index.
var mapKinds = []kind{
	{"map-missing", "mdbox", "storage/dovecot.map.index and its log are removed", removeMap},
	{"map-garbage", "mdbox", "random bytes in the map index, or in its log where there is no index yet", func(b *breaker) error {
		err := b.garbage(b.storage(mapIx), 0, 64)
		if errors.Is(err, fs.ErrNotExist) {
			return b.garbage(b.storage(mapIx+".log"), -1, 200)
		}
		return err
	}},
	{"map-index-missing", "mdbox", "storage/dovecot.map.index is removed, its log is not", inStorage(mapIx, removed)},
	{"map-index-empty", "mdbox", "storage/dovecot.map.index has no byte left", inStorage(mapIx, emptied)},
	{"map-records-garbage", "mdbox", "random bytes over the records of storage/dovecot.map.index", inMap(func(b *breaker, x *indexFile) error {
		return b.garbage(x.path, b.between(x.header, x.end-4*x.record), 4*x.record)
	})},
	{"map-record-zero", "mdbox", "the map index says of a message that it is in no file", inMap(func(b *breaker, x *indexFile) error {
		e, err := x.ext("map")
		if err != nil {
			return err
		}
		return b.overwrite(x.path, x.at(b.between(0, x.records()))+e.offset, number(0))
	})},
	{"map-refs-low", "mdbox", "the map index says of a message that nobody refers to it", inMap(func(b *breaker, x *indexFile) error {
		e, err := x.ext("ref")
		if err != nil {
			return err
		}
		for range 100 {
			if at := x.at(b.between(0, x.records())) + e.offset; le.Uint16(x.b[at:]) > 0 {
				return b.overwrite(x.path, at, []byte{0, 0})
			}
		}
		return nothing("no message in %s is referred to", x.path)
	})},
	{"map-log-missing", "mdbox", "storage/dovecot.map.index.log is removed", inStorage(mapIx+".log", removed)},
	{"map-log-empty", "mdbox", "storage/dovecot.map.index.log has no byte left", inStorage(mapIx+".log", emptied)},
	{"map-log-torn", "mdbox", "the last bytes of storage/dovecot.map.index.log are missing", inStorage(mapIx+".log", torn)},
	{"map-log-cut-between", "mdbox", "storage/dovecot.map.index.log ends somewhere between two transactions", inStorage(mapIx+".log", between)},
	{"map-log-garbage", "mdbox", "random bytes in the middle of storage/dovecot.map.index.log", inStorage(mapIx+".log", noisy(-1, 200))},
	{"map-and-index-missing", "mdbox", "the map index and the mailbox's own index are removed, with their logs", all(removeMap, removeIndex)},
	{"all-indexes-missing", "mdbox", "the map index and the index files of all mailboxes are removed", func(b *breaker) error {
		if err := removeMap(b); err != nil {
			return err
		}
		return b.each(func(int) error { return removeIndex(b) })
	}},
}

func removeMap(b *breaker) error {
	return b.remove(b.storage(mapIx+".log"), b.storage(mapIx), b.storage(mapIx+".backup"), b.storage(mapIx+".log.2"))
}

func removeIndex(b *breaker) error {
	return b.remove(b.path(log), b.path(index), b.path(back), b.path(log2), b.path(cache))
}

func inStorage(name string, do func(b *breaker, path string) error) func(*breaker) error {
	return func(b *breaker) error { return do(b, b.storage(name)) }
}

// inMap makes a kind that has to know where things are in the map index.
func inMap(do func(*breaker, *indexFile) error) func(*breaker) error {
	return func(b *breaker) error {
		x, err := b.readIndex(b.storage(mapIx))
		if err != nil {
			return err
		}
		if x.records() < 4 {
			return nothing("%s has few records", x.path)
		}
		return do(b, x)
	}
}
