package dovecot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// makeDbox writes an m.N of n messages as Dovecot does, and tells where each begins and ends.
func makeDbox(n int, rng *rand.Rand) (file []byte, want []DboxMessage) {
	file = []byte("2 M1e C6b042af8\n")
	for i := range n {
		body := fmt.Sprintf("From: a@example.org\nSubject: message %d\n\n", i) + strings.Repeat(fmt.Sprintf("line of message %d\n", i), rng.IntN(40))
		m := DboxMessage{Offset: int64(len(file)), BodyOffset: int64(len(file) + 30), BodySize: int64(len(body))}
		virtual := len(body) + strings.Count(body, "\n")
		guid := fmt.Sprintf("%08x%024x", i+1, rng.Uint64())
		file = fmt.Appendf(file, "\x01\x02N          %016X\n%s\n\x01\x03\nR%x\nV%x\nG%s\nBINBOX\n\n", len(body), body, 0x60000000+i, virtual, guid)
		m.End, m.GUID, m.Received, m.VirtualSize, m.Mailbox = int64(len(file)), GUID128(guid), int64(0x60000000+i), int64(virtual), "INBOX"
		want = append(want, m)
	}
	return file, want
}

func TestParseDboxReadsAWholeFileWithoutFault(t *testing.T) {
	file, want := makeDbox(50, rand.New(rand.NewPCG(1, 1)))
	f, list, err := ParseDbox(bytes.NewReader(file), int64(len(file)), nil)
	if err != nil || len(list) > 0 {
		t.Fatal(err, list)
	}
	if f.Version != 2 || f.MessageHeaderSize != 30 || f.Created != 0x6b042af8 || len(f.Messages) != 50 {
		t.Fatalf("got %d %d %x and %d messages", f.Version, f.MessageHeaderSize, f.Created, len(f.Messages))
	}
	for i, m := range f.Messages {
		w := want[i]
		if m.Offset != w.Offset || m.BodyOffset != w.BodyOffset || m.BodySize != w.BodySize || m.End != w.End || m.GUID != w.GUID ||
			m.Received != w.Received || m.VirtualSize != w.VirtualSize || m.Mailbox != w.Mailbox || m.Damage != 0 {
			t.Errorf("message %d: got %+v, want %+v", i, m, w)
		}
	}
}

// TestParseDboxLosesNoUntouchedMessage damages a stretch of a file in several ways: every message outside it must come
// out as it was, and what is recovered inside must not reach into its neighbours.
func TestParseDboxLosesNoUntouchedMessage(t *testing.T) {
	ways := map[string]func(file []byte, from, to int) ([]byte, int){
		"noise":   func(file []byte, from, to int) ([]byte, int) { return noise(file, from, to-from), 0 },
		"zeroed":  func(file []byte, from, to int) ([]byte, int) { clear(file[from:to]); return file, 0 },
		"removed": func(file []byte, from, to int) ([]byte, int) { return slices.Delete(file, from, to), from - to },
		"inserted": func(file []byte, from, to int) ([]byte, int) {
			return slices.Insert(file, from, bytes.Repeat([]byte("x"), to-from)...), to - from
		},
	}
	for name, damage := range ways {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(400) {
				rng := rand.New(rand.NewPCG(seed, 7))
				file, want := makeDbox(3+rng.IntN(20), rng)
				from := rng.IntN(len(file))
				to := min(from+1+rng.IntN([]int{3, 30, 300, 3000}[rng.IntN(4)]), len(file))
				damaged, shift := damage(slices.Clone(file), from, to)
				if name == "inserted" {
					to = from
				}
				f, _, err := ParseDbox(bytes.NewReader(damaged), int64(len(damaged)), nil)
				if err != nil {
					t.Fatal(err)
				}
				for i, w := range want {
					if int(w.End) > from && int(w.Offset) <= to && !(int(w.Offset) == to && name != "inserted" && name != "removed") {
						continue // touched
					}
					off := w.Offset
					if int(off) >= to {
						off += int64(shift)
					}
					j := slices.IndexFunc(f.Messages, func(m DboxMessage) bool { return m.GUID == w.GUID })
					if j < 0 {
						t.Fatalf("seed %d, %d..%d: message %d is lost", seed, from, to, i)
					}
					if m := f.Messages[j]; m.Offset != off || m.BodySize != w.BodySize || m.Damage != 0 || m.BodyOffset != off+30 {
						t.Fatalf("seed %d, %d..%d: message %d (%d) at %d has %d bytes from %d, damage %s, want %d bytes from %d", seed, from, to, i, w.Offset, m.Offset, m.BodySize, m.BodyOffset, m.Damage, w.BodySize, off+30)
					}
				}
				last := int64(0)
				for _, m := range f.Messages {
					if m.Offset < last || m.BodyOffset < m.Offset || m.BodySize < 0 || m.End < m.BodyOffset+m.BodySize || m.End > f.Size {
						t.Fatalf("seed %d: message at %d overlaps what precedes it (%d) or the end: %+v", seed, m.Offset, last, m)
					}
					last = m.End
				}
			}
		})
	}
}

func TestParseDboxRecoversSmallDamageExactly(t *testing.T) {
	file, want := makeDbox(5, rand.New(rand.NewPCG(3, 3)))
	w := want[2]
	post := int(w.BodyOffset + w.BodySize)
	tests := []struct {
		name     string
		damage   func(b []byte) []byte
		known    []DboxExtent
		damaged  DboxDamage
		withGUID bool
	}{
		{"header magic", func(b []byte) []byte { b[w.Offset] = 'x'; return b }, nil, DboxHeaderLost, true},
		{"whole header", func(b []byte) []byte { clear(b[w.Offset:w.BodyOffset]); return b }, nil, DboxHeaderLost, true},
		{"header and first lines", func(b []byte) []byte { return noise(b, int(w.Offset), 50) }, []DboxExtent{{w.Offset, w.End - w.Offset}}, DboxHeaderLost, true},
		{"size", func(b []byte) []byte { copy(b[w.Offset+13:], "0000000000000001"); return b }, nil, DboxSizeWrong, true},
		{"huge size", func(b []byte) []byte { copy(b[w.Offset+13:], "7FFFFFFFFFFFFFFF"); return b }, nil, DboxSizeWrong, true},
		{"size beyond a signed number", func(b []byte) []byte { copy(b[w.Offset+13:], "FFFFFFFFFFFFFFFF"); return b }, nil, DboxHeaderLost, true},
		{"post-magic", func(b []byte) []byte { copy(b[post:], "ABCD"); return b }, nil, DboxBoundaryLost, true},
		{"metadata", func(b []byte) []byte { return noise(b, post, int(w.End)-post) }, nil, DboxMetadataLost, false},
		{"empty line", func(b []byte) []byte { b[w.End-1] = 'x'; return b }, nil, DboxMetadataLost, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.damage(slices.Clone(file))
			f, list, err := ParseDbox(bytes.NewReader(b), int64(len(b)), tt.known)
			if err != nil || len(list) == 0 {
				t.Fatalf("error %v, faults %v", err, list)
			}
			i := slices.IndexFunc(f.Messages, func(m DboxMessage) bool { return m.Offset == w.Offset })
			if i < 0 {
				t.Fatalf("no message at %d: %+v", w.Offset, f.Messages)
			}
			m := f.Messages[i]
			if m.Damage != tt.damaged || m.BodySize != w.BodySize || m.BodyOffset != w.BodyOffset || (m.GUID == w.GUID) != tt.withGUID {
				t.Errorf("got damage %s, %d bytes at %d, GUID %s; want %s, %d bytes at %d", m.Damage, m.BodySize, m.BodyOffset, m.GUID, tt.damaged, w.BodySize, w.BodyOffset)
			}
			if len(f.Messages) != 5 {
				t.Errorf("got %d messages, want 5", len(f.Messages))
			}
		})
	}
}

func TestParseDboxKeepsWhatACutFileHolds(t *testing.T) {
	file, want := makeDbox(6, rand.New(rand.NewPCG(5, 5)))
	for cut := range len(file) {
		f, list, err := ParseDbox(bytes.NewReader(file[:cut]), int64(cut), nil)
		if err != nil {
			t.Fatal(err)
		}
		whole := 0
		for _, w := range want {
			if int(w.End) <= cut {
				whole++
			}
		}
		good := 0
		for _, m := range f.Messages {
			if m.Damage == 0 {
				good++
			}
		}
		atEnd := cut == int(want[max(whole-1, 0)].End)
		if good != whole || (len(list) == 0) != atEnd {
			t.Fatalf("cut at %d: %d whole messages, want %d; faults %v", cut, good, whole, list)
		}
	}
}

func TestParseDboxIsSilentAboutPreallocatedSpace(t *testing.T) {
	file, _ := makeDbox(2, rand.New(rand.NewPCG(5, 5)))
	file = append(file, make([]byte, 100000)...)
	f, list, err := ParseDbox(bytes.NewReader(file), int64(len(file)), nil)
	if err != nil || len(list) > 0 || len(f.Messages) != 2 {
		t.Errorf("got %d messages, %v, %v", len(f.Messages), list, err)
	}
}

// failing fails when a place is read.
type failing struct {
	io.ReaderAt
	at int64
}

var errDisk = errors.New("disk on fire")

func (f failing) ReadAt(b []byte, off int64) (int, error) {
	if off+int64(len(b)) > f.at {
		return 0, errDisk
	}
	return f.ReaderAt.ReadAt(b, off)
}

func TestParseDboxReturnsTheReadersError(t *testing.T) {
	file, _ := makeDbox(40, rand.New(rand.NewPCG(5, 5)))
	_, _, err := ParseDbox(failing{bytes.NewReader(file), int64(len(file) / 2)}, int64(len(file)), nil)
	if !errors.Is(err, errDisk) {
		t.Errorf("got %v", err)
	}
}

// sparse is a file of many GiB that holds one message at the end.
type sparse struct {
	head, tail []byte
	size       int64
	most       int
}

var manyX = bytes.Repeat([]byte{'x'}, 64<<10)

func (s *sparse) ReadAt(b []byte, off int64) (int, error) {
	s.most = max(s.most, len(b))
	for n := 0; n < len(b); { // in pieces: byte by byte a gigabyte takes a minute with the race detector
		n += copy(b[n:], manyX)
	}
	if off < int64(len(s.head)) {
		copy(b, s.head[off:])
	}
	if into := off - (s.size - int64(len(s.tail))); into >= 0 {
		copy(b, s.tail[into:])
	} else if -into < int64(len(b)) {
		copy(b[-into:], s.tail)
	}
	return len(b), nil
}

func TestParseDboxReadsThroughABoundedWindow(t *testing.T) {
	size := int64(1) << 30
	head := []byte("2 M1e C6b042af8\n")
	tail := []byte("\n\x01\x03\nR60000000\nV00000000\nG0123456789abcdef0123456789abcdef\n\n")
	body := size - int64(len(head)+30+len(tail))
	tail = bytes.Replace(tail, []byte("V00000000"), fmt.Appendf(nil, "V%08x", body), 1)
	head = fmt.Appendf(head, "\x01\x02N          %016X\n", body)
	s := &sparse{head: head, tail: tail, size: size}
	f, list, err := ParseDbox(s, size, nil)
	if err != nil || len(list) > 0 || len(f.Messages) != 1 || f.Messages[0].BodySize != body {
		t.Errorf("%v %v %+v", err, list, f)
	}
	if s.most > dboxWindow {
		t.Errorf("%d bytes were read at once", s.most)
	}
}

func TestDetectEncodingKnowsDovecotsPlugins(t *testing.T) {
	tests := map[Encoding]string{Gzip: "\x1f\x8b\x08", Bzip2: "BZh91AY", Zstd: "\x28\xb5\x2f\xfd", LZ4: "Dovecot-LZ4\x0d\x2a\x9b\xc5", XZ: "\xfd7zXZ\x00",
		Encrypted: "CRYPTED\x03\x07\x02", Plain: "Received: from"}
	for want, b := range tests {
		if got := DetectEncoding([]byte(b)); got != want {
			t.Errorf("%q: got %q, want %q", b, got, want)
		}
		if len(b) > EncodingSize {
			t.Errorf("%q is longer than EncodingSize", b)
		}
	}
}

// noise overwrites a stretch of a copy.
func noise(b []byte, at, n int) []byte {
	b = slices.Clone(b)
	for i := at; i < at+n && i < len(b); i++ {
		b[i] = byte(i*7919 + i>>3 + 13)
	}
	return b
}
