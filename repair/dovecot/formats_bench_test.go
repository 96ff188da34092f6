package dovecot_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"dovemend/repair/dovecot"
	"dovemend/repair/large"
	"dovemend/repair/store"
)

// benchMessages is how many messages the files of these benchmarks tell of.
const benchMessages = 20_000

// laid lays an account, and gives its files.
func laid(b *testing.B, layout store.Layout, mailboxes int) func(name string) []byte {
	b.Helper()
	dir := b.TempDir()
	if _, err := (large.Account{Layout: layout, Messages: benchMessages, Mailboxes: mailboxes, Cache: true}).Lay(dir); err != nil {
		b.Fatal(err)
	}
	return func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			b.Fatal(err)
		}
		return data
	}
}

// perMessage runs a benchmark over a file that tells of n things.
func perMessage(b *testing.B, name string, size, n int, do func(b *testing.B) int) {
	b.Run(name, func(b *testing.B) {
		b.SetBytes(int64(size))
		b.ReportAllocs()
		for b.Loop() {
			if got := do(b); got != n {
				b.Fatalf("%d of %d", got, n)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/message")
	})
}

// BenchmarkFormats reads every file that tells of messages, from memory: index and cache of an mdbox mailbox, map and list index, files
// of mdbox and sdbox, uidlist and file names of a Maildir. Logs are BenchmarkReplay's.
func BenchmarkFormats(b *testing.B) {
	mdbox := laid(b, store.MDBox, 1)
	index := mdbox("mailboxes/INBOX/dbox-Mails/dovecot.index")
	perMessage(b, "index", len(index), benchMessages, func(b *testing.B) int {
		x, faults := dovecot.ParseIndex(index)
		return len(x.Records) - len(faults)
	})
	perMessage(b, "index-replay", len(index), benchMessages, func(b *testing.B) int {
		s, faults := dovecot.Replay(dovecot.Files{Index: index})
		return len(s.Records) - len(faults)
	})
	perMessage(b, "index-sees", len(index), benchMessages, func(b *testing.B) int {
		s, _, faults := dovecot.Sees(dovecot.Files{Index: index})
		return len(s.Records) - len(faults)
	})
	cache := mdbox("mailboxes/INBOX/dbox-Mails/dovecot.index.cache")
	perMessage(b, "cache", len(cache), benchMessages, func(b *testing.B) int {
		c, _ := dovecot.ParseCache(cache)
		n := 0
		for range c.Offsets() {
			n++
		}
		return n
	})
	c, _ := dovecot.ParseCache(cache)
	perMessage(b, "cache-lookup", len(cache), benchMessages, func(b *testing.B) int {
		n := 0
		for at := range c.Offsets() {
			if values, _ := c.Lookup(at); len(values) == 3 {
				n++
			}
		}
		return n
	})
	mapped := mdbox("storage/dovecot.map.index")
	perMessage(b, "map", len(mapped), benchMessages, func(b *testing.B) int {
		s, _ := dovecot.Replay(dovecot.Files{Index: mapped})
		records, _ := s.MapRecords()
		return len(records)
	})
	list := laid(b, store.MDBox, 5000)("dovecot.list.index")
	perMessage(b, "list", len(list), 5000, func(b *testing.B) int {
		s, _ := dovecot.Replay(dovecot.Files{Index: list})
		l, _, _ := s.List()
		n := 0
		for i := range l.Nodes {
			if _, ok := l.Path(i); ok {
				n++
			}
		}
		return n
	})
	file := mdbox("storage/m.1")
	d, _, _ := dovecot.ParseDbox(bytes.NewReader(file), int64(len(file)), nil)
	perMessage(b, "mdbox", len(file), len(d.Messages), func(b *testing.B) int {
		d, _, _ := dovecot.ParseDbox(bytes.NewReader(file), int64(len(file)), nil)
		return len(d.Messages)
	})
	single := laid(b, store.SDBox, 1)("mailboxes/INBOX/dbox-Mails/u.1")
	perMessage(b, "sdbox", len(single), 1, func(b *testing.B) int {
		d, _, _ := dovecot.ParseDbox(bytes.NewReader(single), int64(len(single)), nil)
		return len(d.Messages)
	})
	uids := laid(b, store.Maildir, 1)("dovecot-uidlist")
	perMessage(b, "uidlist", len(uids), benchMessages, func(b *testing.B) int {
		l, _ := dovecot.ParseUIDList(uids)
		return len(l.Entries)
	})
	parsed, _ := dovecot.ParseUIDList(uids)
	perMessage(b, "uidlist-write", len(uids), len(uids), func(b *testing.B) int {
		out, _ := parsed.Append(nil)
		return len(out)
	})
	keywords := []byte("0 $Forwarded\n1 NonJunk\n2 $Label1\n3 $MDNSent\n")
	perMessage(b, "keywords", len(keywords), 1, func(b *testing.B) int {
		k, _ := dovecot.ParseMaildirKeywords(keywords)
		return len(k.Names(2))
	})
	name := fmt.Sprintf("%d.M123456P1234.mail,S=1090,W=1124:2,FSab", large.Made)
	perMessage(b, "maildir-name", len(name), 1090, func(b *testing.B) int { return int(dovecot.ParseMaildirName(name).Size) })
}
