//go:build !windows

package remote

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// evilTar is what a host's tar may send instead of what it was asked for.
func evilTar(t *testing.T, write func(w *tar.Writer)) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	write(w)
	w.Flush()
	file := filepath.Join(t.TempDir(), "evil.tar")
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func entry(w *tar.Writer, name string, typ byte, link string, size int64, data []byte) {
	w.WriteHeader(&tar.Header{Name: name, Typeflag: typ, Linkname: link, Size: size, Mode: 0o600})
	w.Write(data)
}

func TestFetchTrustsNoTar(t *testing.T) {
	dir, files, wanted := fetchTree(t)
	good := func(w *tar.Writer, names ...string) {
		for _, n := range names {
			entry(w, "./"+n, tar.TypeReg, "", int64(len(files[n])), files[n])
		}
	}
	asked := slices.DeleteFunc(slices.Clone(wanted), func(w Wanted) bool {
		return !strings.HasPrefix(w.Name, "cur/10") && w.Name != "one" && w.Name != "chunk"
	})
	chunk := files["chunk"]
	for name, c := range map[string]struct {
		write  func(w *tar.Writer)
		after  string // more of the script
		silent bool   // it can be used all the same
	}{
		"a name not asked for": {write: func(w *tar.Writer) { good(w, "one"); entry(w, "./other", tar.TypeReg, "", 3, []byte("abc")) }},
		"a name that leads up": {write: func(w *tar.Writer) { good(w, "one"); entry(w, "../one", tar.TypeReg, "", 1, []byte("x")) }},
		"an absolute name":     {write: func(w *tar.Writer) { good(w, "one"); entry(w, "/one", tar.TypeReg, "", 1, []byte("x")) }},
		"a file twice":         {write: func(w *tar.Writer) { good(w, "one", "chunk", "one") }},
		"a wrong size":         {write: func(w *tar.Writer) { entry(w, "./chunk", tar.TypeReg, "", 5, []byte("short")) }, silent: true},
		"a huge size":          {write: func(w *tar.Writer) { entry(w, "./chunk", tar.TypeReg, "", 1<<40, nil) }},
		"a link":               {write: func(w *tar.Writer) { entry(w, "./chunk", tar.TypeSymlink, "/etc/passwd", 0, nil) }, silent: true},
		"a hard link":          {write: func(w *tar.Writer) { entry(w, "./chunk", tar.TypeLink, "/etc/passwd", 0, nil) }, silent: true},
		"a device":             {write: func(w *tar.Writer) { entry(w, "./chunk", tar.TypeChar, "", 0, nil) }, silent: true},
		"a directory":          {write: func(w *tar.Writer) { entry(w, "./chunk", tar.TypeDir, "", 0, nil) }, silent: true},
		"an end in a file":     {write: func(w *tar.Writer) { entry(w, "./chunk", tar.TypeReg, "", int64(len(chunk)), chunk[:1000]) }},
		"nothing":              {write: func(w *tar.Writer) { w.Close() }},
		"nothing at all":       {write: func(*tar.Writer) {}},
		"noise":                {write: func(w *tar.Writer) { good(w, "one") }, after: "head -c 100000 /dev/urandom"},
		"no end":               {write: func(w *tar.Writer) { good(w, "one"); w.Close() }, after: "exec cat /dev/zero"},
		"a failure":            {write: func(w *tar.Writer) { good(w, "one"); w.Close() }, after: "echo 'tar: cannot' >&2; exit 2", silent: true},
		"only a failure":       {write: func(*tar.Writer) {}, after: "echo 'tar: unknown option' >&2; exit 64"},
		"warnings":             {write: func(w *tar.Writer) { good(w, "one"); w.Close() }, after: "i=0; while [ $i -lt 20000 ]; do echo warning warning warning warning; i=$((i+1)); done >&2", silent: true},
	} {
		t.Run(name, func(t *testing.T) {
			file := evilTar(t, c.write)
			script := "list=$(cat | tr '\\0' '\\n'); [ -n \"$list\" ] || exit 0\ncat " + file + "\n" + c.after + "\n"
			h := pathHost(t, map[string]string{"tar": script, "head": "", "tr": ""}, func(_ *fakeHost, c *Config) { c.Connections, c.Compress = 1, CompressOff })
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			came, out, err := fetchAll(t, ctx, h, dir, asked)
			if err != nil {
				t.Fatal(err)
			}
			for n, b := range came {
				if !bytes.Equal(b, files[n]) {
					t.Errorf("%q came with %d bytes of %d", n, len(b), len(files[n]))
				}
			}
			if !c.silent && len(came) != len(asked) {
				t.Errorf("%d of %d files came", len(came), len(asked))
			}
			if len(out.Notes) > 0 == c.silent {
				t.Errorf("told %q", out.Notes)
			}
			if name == "a failure" && len(out.Doubtful) == 0 {
				t.Error("what came with a failure is not doubted")
			}
			if !c.silent {
				if again, _, err := fetchAll(t, ctx, h, dir, asked); err != nil || len(again) != len(asked) || h.bulk.tarTool() != "" {
					t.Errorf("afterwards %d files, %v", len(again), err)
				}
			}
		})
	}
}

func TestFetchFillsNothingWithZeros(t *testing.T) {
	dir, files, wanted := fetchTree(t)
	// A tar that could read only the beginning, as GNU tar says it.
	script := `list=$(tr '\0' '\n'); [ -n "$list" ] || exit 0
printf '%s\n' "$list" | /usr/bin/tar -cf - --no-recursion -T -
echo 'tar: ./large: Read error at byte 0, while reading 512 bytes: Input/output error' >&2
exit 2
`
	wanted = slices.DeleteFunc(wanted, func(w Wanted) bool { return !strings.HasPrefix(w.Name, "cur/") })
	for n := range files {
		if !strings.HasPrefix(n, "cur/") {
			delete(files, n)
		}
	}
	h := pathHost(t, map[string]string{"tar": script, "tr": ""}, func(_ *fakeHost, c *Config) { c.Connections = 2 })
	came, out, err := fetchAll(t, t.Context(), h, dir, wanted)
	if err != nil || len(out.Doubtful) != len(wanted) {
		t.Errorf("%d of %d are doubted, %v", len(out.Doubtful), len(wanted), err)
	}
	wantFiles(t, came, files)
}

// TestFetchPackedByAnOddCompressor: a compressor that fails, prints nothing, or has a tar say of itself that it succeeded.
func TestFetchPackedByAnOddCompressor(t *testing.T) {
	dir, files, wanted := fetchTree(t)
	wanted = slices.DeleteFunc(wanted, func(w Wanted) bool { return !strings.HasPrefix(w.Name, "cur/") })
	for n := range files {
		if !strings.HasPrefix(n, "cur/") {
			delete(files, n)
		}
	}
	liar := `list=$(tr '\0' '\n'); [ -n "$list" ] || exit 0
printf '%s\n' "$list" | /usr/bin/tar -cf - --no-recursion -T -
echo 'dovemend-tar-status=0' >&2
exit 2
`
	for name, c := range map[string]struct {
		programs map[string]string
		doubted  bool
	}{
		"nothing":      {programs: map[string]string{"tar": "", "gzip": "cat >/dev/null\n"}},
		"not gzip":     {programs: map[string]string{"tar": "", "gzip": "cat\n"}},
		"a failure":    {programs: map[string]string{"tar": "", "gzip": "[ \"$(head -c 1)\" ] || exit 0; exit 3\n"}},
		"a false word": {programs: map[string]string{"tar": liar, "gzip": ""}, doubted: true},
	} {
		t.Run(name, func(t *testing.T) {
			c.programs["head"], c.programs["tr"] = "", ""
			h := pathHost(t, c.programs, func(_ *fakeHost, cfg *Config) { cfg.Connections, cfg.Compress = 1, CompressOn })
			if h.bulk.tarTool() == "" || h.bulk.pack == "" {
				t.Fatal("the host's programs were not found")
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			came, out, err := fetchAll(t, ctx, h, dir, wanted)
			if err != nil {
				t.Fatal(err)
			}
			wantFiles(t, came, files)
			if doubted := len(out.Doubtful) > 0; doubted != c.doubted || len(out.Notes) > 0 == c.doubted {
				t.Errorf("%d are doubted, told %q", len(out.Doubtful), out.Notes)
			}
		})
	}
}

// TestFetchTakesNoTarItCannotCheck: without hashes on the host nothing tells what its tar made up.
func TestFetchTakesNoTarItCannotCheck(t *testing.T) {
	dir, files, wanted := fetchTree(t)
	for name, programs := range map[string]map[string]string{"no hashes": {"tar": "", "sha256sum": absent}, "no tar": {}} {
		for _, e := range []Engine{"", EngineTar} {
			h := pathHost(t, programs, func(_ *fakeHost, c *Config) { c.Engine, c.Connections = e, 1 })
			came, out, err := fetchAll(t, t.Context(), h, dir, wanted)
			if err != nil || out.Engine != EngineSFTP || len(out.Notes) > 0 != (e == EngineTar) {
				t.Errorf("%s, %q: %+v, %v", name, e, out, err)
			}
			wantFiles(t, came, files)
		}
	}
}

func TestGaugeChoosesByWhatItMeasured(t *testing.T) {
	slow, fast := rate{1 << 20, time.Second}, rate{64 << 20, time.Second}
	better, barely := rate{3 << 20, time.Second}, rate{1 << 19, time.Second}
	for name, c := range map[string]struct {
		asked         Compression
		tool          string
		plain, packed rate
		want          string
	}{
		"nothing known":           {"", "zstd", rate{}, rate{}, ""},
		"too little known":        {"", "zstd", rate{1 << 10, fewest / 2}, rate{}, ""},
		"a slow line is tried":    {"", "zstd", slow, rate{}, "zstd"},
		"a fast line is not":      {"", "zstd", fast, rate{}, ""},
		"it pays":                 {"", "gzip", slow, better, "gzip"},
		"it does not pay":         {"", "gzip", slow, barely, ""},
		"switched off":            {CompressOff, "zstd", slow, better, ""},
		"switched on":             {CompressOn, "zstd", fast, barely, "zstd"},
		"the host has no tool":    {"", "", slow, rate{}, ""},
		"switched on, no tool":    {CompressOn, "", slow, rate{}, ""},
		"too little compared yet": {"", "zstd", slow, rate{1 << 10, fewest / 2}, "zstd"},
	} {
		g := newGauge(c.asked, c.tool)
		g.plain, g.packed = c.plain, c.packed
		if got := g.choose(); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
}
