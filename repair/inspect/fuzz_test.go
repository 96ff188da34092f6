package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"testing/fstest"
	"unicode/utf8"
)

// fuzzNames are the names under which bytes are looked at: one for each kind, and one that tells nothing.
var fuzzNames = []string{"dovecot.index", "dovecot.index.log", "dovecot.index.cache", "m.1", "u.1", "dovecot-uidlist", "dovecot-keywords", "subscriptions",
	"dovecot.mailbox.log", "dovecot-uidvalidity", "cur/1577836801.M1P1.host,S=5:2,S", "something"}

// FuzzDump dumps any bytes under any name, alone and as the index and the log of one folder.
func FuzzDump(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 4))
	for format, name := range vectorNames {
		at := slices.Index(fuzzNames, name)
		for _, damage := range vectors(f, format) {
			data, _ := vector(f, format, damage)
			f.Add(uint8(at), data)
			if len(data) > 0 {
				flipped := bytes.Clone(data)
				flipped[rng.IntN(len(data))] ^= 1 << rng.IntN(8)
				f.Add(uint8(at), flipped)
			}
		}
	}
	f.Add(uint8(1), rareLog())
	f.Add(uint8(2), rareCache())
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		name := fuzzNames[int(which)%len(fuzzNames)]
		fsys := fstest.MapFS{name: {Data: b}}
		if which&0x80 != 0 {
			half := len(b) / 2
			fsys = fstest.MapFS{"dovecot.index": {Data: b[:half]}, "dovecot.index.log": {Data: b[half:]}, "m.1": {Data: b}, "dovecot.map.index.log": {Data: b[half:]}}
		}
		checkDump(t, fsys, len(b))
	})
}

// checkDump dumps a folder in all ways: the outputs must be fit to print and whole, and what that takes must be bounded by
// the input's length.
func checkDump(t *testing.T, fsys FS, size int) {
	t.Helper()
	var text, js bytes.Buffer
	outputs := map[string]func(w io.Writer) Output{
		"text": func(w io.Writer) Output { return NewText(io.MultiWriter(w, &text)) },
		"json": func(w io.Writer) Output { return NewJSON(io.MultiWriter(w, &js)) },
		"summary": func(w io.Writer) Output {
			return NewText(w)
		},
	}
	results := map[string]Result{}
	for name, output := range outputs {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		out := output(io.Discard)
		res, err := Inspect(context.Background(), fsys, ".", Options{Summary: name == "summary"}, out)
		if err != nil {
			t.Fatal(err)
		}
		if j, ok := out.(*JSON); ok {
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(64<<20+3000*size); got > limit {
			t.Errorf("%s: %d bytes of input made it allocate %d bytes", name, size, got)
		}
		results[name] = res
	}
	if results["text"] != results["json"] || results["text"] != results["summary"] {
		t.Errorf("the ways differ: %+v", results)
	}
	fitToPrint(t, text.String())
	fitToPrint(t, js.String())
	if !json.Valid(js.Bytes()) {
		t.Errorf("not JSON: %.2000s", js.Bytes())
	}
	if limit := 1<<20 + 600*size; js.Len() > limit || text.Len() > limit {
		t.Errorf("%d bytes of input made %d bytes of JSON, %d of text", size, js.Len(), text.Len())
	}
	if !utf8.Valid(js.Bytes()) {
		t.Error("not UTF-8")
	}
}
