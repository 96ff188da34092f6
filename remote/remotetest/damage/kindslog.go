package damage

import (
	"errors"
	"io/fs"
)

// logKinds break the transaction logs.
var logKinds = []kind{
	{"log-missing", "", "dovecot.index.log is removed", over(log, removed)},
	{"log-empty", "", "dovecot.index.log has no byte left", over(log, emptied)},
	{"log-header-cut", "", "dovecot.index.log ends inside its header", over(log, func(b *breaker, path string) error {
		return b.truncate(path, b.between(1, 40))
	})},
	{"log-cut", "", "dovecot.index.log ends at half", over(log, keep(50))},
	{"log-cut-between", "", "dovecot.index.log ends somewhere between two transactions", over(log, between)},
	{"log-torn", "", "the last bytes of dovecot.index.log are missing, as after a crash", over(log, torn)},
	{"log-tail-garbage", "", "random bytes behind the end of dovecot.index.log", over(log, func(b *breaker, path string) error {
		return b.add(path, b.noise(b.between(1, 400)))
	})},
	{"log-garbage", "", "random bytes in the middle of dovecot.index.log", over(log, noisy(-1, 200))},
	{"log-header-garbage", "", "random bytes over the header of dovecot.index.log", over(log, noisy(0, 24))},
	{"log-record-invalid", "", "a record of dovecot.index.log has the right length and a type that cannot be", over(log, func(b *breaker, path string) error {
		records, err := b.readLog(path)
		if err != nil {
			return err
		}
		const external = 0x10000000
		types := []uint32{external | 0x1, external | 0x2000, external | 0x200000, 0x7fffffff}
		return b.overwrite(path, records[b.IntN(len(records))].at+4, number(types[b.IntN(len(types))]))
	})},
	{"log-marked", "", "dovecot.index.log bears Dovecot's mark of a corrupted log: its index id is 0", over(log, func(b *breaker, path string) error {
		return b.overwrite(path, 4, number(0))
	})},
	{"log2-missing", "", "dovecot.index.log.2 is removed", over(log2, removed)},
	{"log2-garbage", "", "random bytes in the middle of dovecot.index.log.2", over(log2, noisy(-1, 200))},
}

// torn cuts off a part of a log's last record.
func torn(b *breaker, path string) error {
	records, err := b.readLog(path)
	if err != nil {
		return err
	}
	last := records[len(records)-1]
	return b.truncate(path, last.at+b.between(1, last.size))
}

// between cuts a log where a transaction ends, somewhere in its middle.
func between(b *breaker, path string) error {
	records, err := b.readLog(path)
	if err != nil {
		return err
	}
	var ends []int64
	next := records[0].at
	for _, r := range records {
		if r.at >= next {
			ends = append(ends, r.at)
			next = r.at + max(r.size, r.transaction)
		}
	}
	if len(ends) < 4 {
		return nothing("%s has %d transactions", path, len(ends))
	}
	n := int64(len(ends))
	return b.truncate(path, ends[b.between(n/4, n-n/4)])
}

// bothKinds break several index files of a mailbox at once.
var bothKinds = []kind{
	{"index-missing-log-cut", "", "dovecot.index is removed and its log ends at half", all(over(index, removed), over(log, keep(50)))},
	{"index-missing-log-cut-between", "", "dovecot.index is removed and its log ends somewhere between two transactions", all(over(index, removed), over(log, between))},
	{"index-garbage-log-garbage", "", "random bytes over the header of dovecot.index and in the middle of its log", all(over(index, noisy(0, 64)), over(log, noisy(-1, 200)))},
	{"logs-missing", "", "dovecot.index.log and .log.2 are removed", all(over(log, removed), over(log2, removed))},
	{"index-and-logs-missing", "", "all index files but the cache are removed", func(b *breaker) error {
		return b.remove(b.path(log), b.path(index), b.path(back), b.path(log2))
	}},
	{madeAnew, "", "all index files were removed, and Dovecot has looked since: it made the mailbox anew", func(b *breaker) error {
		return b.remove(b.path(log), b.path(index), b.path(back), b.path(log2), b.path(cache))
	}},
	{"backup-garbage", "mdbox sdbox", "random bytes over dovecot.index.backup", over(back, noisy(0, 1<<20))},
	{"index-and-backup-garbage", "mdbox sdbox", "random bytes over the headers of dovecot.index and its backup", func(b *breaker) error {
		if err := b.garbage(b.path(index), 0, 64); err != nil {
			return err
		}
		if err := b.garbage(b.path(back), 0, 64); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}},
}

var cacheKinds = []kind{
	{"cache-missing", "", "dovecot.index.cache is removed", over(cache, removed)},
	{"cache-empty", "", "dovecot.index.cache has no byte left", over(cache, emptied)},
	{"cache-garbage", "", "random bytes in the middle of dovecot.index.cache", over(cache, noisy(-1, 2000))},
	{"cache-header-garbage", "", "random bytes over the header of dovecot.index.cache", over(cache, noisy(0, 32))},
	{"cache-huge", "", "dovecot.index.cache is over 1 GiB long (a sparse file)", over(cache, func(b *breaker, path string) error { return b.grow(path, hugeCache) })},
}

// hugeCache is the length of a cache of the kind that made Dovecot 2.3 crash: over 1 GiB. The file is sparse.
const hugeCache = 1<<30 + 200<<20
