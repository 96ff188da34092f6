package inspect

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// TestWhatIsWrittenStaysInProportionToTheFile looks at files in which a few bytes stand for much: long names and values
// that very many records share.
func TestWhatIsWrittenStaysInProportionToTheFile(t *testing.T) {
	appends := func(n int) []byte {
		var p []any
		for u := 1; u <= n; u++ {
			p = append(p, u, 0)
		}
		return logRecord(external|0x2, p...)
	}
	intro := func(name string, header, record int) []byte {
		return logRecord(external|0x40, byName, 0, header, record|1<<16, 1|len(name)<<16, name)
	}
	var headers, exts, recs, keys [][]byte
	for i := range 300 {
		headers = append(headers, intro(fmt.Sprintf("h%d", i), 16<<20-1, 0))
		exts = append(exts, intro(fmt.Sprintf("e%d", i), 0, 4))
		recs = append(recs, intro(fmt.Sprintf("r%d", i), 0, 32000))
		name := fmt.Sprintf("k%d", i)
		keys = append(keys, logRecord(external|0x400, len(name)<<16, name, 1, 4000))
	}
	long := strings.Repeat("n", 60000)
	var longRecords []byte
	for range 2000 {
		longRecords = append(longRecords, logRecord(external|0x80, 1)...)
	}
	listIntro := func(names string) []byte { return intro("list", len(names), 28) }
	names := "\x00" + "\x01\x00\x00\x00" + strings.Repeat("m", 60000) + "\x00"
	var nodes []any
	for u := 1; u <= 2000; u++ {
		nodes = append(nodes, u, 1, 0, "0123456789abcdef", 1)
	}
	for what, log := range map[string][]byte{
		"headers that are claimed":   logFile(headers...),
		"extensions of all messages": logFile(append(exts, appends(3000))...),
		"values that are claimed":    logFile(append(recs, appends(3000))...),
		"keywords of all messages":   logFile(append([][]byte{appends(3000)}, keys...)...),
		"a long name":                logFile(intro(long, 0, 4), longRecords),
		"a long mailbox name":        logFile(appends(2000), listIntro(names), logRecord(external|0x10000, 0, len(names), names), logRecord(external|0x200, nodes...)),
	} {
		var out, text bytes.Buffer
		for _, o := range []Output{NewJSON(&out), NewText(&text)} {
			if _, err := Inspect(context.Background(), fstest.MapFS{"dovecot.index.log": {Data: log}}, ".", Options{}, o); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%s: %d bytes of log, %d of JSON, %d of text", what, len(log), out.Len(), text.Len())
		if limit := 1<<20 + 600*len(log); out.Len() > limit || text.Len() > limit {
			t.Errorf("%s: %d bytes of log become %d of JSON and %d of text", what, len(log), out.Len(), text.Len())
		}
	}
}
