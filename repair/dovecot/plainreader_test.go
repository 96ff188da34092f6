package dovecot

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
)

func gzipped(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	w.Close()
	return b.Bytes()
}

func zstded(t testing.TB, text string, options ...zstd.EOption) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, append(options, zstd.WithEncoderConcurrency(1))...)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll([]byte(text), nil)
}

func TestPlainReaderReadsMembersOneAfterAnother(t *testing.T) {
	got, err := io.ReadAll(NewPlainReader(iotest.OneByteReader(bytes.NewReader(append(gzipped("one "), gzipped("two")...)))))
	if string(got) != "one two" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	got, err = io.ReadAll(NewPlainReader(strings.NewReader(string(zstded(t, "one ")) + string(zstded(t, "two")))))
	if string(got) != "one two" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	got, err = io.ReadAll(NewPlainReader(strings.NewReader(string(gzipped("one ")) + "trailing garbage")))
	var d *DecodeError
	if string(got) != "one " || !errors.As(err, &d) || d.Offset != 4 {
		t.Errorf("%q %v", got, err)
	}
}

// What is compressed twice is decoded once: Dovecot does the same, and a mail may be nothing but a compressed file.
func TestPlainReaderDecodesOnce(t *testing.T) {
	inner := string(gzipped("text"))
	got, err := io.ReadAll(NewPlainReader(bytes.NewReader(gzipped(inner))))
	if string(got) != inner || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

func TestPlainReaderGivesShortAndEmptyMessages(t *testing.T) {
	for _, s := range []string{"", "x", "BZh", "\x1f", "Dovecot-LZ4\x0d\x2a\x9b", "CRYPTED\x03"} {
		p := NewPlainReader(iotest.DataErrReader(strings.NewReader(s)))
		if got, err := io.ReadAll(p); string(got) != s || err != nil || p.Encoding != Plain {
			t.Errorf("%q: %q %v", s, got, err)
		}
	}
	for _, s := range []string{"\x1f\x8b", "BZh9", "\x28\xb5\x2f\xfd", "Dovecot-LZ4\x0d\x2a\x9b\xc5", "\xfd7zXZ\x00", "Dovecot-LZ4\x0d\x2a\x9b\xc5\x00\x01\x00\x00\x00"} {
		got, err := io.ReadAll(NewPlainReader(strings.NewReader(s)))
		var d *DecodeError
		if len(got) > 0 || !errors.As(err, &d) || !errors.Is(err, io.ErrUnexpectedEOF) || d.Offset != 0 {
			t.Errorf("%q: %q %v", s, got, err)
		}
	}
}

func TestPlainReaderGivesTheErrorOfItsReader(t *testing.T) {
	disk := errors.New("disk on fire")
	for _, whole := range [][]byte{[]byte("plain text"), gzipped("text"), zstded(t, "text"), []byte("CRYPTED\x03\x07\x02")} {
		for cut := 0; cut < len(whole); cut++ {
			_, err := io.ReadAll(NewPlainReader(io.MultiReader(bytes.NewReader(whole[:cut]), errReader{disk})))
			if err != disk {
				t.Errorf("%q: %v", whole[:cut], err)
			}
		}
	}
}

func TestPlainReaderKeepsToALimit(t *testing.T) {
	for _, b := range [][]byte{[]byte("0123456789"), gzipped("0123456789"), zstded(t, "0123456789")} {
		for limit := range int64(12) {
			p := NewPlainReader(bytes.NewReader(b))
			p.SetLimit(limit)
			got, err := io.ReadAll(p)
			if string(got) != "0123456789"[:min(limit, 10)] || (limit < 10) != errors.Is(err, ErrPlainLimit) || limit >= 10 && err != nil {
				t.Errorf("limit %d: %q %v", limit, got, err)
			}
		}
	}
}

func TestPlainReaderGivesTextWhoseChecksumIsWrong(t *testing.T) {
	text := strings.Repeat("text and more of it\n", 100)
	for _, b := range [][]byte{gzipped(text), zstded(t, text, zstd.WithEncoderCRC(true))} {
		b[len(b)-1] ^= 1
		if DetectEncoding(b) == Gzip {
			b[len(b)-5] ^= 1
		}
		got, err := io.ReadAll(NewPlainReader(bytes.NewReader(b)))
		var d *DecodeError
		if string(got) != text || !errors.As(err, &d) || d.Offset != int64(len(text)) {
			t.Errorf("%s: %d bytes, %v", DetectEncoding(b), len(got), err)
		}
	}
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("index out of range") }

func TestPlainReaderSurvivesADecoderThatPanics(t *testing.T) {
	p := NewPlainReader(bytes.NewReader(gzipped("text")))
	p.dec = panicking{}
	var d *DecodeError
	if _, err := io.ReadAll(p); !errors.As(err, &d) || !strings.Contains(d.Error(), "out of range") {
		t.Error(err)
	}
	p = NewPlainReader(bytes.NewReader(gzipped("text")))
	p.dec = iotest.TimeoutReader(errReader{nil})
	if _, err := io.ReadAll(p); !errors.As(err, &d) {
		t.Error(err)
	}
}

// A message that grows a thousand times needs no memory for it.
func TestPlainReaderStreamsWhatGrows(t *testing.T) {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if _, err := io.CopyN(w, zeros{}, 16<<20); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, err := io.Copy(io.Discard, NewPlainReader(bytes.NewReader(b.Bytes())))
	runtime.ReadMemStats(&after)
	if n != 16<<20 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("it took %d bytes of memory", got)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// lz4Sequences makes a raw LZ4 block of random sequences, and its text by copying byte by byte.
func lz4Sequences(rng *rand.Rand, n int) (block, text []byte) {
	length := func(n int) []byte {
		var b []byte
		if n < 15 {
			return nil
		}
		for n -= 15; n >= 255; n -= 255 {
			b = append(b, 255)
		}
		return append(b, byte(n))
	}
	size := func() int { return []int{rng.IntN(4), rng.IntN(20), rng.IntN(600)}[rng.IntN(3)] }
	for i := range n {
		literals := make([]byte, size())
		if i == 0 || i == n-1 {
			literals = make([]byte, 1+size())
		}
		for j := range literals {
			literals[j] = byte(rng.Uint32())
		}
		text = append(text, literals...)
		if i == n-1 {
			block = append(block, byte(min(len(literals), 15)<<4))
			block = append(append(block, length(len(literals))...), literals...)
			break
		}
		match := size()
		block = append(block, byte(min(len(literals), 15)<<4|min(match, 15)))
		block = append(append(block, length(len(literals))...), literals...)
		back := 1 + rng.IntN(min(len(text), 65535))
		block = append(binary.LittleEndian.AppendUint16(block, uint16(back)), length(match)...)
		for range match + 4 {
			text = append(text, text[len(text)-back])
		}
	}
	return block, text
}

func TestLZ4BlocksAreDecodedUpToDamage(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 4))
	for range 2000 {
		block, text := lz4Sequences(rng, 1+rng.IntN(40))
		before := []byte("before")
		got, err := appendLZ4Block(bytes.Clone(before), block, len(text))
		if err != nil || string(got) != "before"+string(text) {
			t.Fatalf("%d bytes of %d, %v", len(got), len(text), err)
		}
		limit := rng.IntN(len(text))
		if got, err = appendLZ4Block(nil, block, limit); err == nil || !bytes.HasPrefix(text[:limit], got) {
			t.Fatalf("limit %d: %d bytes, %v", limit, len(got), err)
		}
		cut := rng.IntN(len(block))
		got, err = appendLZ4Block(nil, block[:cut], len(text))
		if !bytes.HasPrefix(text, got) || err == nil && len(got) == len(text) {
			t.Fatalf("cut at %d of %d: %d bytes, %v", cut, len(block), len(got), err)
		}
	}
}

func lz4Framed(max uint32, blocks ...[]byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte("Dovecot-LZ4\x0d\x2a\x9b\xc5"), max)
	for _, block := range blocks {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(block))), block...)
	}
	return b
}

func TestLZ4FramingIsReadThoughItsHeaderIsDamaged(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 4))
	block1, text1 := lz4Sequences(rng, 30)
	block2, text2 := lz4Sequences(rng, 30)
	want := string(text1) + string(text2)
	for limit, damaged := range map[uint32]bool{65536: false, 1 << 20: false, 1<<20 + 1: true, 0: true, ^uint32(0): true} {
		got, err := io.ReadAll(NewPlainReader(bytes.NewReader(lz4Framed(limit, block1, block2))))
		if string(got) != want || (err != nil) != damaged {
			t.Errorf("limit %d: %d bytes, %v", limit, len(got), err)
		}
	}
	for name, b := range map[string][]byte{"empty chunk": lz4Framed(65536, block1, nil, block2), "huge chunk": append(lz4Framed(65536, block1), 0x7f, 0, 0, 0, 1, 2, 3),
		"cut length": append(lz4Framed(65536, block1), 0, 0)} {
		got, err := io.ReadAll(NewPlainReader(bytes.NewReader(b)))
		var d *DecodeError
		if string(got) != string(text1) || !errors.As(err, &d) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestXZTakesNoMemoryThatANumberPromises(t *testing.T) {
	// A dictionary of 4 GiB, and a thousand blocks.
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, dict := range []byte{40, 30, 20} {
		b := xzStream(t, dict, 1000)
		if _, err := io.ReadAll(NewPlainReader(bytes.NewReader(b))); err == nil {
			t.Error("no error")
		}
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 4*3*xzDict {
		t.Errorf("it took %d bytes of memory", got)
	}
}

func TestEncryptedErrorSaysWhatTheHeaderTells(t *testing.T) {
	tests := map[string]string{
		"":                         "encrypted by mail_crypt",
		"\x01\x00\x20":             "encrypted by mail_crypt, version 1, with aes-256-ctr",
		"\x02":                     "encrypted by mail_crypt, version 2",
		"\x07":                     "encrypted by mail_crypt, version 7",
		"\x02\x00\x00\x00\x02\x00": "encrypted by mail_crypt, version 2",
		"\x02\x00\x00\x00\x02\x00\x00\x00\x99\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2e":                                             "encrypted by mail_crypt, version 2, with aes-256-gcm",
		"\x02\x00\x00\x00\x02\x00\x00\x00\x99\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2e\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01": "encrypted by mail_crypt, version 2, with aes-256-gcm and sha256",
		"\x02\x00\x00\x00\x01\x00\x00\x00\x99\x06\x03\x2a\x03\x04":                                                                     "encrypted by mail_crypt, version 2, with 1.2.3.4",
	}
	for head, want := range tests {
		_, err := io.ReadAll(NewPlainReader(strings.NewReader("CRYPTED\x03\x07" + head)))
		if err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", head, err, want)
		}
	}
}

func TestSizeCounterCountsAsDovecotDoes(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "\n": 2, "\r\n": 2, "a\nb\r\nc\r\r\n\n": 12, "\r": 1} {
		var whole, bytewise SizeCounter
		fmt.Fprint(&whole, text)
		for i := range len(text) {
			bytewise.Write([]byte{text[i]})
		}
		if whole.Virtual != want || whole.Bytes != int64(len(text)) || bytewise != whole {
			t.Errorf("%q: %+v, want %d", text, whole, want)
		}
	}
}

// xzStream makes an xz stream of empty blocks, each with a dictionary of a size.
func xzStream(t testing.TB, dict byte, blocks int) []byte {
	t.Helper()
	b := []byte("\xfd7zXZ\x00\x00\x00")
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b[6:8]))
	for range blocks {
		h := []byte{2, 0, 0x21, 1, dict, 0, 0, 0}
		b = append(b, binary.LittleEndian.AppendUint32(h, crc32.ChecksumIEEE(h))...)
		b = append(b, 0, 0, 0, 0) // no chunk, and padding
	}
	return b
}

// TestPlainVectorsAreReadAsRecorded reads messages as a real Dovecot stored them. Their texts stand beside them.
func TestPlainVectorsAreReadAsRecorded(t *testing.T) {
	paths, _ := filepath.Glob(filepath.Join("testdata", "plain", "*.vec"))
	if len(paths) != 6 {
		t.Errorf("%d vectors", len(paths))
	}
	for _, path := range paths {
		name := strings.TrimSuffix(path, ".vec")
		want, err := os.ReadFile(name + ".golden")
		if err != nil {
			t.Fatal(err)
		}
		p := NewPlainReader(bytes.NewReader(readVector(t, path).data))
		got, err := io.ReadAll(p)
		if p.Encoding == Encrypted && err != nil {
			got = []byte(err.Error() + "\n")
		} else if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if string(p.Encoding) != filepath.Base(name) || string(got) != string(want) {
			t.Errorf("%s: %q, got %q, want %q", path, p.Encoding, got, want)
		}
	}
}
