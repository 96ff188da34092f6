package damage

import "slices"

const (
	index    = "dovecot.index"
	log      = "dovecot.index.log"
	log2     = "dovecot.index.log.2"
	cache    = "dovecot.index.cache"
	back     = "dovecot.index.backup"
	list     = "dovecot-uidlist"
	keywords = "dovecot-keywords"
	mapIx    = "dovecot.map.index"
	listIx   = "dovecot.list.index"
)

// madeAnew is the kind that Dovecot's look belongs to.
const madeAnew = "made-anew"

var kinds = slices.Concat(indexKinds, logKinds, bothKinds, cacheKinds, messageKinds, dboxKinds, mapKinds, maildirKinds, listKinds, accountKinds)

// over makes a kind that breaks one of the mailbox's index files.
func over(name string, do func(b *breaker, path string) error) func(*breaker) error {
	return func(b *breaker) error { return do(b, b.path(name)) }
}

func removed(b *breaker, path string) error { return b.remove(path) }

func emptied(b *breaker, path string) error { return b.truncate(path, 0) }

// noisy makes n bytes from a place on random; a negative place is the middle.
func noisy(at, n int64) func(*breaker, string) error {
	return func(b *breaker, path string) error { return b.garbage(path, at, n) }
}

// keep leaves that much of a file, in percent.
func keep(percent int64) func(*breaker, string) error {
	return func(b *breaker, path string) error { return b.cut(path, percent) }
}

// all does one after another.
func all(steps ...func(*breaker) error) func(*breaker) error {
	return func(b *breaker) error {
		for _, step := range steps {
			if err := step(b); err != nil {
				return err
			}
		}
		return nil
	}
}
