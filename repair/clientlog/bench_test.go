package clientlog

import (
	"strings"
	"testing"
)

func BenchmarkRead(b *testing.B) {
	text := strings.Repeat(`[2024-05-15 13:34:49.126][c278b614] IMAP[INFO]: > TAG6 UID FETCH 1:20 (UID FLAGS RFC822.SIZE)\r\n
[2024-05-15 13:34:49.129][c278b614] IMAP[INFO]: < * 12 FETCH (UID 4711 FLAGS (\Seen) RFC822.SIZE 1234)\r\n
[2024-05-15 13:34:49.129][c278b614] IMAP[INFO]: < * 13 FETCH (UID 4712 FLAGS (\Seen) RFC822.SIZE 1234)\r\n
[2024-05-15 13:34:49.129][c278b614] IMAP[INFO]: < TAG6 OK Fetch completed (0.001 + 0.000 secs).\r\n
`, 5000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Read(b.Context(), strings.NewReader(text), never); err != nil {
			b.Fatal(err)
		}
	}
}
