package damage

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// messageKinds break files with mail, of whatever layout.
var messageKinds = []kind{
	{"message-garbage", "", "3 kB of random bytes in the mail itself (mdbox: inside a storage file; else over a message's beginning)", inMail(func(b *breaker, p string) error {
		if b.Layout == "mdbox" {
			return b.garbage(p, -1, 3000)
		}
		return b.garbage(p, 0, 60)
	})},
	{"message-empty", "", "a file with mail has no byte left", inMail(emptied)},
	{"message-half", "", "a file with mail ends at half", inMail(keep(50))},
	{"message-missing", "", "a file with mail is removed", inMail(removed)},
	{"message-nuls", "", "a file with mail is all NUL bytes (mdbox: 4 KiB of them amid a storage file)", inMail(func(b *breaker, p string) error {
		size, err := b.size(p)
		if err != nil {
			return err
		}
		if b.Layout != "mdbox" || size < 8192 {
			return b.overwrite(p, 0, make([]byte, size))
		}
		return b.overwrite(p, b.between(4096, size-4096)&^4095, make([]byte, 4096))
	})},
	{"messages-several", "", "several messages are damaged, each otherwise", func(b *breaker) error {
		if b.Layout == "mdbox" {
			return b.inMessages(4, func(p string, m dboxMessage) error { return b.garbage(p, b.between(m.header, m.meta), 40) })
		}
		paths, err := b.messages()
		if err != nil {
			return err
		}
		ways := []func(*breaker, string) error{removed, emptied, keep(50), noisy(0, 60)}
		for i, n := range b.Perm(len(paths))[:min(len(paths), len(ways))] {
			if err := ways[i](b, paths[n]); err != nil {
				return err
			}
		}
		return nil
	}},
}

// dboxKinds break what only sdbox and mdbox have.
var dboxKinds = []kind{
	{"message-first-line", "mdbox sdbox", "random bytes over the first line of a file with mail", inMail(func(b *breaker, p string) error {
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		noise := b.noise(int64(bytes.IndexByte(data, '\n')))
		return b.overwrite(p, 0, bytes.ReplaceAll(noise, []byte{'\n'}, []byte{'\r'}))
	})},
	{"message-magic", "mdbox sdbox", "random bytes over the mark that begins a message", inMessage(func(b *breaker, p string, m dboxMessage) error { return b.garbage(p, m.header, 4) })},
	{"message-size-wrong", "mdbox sdbox", "a message's header tells another size than it has", inMessage(func(b *breaker, p string, m dboxMessage) error {
		size := m.meta - m.body + b.between(1, 300)*(1-2*b.between(0, 2))
		return b.overwrite(p, m.header+13, fmt.Appendf(nil, "%016X", max(size, 0)))
	})},
	{"message-metadata-magic", "mdbox sdbox", "random bytes over the mark between a message's text and its metadata", inMessage(func(b *breaker, p string, m dboxMessage) error { return b.garbage(p, m.meta, 4) })},
	{"message-metadata-garbage", "mdbox sdbox", "random bytes over a message's metadata", inMessage(func(b *breaker, p string, m dboxMessage) error {
		at := m.meta + int64(len(dboxMark))
		return b.garbage(p, at, m.end-at)
	})},
	{"message-last-byte", "mdbox sdbox", "the last byte of a file with mail is missing", inMail(func(b *breaker, p string) error {
		size, err := b.size(p)
		if err != nil {
			return err
		}
		return b.truncate(p, size-1)
	})},
	{"message-tail-garbage", "mdbox sdbox", "random bytes behind the end of a file with mail", inMail(func(b *breaker, p string) error { return b.add(p, b.noise(b.between(1, 2000))) })},
	{"message-text-cut", "sdbox", "a message's file ends within its text", inMessage(func(b *breaker, p string, m dboxMessage) error { return b.truncate(p, b.between(m.body, m.meta)) })},
	{"message-metadata-cut", "sdbox", "a message's file ends within its metadata", inMessage(func(b *breaker, p string, m dboxMessage) error {
		return b.truncate(p, b.between(m.meta+int64(len(dboxMark)), m.end-1))
	})},
	{"message-stray", "sdbox", "a message has been copied to a file u.N whose number is no message's", func(b *breaker) error {
		from, err := b.message()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		paths, err := b.messages()
		if err != nil {
			return err
		}
		taken, last := make(map[int]bool), 0
		for _, p := range paths {
			n, _ := strconv.Atoi(p[strings.LastIndexByte(p, '.')+1:])
			taken[n], last = true, max(last, n)
		}
		n := last + 7
		for try := 1; try < last; try++ {
			if !taken[try] {
				n = try
			}
		}
		return b.create(b.path(fmt.Sprintf("u.%d", n)), from, data)
	}},
	{"folder-emptied", "mdbox sdbox", "rm -rf * in the mailbox's folder", func(b *breaker) error {
		entries, err := os.ReadDir(b.folder)
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
}

// inMail makes a kind that breaks a file with mail.
func inMail(do func(b *breaker, path string) error) func(*breaker) error {
	return func(b *breaker) error {
		p, err := b.message()
		if err != nil {
			return err
		}
		return do(b, p)
	}
}

// inMessage makes a kind that breaks a message in a dbox file.
func inMessage(do func(b *breaker, path string, m dboxMessage) error) func(*breaker) error {
	return func(b *breaker) error {
		return b.inMessages(1, func(p string, m dboxMessage) error { return do(b, p, m) })
	}
}

// inMessages breaks some messages of a dbox file.
func (b *breaker) inMessages(n int, do func(path string, m dboxMessage) error) error {
	p, err := b.message()
	if err != nil {
		return err
	}
	found, err := b.readDbox(p)
	if err != nil {
		return err
	}
	for _, i := range b.Perm(len(found))[:min(n, len(found))] {
		if err := do(p, found[i]); err != nil {
			return err
		}
	}
	return nil
}
