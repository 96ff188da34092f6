package dovecot

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// fuzzPlain reads input of one encoding, which begins with that one's magic. Besides what the package's fuzz targets hold
// to, a decoder may take a window of its own.
func fuzzPlain(f *testing.F, encoding Encoding, magic string, window int) {
	f.Helper()
	seedFile(f, filepath.Join("testdata", "plain", string(encoding)+".vec"), rand.New(rand.NewPCG(1, 2)))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = append([]byte(magic), b[min(len(b), len(magic)):]...)
		if DetectEncoding(b) != encoding {
			t.Fatalf("%q is not %s", magic, encoding)
		}
		checkBounds(t, len(b)+window/400, func() []Fault {
			p := NewPlainReader(bytes.NewReader(b))
			p.SetLimit(4 << 20)
			n, err := io.Copy(io.Discard, p)
			var d *DecodeError
			var e *EncryptedError
			switch {
			case n != p.Offset() || n > 4<<20:
				t.Errorf("%d bytes at offset %d", n, p.Offset())
			case errors.As(err, &d) && d.Offset == n, errors.As(err, &e) && n == 0, err == ErrPlainLimit, err == nil:
			default:
				t.Errorf("error %v after %d bytes", err, n)
			}
			if d != nil && strings.Contains(d.Error(), "the decoder gave up") {
				t.Error(d)
			}
			if _, again := p.Read(make([]byte, 1)); again != err && !(err == nil && again == io.EOF) {
				t.Errorf("error %v, then %v", err, again)
			}
			return nil
		})
	})
}

func FuzzPlainGzip(f *testing.F)      { fuzzPlain(f, Gzip, "\x1f\x8b", 0) }
func FuzzPlainBzip2(f *testing.F)     { fuzzPlain(f, Bzip2, "BZh9", 0) }
func FuzzPlainZstd(f *testing.F)      { fuzzPlain(f, Zstd, "\x28\xb5\x2f\xfd", zstdWindow) }
func FuzzPlainLZ4(f *testing.F)       { fuzzPlain(f, LZ4, "Dovecot-LZ4\x0d\x2a\x9b\xc5", 0) }
func FuzzPlainXZ(f *testing.F)        { fuzzPlain(f, XZ, "\xfd7zXZ\x00", 3*xzDict) }
func FuzzPlainEncrypted(f *testing.F) { fuzzPlain(f, Encrypted, "CRYPTED\x03\x07", 0) }

// everywhere is a directory in which every name is the same file.
type everywhere []byte

func (e everywhere) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return fstest.MapFS{"x": {Data: e}}.Open("x")
}

func FuzzReassemble(f *testing.F) {
	for _, s := range []string{"", "0 4 - a", "127 6779 B60 22/43/h-g 6972 6890 CB60 22/43/h-h 13903 3600 - a4/d9/h-i", "0 9223372036854775807 B4 a", "5 8 B4 a 20 11 C b",
		"0 99999999 - a 99999999 0 B2147483644C ../b"} {
		f.Add(s, []byte("a body\nand more of it\n"), []byte("a part"))
	}
	f.Fuzz(func(t *testing.T, text string, body, part []byte) {
		size := len(text) + len(body) + (1+strings.Count(text, " "))*len(part)
		checkBounds(t, size, func() []Fault {
			parts, err := ParseAttachments(text)
			if err != nil && !errors.Is(err, ErrAttachments) {
				t.Error(err)
			}
			end := int64(0)
			for _, p := range parts {
				if p.Start < end || p.Size < 0 || p.Line < 0 || p.Line%4 != 0 {
					t.Errorf("%+v after %d", p, end)
				}
				end = p.Start + p.Size
			}
			r := Reassemble(bytes.NewReader(body), parts, -1, AttachmentDir{FS: everywhere(part)})
			n, err := io.Copy(io.Discard, r)
			if err != nil || n != r.Size() || n > int64(4*size+200*(len(parts)+1)) {
				t.Errorf("%d bytes, %d, %v", n, r.Size(), err)
			}
			if len(r.Notes) > 2*len(parts)+1 {
				t.Errorf("%d notes for %d parts", len(r.Notes), len(parts))
			}
			if n := int64(len(body)); len(r.Notes) == 0 {
				for _, p := range parts {
					n += p.Size
				}
				if n != r.Size() {
					t.Errorf("%d bytes, want %d", r.Size(), n)
				}
			}
			return nil
		})
	})
}
