package remote

import (
	"fmt"
	"testing"
)

// BenchmarkParseListed reads what find prints of a mailbox of 1,000 files.
func BenchmarkParseListed(b *testing.B) {
	type printed struct{ facts, path string }
	var list []printed
	size := 0
	for i := range 1000 {
		p := printed{fmt.Sprintf("f 600 %d 1577836800.%010d 1000 1000 %d", 1000+i, i, 400_000+i), fmt.Sprintf("./cur/%d.M%dP1234.mail,S=%d,W=%d:2,S", 1577836800+i, i, 1000+i, 1030+i)}
		size += len(p.facts) + len(p.path) + 3
		list = append(list, p)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range list {
			if _, err := parseListed(p.facts, p.path, ""); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(len(list))*float64(b.N)/b.Elapsed().Seconds(), "files/s")
}
