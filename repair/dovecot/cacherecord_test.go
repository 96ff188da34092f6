package dovecot

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"
)

func TestCacheRecordsBehindDamageAreRecovered(t *testing.T) {
	whole := readVector(t, filepath.Join("testdata", "cache", "whole.vec")).data
	c, _ := ParseCache(whole)
	all := slices.Collect(c.Offsets())
	if len(all) < 10 || len(slices.Collect(c.Recovered())) != 0 {
		t.Fatalf("a whole cache has %d records, and %d behind damage", len(all), len(slices.Collect(c.Recovered())))
	}
	for what, damage := range map[string]func(b []byte, at uint32){
		"size gone":    func(b []byte, at uint32) { clear(b[at+4 : at+8]) },
		"size too big": func(b []byte, at uint32) { le.PutUint32(b[at+4:], 1<<30) },
		"noise":        func(b []byte, at uint32) { copy(b[at:], bytes.Repeat([]byte{0xa5}, 12)) },
	} {
		b := bytes.Clone(whole)
		damage(b, all[3])
		c, list := ParseCache(b)
		if got := slices.Collect(c.Offsets()); len(list) == 0 || !slices.Equal(got, all[:3]) {
			t.Errorf("%s: before the damage %v, want %v", what, got, all[:3])
		}
		if got := slices.Collect(c.Recovered()); !slices.Equal(got, all[4:]) {
			t.Errorf("%s: behind the damage %v, want %v", what, got, all[4:])
		}
	}
}
