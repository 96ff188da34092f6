package inspect

import (
	"context"
	"fmt"
	"io"
	"testing"
	"testing/fstest"
)

// BenchmarkDump dumps the log of a mailbox with many messages, each with a map record and a flag change, and its state.
func BenchmarkDump(b *testing.B) {
	const n = 100_000
	var appends, maps []any
	for u := 1; u <= n; u++ {
		appends, maps = append(appends, u, u%2*8), append(maps, u, u, 1577836800)
	}
	records := [][]byte{logRecord(external|0x2, appends...), logRecord(external|0x40, byName, 0, 0, 8|4<<16, 1|5<<16, "mdbox"), logRecord(external|0x200, maps...)}
	for u := 1; u <= n; u++ {
		records = append(records, logRecord(0x4, u, u, 8))
	}
	fsys := fstest.MapFS{"dovecot.index.log": {Data: logFile(records...)}}
	for name, output := range map[string]func() Output{"text": func() Output { return NewText(io.Discard) }, "json": func() Output { return NewJSON(io.Discard) }} {
		for _, summary := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/summary=%v", name, summary), func(b *testing.B) {
				b.SetBytes(int64(len(fsys["dovecot.index.log"].Data)))
				b.ReportAllocs()
				for b.Loop() {
					if res, err := Inspect(context.Background(), fsys, ".", Options{Summary: summary}, output()); err != nil || res.Faults > 0 {
						b.Fatal(res, err)
					}
				}
			})
		}
	}
}
