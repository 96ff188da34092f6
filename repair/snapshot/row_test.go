package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"dovemend/repair/store"
)

// TestRowsAreThoseOfEncodingJSON: what is written is byte for byte what encoding/json writes, and reads back as that reads it.
func TestRowsAreThoseOfEncodingJSON(t *testing.T) {
	texts := []string{"", "a", "cur/1.M1P2.host,S=1,W=2:2,S", "M\u00fcll", "\u65e5\u672c", "a\"b", "a\\b", "a\nb", "\x7f", "\x00", "<&>", "\xff\xfe", "\u2028", "\ufffd", `"}`, `],`, strings.Repeat("x", 70_000)}
	times := []time.Time{{}, time.Unix(0, 0).UTC(), time.Unix(1e9, 123).UTC(), time.Unix(1e9, 120_000_000).UTC(), time.Unix(-1e10, 0).UTC(), time.Unix(1e9, 0).In(time.FixedZone("", 3600))}
	r := rand.New(rand.NewPCG(1, 2))
	of := func(n int) int { return r.IntN(n) }
	plainRows := 0
	for range 20_000 {
		e := Entry{
			Path: store.RelPath(texts[of(len(texts))]), Type: typeNames[of(len(typeNames))].mode, Mode: goMode(uint32(of(1 << 12))), Size: r.Int64() >> of(64),
			MTime: times[of(len(times))], UID: of(3000) - 1, GID: of(3) - 1, Inode: r.Uint64() >> of(64), Torn: of(2) == 0,
		}
		if of(3) == 0 {
			e.Local, e.Link, e.Err = texts[of(len(texts))], texts[of(len(texts))], texts[of(len(texts))]
		}
		if of(2) == 0 {
			e.SHA256 = strings.Repeat("0123456789abcdef", 4)
		}
		want, err := json.Marshal(e.row())
		if err != nil {
			t.Fatal(err)
		}
		row, err := appendRow(nil, &e)
		if err != nil || !bytes.Equal(row, want) {
			t.Fatalf("%v: it writes\n%.300q, encoding/json\n%.300q", err, row, want)
		}
		if readAlike(t, row) {
			plainRows++
		}
	}
	if plainRows < 2_000 {
		t.Errorf("only %d rows were plain", plainRows)
	}
}

func TestRowOfAnImpossibleTimeIsAnError(t *testing.T) {
	if row, err := appendRow(nil, &Entry{Path: "a", MTime: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}); err == nil {
		t.Errorf("%s", row)
	}
}

// readAlike has a row read both ways. It reports whether it was read without encoding/json.
func readAlike(t *testing.T, row []byte) bool {
	var mine, theirs entryJSON
	var uid, gid int
	if !plainRow(row, &mine, &uid, &gid) {
		return false
	}
	if err := json.Unmarshal(row, &theirs); err != nil || !reflect.DeepEqual(mine, theirs) {
		t.Fatalf("%.300q: it reads\n%+v, encoding/json\n%+v (%v)", row, mine, theirs, err)
	}
	return true
}

// FuzzRow: whatever is read without encoding/json, that reads alike, and nothing makes either panic.
func FuzzRow(f *testing.F) {
	for _, e := range []Entry{
		{Path: "cur/1.M1P2.host,S=1,W=2:2,S", Mode: 0o600, Size: 12, MTime: time.Unix(1e9, 5).UTC(), UID: 1, GID: 0, Inode: 77, SHA256: strings.Repeat("ab", 32)},
		{Path: "a/b", Local: "a/~1", Type: fs.ModeSymlink, Link: "/etc", UID: -1, GID: -1, Torn: true, Err: "no"},
	} {
		row, err := appendRow(nil, &e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(row)
	}
	f.Add([]byte(`{"path":"a","type":"file","mode":"0600","size":01}`))
	f.Add([]byte(`{"path":"a","type":"file","mode":"0600","mtime":"2026-02-30T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, row []byte) {
		readAlike(t, row)
		var e Entry
		if readRow(row, &e) != nil {
			return
		}
		again, err := appendRow(nil, &e)
		if err != nil {
			return
		}
		var back Entry
		if err := readRow(again, &back); err != nil || !reflect.DeepEqual(e, back) && e.Err == back.Err {
			t.Errorf("%.200q became\n%+v and then\n%+v (%v)", row, e, back, err)
		}
	})
}

// TestManifestCutOffAnywhereIsAnError: none that is not whole is taken for one, whichever way it is read.
func TestManifestCutOffAnywhereIsAnError(t *testing.T) {
	for _, entries := range [][]Entry{nil, {{Path: "a"}}, {{Path: "a"}, {Path: "b\n"}, {Path: "c"}}} {
		for _, earlier := range [][]Entry{nil, {{Path: "x"}}, {{Path: "x"}, {Path: "y"}}} {
			m := &Manifest{Version: manifestVersion, Root: "/m", Paths: []store.RelPath{"."}, Earlier: earlier}
			var out bytes.Buffer
			sum, err := m.write(&out, cursorOf(entries))
			if err != nil {
				t.Fatal(err)
			}
			if !json.Valid(out.Bytes()) {
				t.Errorf("no JSON: %q", out.Bytes())
			}
			got, digest, err := readManifest(bytes.NewReader(out.Bytes()))
			if err != nil || digest != sum || len(got.Entries) != len(entries) || len(got.Earlier) != len(earlier) || got.Root != "/m" {
				t.Errorf("%v, %s: %+v", err, digest, got)
			}
			_, list, err := passManifest(bytes.NewReader(out.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			if passed, err := all(list); err != nil || len(passed) != len(entries) {
				t.Errorf("%v: %+v", err, passed)
			}
			for n := range out.Len() {
				if _, _, err := readManifest(bytes.NewReader(out.Bytes()[:n])); err == nil || errors.Is(err, io.EOF) {
					t.Errorf("cut off at %d of %d: %v", n, out.Len(), err)
				}
			}
			for _, more := range []string{"x", "\n", "{}"} {
				if _, _, err := readManifest(strings.NewReader(out.String() + more)); err == nil {
					t.Errorf("more is taken behind its end: %q", more)
				}
			}
		}
	}
}
