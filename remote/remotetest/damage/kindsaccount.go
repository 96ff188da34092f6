package damage

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// listKinds break the files that name an account's mailboxes.
var listKinds = []kind{
	{"list-index-missing", "", "dovecot.list.index and its log are removed", func(b *breaker) error {
		return b.remove(b.root(listIx+".log"), b.root(listIx), b.root(listIx+".log.2"))
	}},
	{"list-index-torn", "", "the last bytes of dovecot.list.index.log are missing", func(b *breaker) error { return torn(b, b.root(listIx+".log")) }},
	{"list-index-garbage", "", "random bytes in dovecot.list.index and in the middle of its log", func(b *breaker) error {
		if err := b.garbage(b.root(listIx), 0, 64); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return b.garbage(b.root(listIx+".log"), -1, 200)
	}},
	{"subscriptions-missing", "", "the file subscriptions is removed", func(b *breaker) error { return b.remove(b.root("subscriptions")) }},
	{"subscriptions-garbage", "", "random bytes over the beginning of the file subscriptions", func(b *breaker) error {
		return b.garbage(b.root("subscriptions"), 0, 20)
	}},
}

// accountKinds break several mailboxes of an account.
var accountKinds = []kind{
	{"several-mailboxes", "", "index files of all mailboxes are broken, each otherwise", func(b *breaker) error {
		ways := []func(*breaker) error{over(index, noisy(0, 64)), over(index, removed), over(index, emptied), over(log, noisy(-1, 200)), over(index, keep(60)), over(log, keep(50))}
		first := b.IntN(len(ways))
		return b.each(func(i int) error {
			err := ways[(first+i)%len(ways)](b)
			if errors.Is(err, fs.ErrNotExist) { // an index is written only when there is enough to tell
				return b.garbage(b.path(log), -1, 200)
			}
			return err
		})
	}},
}

func (b *breaker) root(name string) string { return filepath.Join(b.MailRoot, name) }
