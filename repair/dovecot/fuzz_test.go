package dovecot

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"testing"
)

// checkBounds runs a reader: its faults must lie inside the input, and what it allocates must be bounded by the input's length.
func checkBounds(t *testing.T, size int, read func() []Fault) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	list := read()
	runtime.ReadMemStats(&after)
	if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(16<<20+400*size); got > limit {
		t.Errorf("%d bytes of input made it allocate %d bytes", size, got)
	}
	if len(list) > 5*(maxFaults+1) {
		t.Errorf("%d faults", len(list))
	}
	for _, f := range list {
		if f.Offset < 0 || f.Offset > int64(size) || f.Rule == "" || f.Detail == "" {
			t.Errorf("fault outside %d bytes, or without words: %v", size, f)
		}
	}
}

// seed adds all vectors of a format, whole, cut and with a bit flipped.
func seed(f *testing.F, format string) {
	f.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", format, "*.vec"))
	if err != nil {
		f.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, path := range paths {
		seedFile(f, path, rng)
	}
	f.Add([]byte{})
	f.Add(make([]byte, 300))
}

// seedFile adds a vector, whole, cut and with a bit flipped.
func seedFile(f *testing.F, path string, rng *rand.Rand) {
	f.Helper()
	b := readVector(f, path).data
	f.Add(b)
	if len(b) > 0 {
		f.Add(b[:rng.IntN(len(b))])
		flipped := bytes.Clone(b)
		flipped[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		f.Add(flipped)
	}
}

func FuzzParseIndex(f *testing.F) {
	seed(f, "index")
	f.Fuzz(func(t *testing.T, b []byte) {
		checkBounds(t, len(b), func() []Fault {
			x, list := ParseIndex(b)
			last := UID(0)
			for _, r := range x.Records {
				if r.UID <= last {
					t.Errorf("UID %d after %d", r.UID, last)
				}
				last = r.UID
			}
			return list
		})
	})
}

func FuzzParseLog(f *testing.F) {
	seed(f, "log")
	f.Fuzz(func(t *testing.T, b []byte) {
		checkBounds(t, len(b), func() []Fault {
			l, list := ParseLog(b)
			last := int64(0)
			for i := range l.Records {
				r := &l.Records[i]
				if r.Offset < last || r.End() > l.Size {
					t.Errorf("record %d..%d after %d in %d bytes", r.Offset, r.End(), last, l.Size)
				}
				last = r.End()
			}
			if l.SyncOffset < 0 || l.SyncOffset > l.Size {
				t.Errorf("sync offset %d in %d bytes", l.SyncOffset, l.Size)
			}
			return list
		})
	})
}

// joinFiles and splitFiles make one input of the files of an index and back.
func joinFiles(f Files) []byte {
	var out []byte
	for _, b := range [][]byte{f.Index, f.Backup, f.Log, f.Log2} {
		out = binary.AppendUvarint(out, uint64(len(b)))
		out = append(out, b...)
	}
	return out
}

func splitFiles(b []byte) Files {
	var f Files
	for _, to := range []*[]byte{&f.Index, &f.Backup, &f.Log, &f.Log2} {
		n, k := binary.Uvarint(b)
		if k <= 0 {
			break
		}
		b = b[k:]
		n = min(n, uint64(len(b)))
		if n > 0 {
			*to, b = b[:n:n], b[n:]
		}
	}
	return f
}

// wholeIndexes hands out real indexes, of a mailbox, a map, a list of mailboxes and a Maildir: as they are, and with each of their files
// gone, cut and with a bit flipped.
func wholeIndexes(f *testing.F, do func(index Files, damaged []Files)) {
	f.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "replay", "*.vec"))
	if err != nil || len(paths) == 0 {
		f.Fatalf("no whole indexes: %v", err)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for _, path := range paths {
		index := splitFiles(readVector(f, path).data)
		var damaged []Files
		for _, part := range []func(*Files) *[]byte{func(f *Files) *[]byte { return &f.Index }, func(f *Files) *[]byte { return &f.Backup },
			func(f *Files) *[]byte { return &f.Log }, func(f *Files) *[]byte { return &f.Log2 }} {
			b := *part(&index)
			if len(b) == 0 {
				continue
			}
			flipped := bytes.Clone(b)
			flipped[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
			for _, to := range [][]byte{nil, b[:rng.IntN(len(b))], flipped} {
				d := index
				*part(&d) = to
				damaged = append(damaged, d)
			}
		}
		do(index, damaged)
	}
}

func FuzzReplay(f *testing.F) {
	for _, format := range []string{"index", "log"} {
		paths, _ := filepath.Glob(filepath.Join("testdata", format, "*.vec"))
		for _, path := range paths {
			b := readVector(f, path).data
			if format == "log" {
				f.Add(joinFiles(Files{Log: b}))
			} else {
				f.Add(joinFiles(Files{Index: b}))
			}
		}
	}
	wholeIndexes(f, func(index Files, damaged []Files) {
		f.Add(joinFiles(index))
		for _, d := range damaged {
			f.Add(joinFiles(d))
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		files := splitFiles(b)
		checkBounds(t, len(b), func() []Fault {
			s, list := Replay(files)
			use(s)
			return list
		})
		s, _, _ := Sees(files)
		use(s)
	})
}

// use calls every accessor of a State.
func use(s *State) {
	for i := range s.Records {
		r := &s.Records[i]
		s.KeywordNames(r)
		s.GUID(r)
		s.MapUID(r)
		s.VirtualSize(r)
		s.CacheOffset(r)
		s.ModSeqOf(r)
		for j := range s.Exts[:min(len(s.Exts), 8)] {
			s.Value(r, &s.Exts[j])
		}
	}
	s.MapRecords()
	s.MapHeader()
	s.MailboxGUID()
	s.MapUIDValidity()
	if l, _, ok := s.List(); ok {
		for i := range l.Nodes {
			l.Path(i)
		}
	}
}

func FuzzParseCache(f *testing.F) {
	seed(f, "cache")
	f.Fuzz(func(t *testing.T, b []byte) {
		checkBounds(t, len(b), func() []Fault {
			c, list := ParseCache(b)
			for at := cacheHeaderSize; at < len(b) && at < 1000; at += 4 {
				_, more := c.Lookup(uint32(at))
				list = append(list, more[:min(len(more), 3)]...)
			}
			last := uint32(0)
			for at := range c.Recovered() {
				if r, ok := c.Record(at); !ok || at <= last || !r.Whole() {
					t.Errorf("recovered a record at %d after %d: %+v", at, last, r)
				}
				last = at
			}
			return list
		})
	})
}

func FuzzParseDbox(f *testing.F) {
	seed(f, "dbox")
	f.Fuzz(func(t *testing.T, b []byte) {
		checkBounds(t, len(b), func() []Fault {
			d, list, err := ParseDbox(bytes.NewReader(b), int64(len(b)), []DboxExtent{{40, 60}, {100, 300}})
			if err != nil {
				t.Error(err)
			}
			last := int64(0)
			for _, m := range d.Messages {
				if m.Offset < last || m.BodyOffset < m.Offset || m.BodySize < 0 || m.BodyOffset+m.BodySize > m.End || m.End > d.Size {
					t.Errorf("message after %d: %+v", last, m)
				}
				last = m.End
			}
			return list
		})
	})
}

func FuzzParseUIDList(f *testing.F) {
	seed(f, "uidlist")
	f.Fuzz(func(t *testing.T, b []byte) {
		checkBounds(t, len(b), func() []Fault {
			l, list := ParseUIDList(b)
			last := UID(0)
			for _, e := range l.Entries {
				if e.UID <= last || e.UID >= l.NextUID && e.UID != ^UID(0) {
					t.Errorf("UID %d after %d, next %d", e.UID, last, l.NextUID)
				}
				last = e.UID
			}
			return list
		})
	})
}

func FuzzParseSmallFiles(f *testing.F) {
	seed(f, "subscriptions")
	seed(f, "keywords")
	seed(f, "mailboxlog")
	for _, name := range []string{"1234567890.M20046P2137.host,S=4542,W=4642:2,FSab", "1572851529.M1P1.mail,S=12,W=13", "1572851529.M1P1.mail:2,", "1572851529.V801I2f.host:2,RST",
		"1572851529.M1P1.mail,W=13,S=12:1,DRS", "new", ":2,S", "1.a,S=99999999999999999999:2,zyx"} {
		f.Add([]byte(name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		checkBounds(t, len(b), func() []Fault { _, list := ParseSubscriptions(b); return list })
		checkBounds(t, len(b), func() []Fault { k, list := ParseMaildirKeywords(b); k.Names(^uint32(0)); return list })
		checkBounds(t, len(b), func() []Fault {
			records, list := ParseMailboxLog(b)
			last := int64(-mailboxLogRecordSize)
			for _, r := range records {
				if r.Offset < last+mailboxLogRecordSize || r.Offset+mailboxLogRecordSize > int64(len(b)) || r.Type.String() == "" {
					t.Errorf("record %+v after %d in %d bytes", r, last, len(b))
				}
				last = r.Offset
			}
			return list
		})
		for _, name := range []string{"dovecot-uidvalidity", "dovecot-uidvalidity.5f0c8b2a", "dovecot-uidvalidity." + string(b)} {
			checkBounds(t, len(b), func() []Fault { _, _, list := ParseUIDValidity(name, b); return list })
		}
		n := ParseMaildirName(string(b))
		if len(n.Base) > len(b) {
			t.Errorf("base %q", n.Base)
		}
		DetectEncoding(b)
		GUID128(string(b))
	})
}
