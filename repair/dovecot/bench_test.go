package dovecot

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"testing"
)

// BenchmarkReplay replays a log of a mailbox with many messages, each with a map record and a GUID, flags and a keyword.
func BenchmarkReplay(b *testing.B) {
	for _, n := range []uint32{10_000, 200_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			const mdbx, guid = 0x7862646d, 0x64697567
			var appends, maps, guids []uint32
			for u := uint32(1); u <= n; u++ {
				appends = append(appends, u, u%2*8)
				maps = append(maps, u, u, 0x60000000)
				guids = append(guids, u, u, u, u, u)
			}
			file := logFile(2, 0, 0, logRecord(LogAppend, external, appends...), logRecord(LogExtIntro, external, noExtID, 0, 0, 8|4<<16, 4<<16, mdbx),
				logRecord(LogExtRecUpdate, external, maps...), logRecord(LogExtIntro, external, noExtID, 0, 0, 16|1<<16, 4<<16, guid), logRecord(LogExtRecUpdate, external, guids...),
				logRecord(LogKeywordUpdate, external, 4<<16, 0x6b726f77, 1, n/2))
			for u := uint32(1); u <= n; u += 3 {
				file = append(file, logRecord(LogFlagUpdate, 0, u, u, 8)...)
			}
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			for b.Loop() {
				if s, list := Replay(Files{Log: file}); len(s.Records) != int(n) || len(list) > 0 {
					b.Fatal(len(s.Records), list)
				}
			}
		})
	}
}

func BenchmarkParseDbox(b *testing.B) {
	file := []byte("2 M1e C6b042af8\n")
	body := bytes.Repeat([]byte("a line of a message, as long as such lines are, sixty-four bytes\n"), 160)
	for i := range 2000 {
		file = fmt.Appendf(file, "\x01\x02N          %016X\n%s\n\x01\x03\nR60000000\nV%x\nG%032x\nBINBOX\n\n", len(body), body, len(body)+160, i)
	}
	for name, f := range map[string][]byte{"whole": file, "damaged": bytes.ReplaceAll(file, []byte("N          0"), []byte("N          x"))} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(f)))
			b.ReportAllocs()
			for b.Loop() {
				d, _, _ := ParseDbox(bytes.NewReader(f), int64(len(f)), nil)
				if len(d.Messages) != 2000 {
					b.Fatal(len(d.Messages))
				}
			}
		})
	}
}

// BenchmarkPlainReader reads messages of 3 kB, as each plugin stores them.
func BenchmarkPlainReader(b *testing.B) {
	for _, encoding := range []Encoding{Gzip, Bzip2, Zstd, LZ4, XZ} {
		b.Run(string(encoding), func(b *testing.B) {
			stored := readVector(b, filepath.Join("testdata", "plain", string(encoding)+".vec")).data
			b.ReportAllocs()
			for b.Loop() {
				n, err := io.Copy(io.Discard, NewPlainReader(bytes.NewReader(stored)))
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(n)
			}
		})
	}
}
