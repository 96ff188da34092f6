package damage

import (
	"errors"
	"io/fs"
	"os"
)

const (
	index = "dovecot.index"
	log   = "dovecot.index.log"
	log2  = "dovecot.index.log.2"
	cache = "dovecot.index.cache"
	back  = "dovecot.index.backup"
	list  = "dovecot-uidlist"
	mapIx = "dovecot.map.index"
)

// hugeCache is the length of a cache of the kind that made Dovecot 2.3 crash: over 1 GiB. The file is sparse.
const hugeCache = 1<<30 + 200<<20

// indexHeader is the length of struct mail_index_header in bytes, after which extensions and records begin.
const indexHeader = 120

var kinds = []kind{
	{"index-missing", "", "dovecot.index is removed", func(b *breaker) error { return b.remove(b.path(index)) }},
	{"index-empty", "", "dovecot.index has no byte left, as after a full disk", func(b *breaker) error { return b.cut(b.path(index), 0) }},
	{"index-cut", "", "dovecot.index ends at 60 %", func(b *breaker) error { return b.cut(b.path(index), 60) }},
	{"index-header-garbage", "", "random bytes over the header of dovecot.index", func(b *breaker) error { return b.garbage(b.path(index), 0, 64) }},
	{"index-records-garbage", "", "random bytes over the records of dovecot.index", func(b *breaker) error {
		return b.rewrite(b.path(index), func(old []byte) []byte {
			for i := max(indexHeader, len(old)-len(old)/3); i < len(old); i++ { // the records are the file's end
				old[i] = byte(b.Uint32())
			}
			return old
		})
	}},
	{"index-unreadable", "", "dovecot.index has mode 0000", func(b *breaker) error {
		b.files = append(b.files, b.path(index))
		return os.Chmod(b.path(index), 0)
	}},
	{"index-and-logs-missing", "", "all index files but the cache are removed", func(b *breaker) error {
		return b.remove(b.path(log), b.path(index), b.path(back), b.path(log2))
	}},
	{"index-and-backup-garbage", "mdbox sdbox", "random bytes over the headers of dovecot.index and its backup", func(b *breaker) error {
		if err := b.garbage(b.path(index), 0, 64); err != nil {
			return err
		}
		if err := b.garbage(b.path(back), 0, 64); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}},
	{"folder-emptied", "mdbox sdbox", "rm -rf * in the mailbox's folder", func(b *breaker) error {
		entries, err := os.ReadDir(b.Folder())
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Type().IsRegular() {
				if err := b.remove(b.path(e.Name())); err != nil {
					return err
				}
			}
		}
		return nil
	}},
	{"log-missing", "", "dovecot.index.log is removed", func(b *breaker) error { return b.remove(b.path(log)) }},
	{"log-empty", "", "dovecot.index.log has no byte left", func(b *breaker) error { return b.cut(b.path(log), 0) }},
	{"log-cut", "", "dovecot.index.log ends at half", func(b *breaker) error { return b.cut(b.path(log), 50) }},
	{"log-garbage", "", "random bytes in the middle of dovecot.index.log", func(b *breaker) error { return b.garbage(b.path(log), -1, 200) }},
	{"log-header-garbage", "", "random bytes over the header of dovecot.index.log", func(b *breaker) error { return b.garbage(b.path(log), 0, 24) }},
	{"cache-missing", "", "dovecot.index.cache is removed", func(b *breaker) error { return b.remove(b.path(cache)) }},
	{"cache-empty", "", "dovecot.index.cache has no byte left", func(b *breaker) error { return b.cut(b.path(cache), 0) }},
	{"cache-garbage", "", "random bytes in the middle of dovecot.index.cache", func(b *breaker) error { return b.garbage(b.path(cache), -1, 2000) }},
	{"cache-huge", "", "dovecot.index.cache is over 1 GiB long (a sparse file)", func(b *breaker) error {
		b.files = append(b.files, b.path(cache))
		return os.Truncate(b.path(cache), hugeCache)
	}},
	{"message-garbage", "", "3 kB of random bytes in the mail itself (mdbox: inside m.1; else over a message's beginning)", func(b *breaker) error {
		p, err := b.message()
		if err != nil {
			return err
		}
		if b.Layout == "mdbox" {
			return b.garbage(p, -1, 3000)
		}
		return b.garbage(p, 0, 60)
	}},
	{"message-empty", "", "a file with mail has no byte left", func(b *breaker) error {
		p, err := b.message()
		if err != nil {
			return err
		}
		return b.cut(p, 0)
	}},
	{"message-half", "", "a file with mail ends at half", func(b *breaker) error {
		p, err := b.message()
		if err != nil {
			return err
		}
		return b.cut(p, 50)
	}},
	{"message-missing", "", "a file with mail is removed", func(b *breaker) error {
		p, err := b.message()
		if err != nil {
			return err
		}
		return b.remove(p)
	}},
	{"map-missing", "mdbox", "storage/dovecot.map.index and its log are removed", func(b *breaker) error {
		return b.remove(b.storage(mapIx+".log"), b.storage(mapIx), b.storage(mapIx+".backup"), b.storage(mapIx+".log.2"))
	}},
	{"map-garbage", "mdbox", "random bytes in the map index, or in its log where there is no index yet", func(b *breaker) error {
		err := b.garbage(b.storage(mapIx), 0, 64)
		if errors.Is(err, fs.ErrNotExist) {
			return b.garbage(b.storage(mapIx+".log"), -1, 200)
		}
		return err
	}},
	{"uidlist-missing", "maildir", "dovecot-uidlist is removed", func(b *breaker) error { return b.remove(b.path(list)) }},
	{"uidlist-garbage", "maildir", "random bytes in the middle of dovecot-uidlist", func(b *breaker) error { return b.garbage(b.path(list), -1, 300) }},
	{"uidlist-cut", "maildir", "dovecot-uidlist ends at half", func(b *breaker) error { return b.cut(b.path(list), 50) }},
}
