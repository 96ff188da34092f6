//go:build unix

package dovecot

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var (
	update  = flag.Bool("update", false, "write testdata anew, from the Dovecot installed here")
	formats = flag.String("formats", strings.Join(vectorFormats, ",")+",replay", "with -update: write only the vectors of these formats")
)

// fileDamages are damages that make sense for any format. cut and noise are at a place far enough from the start to
// leave something.
var fileDamages = []struct {
	name string
	do   func(b []byte) []byte
}{
	{"whole", func(b []byte) []byte { return b }},
	{"empty", func([]byte) []byte { return nil }},
	{"nul", func(b []byte) []byte { return make([]byte, len(b)) }},
	{"cut-half", func(b []byte) []byte { return b[:len(b)/2] }},
	{"cut-last-byte", func(b []byte) []byte { return b[:len(b)-1] }},
	{"noise-start", func(b []byte) []byte { return noise(b, 0, 40) }},
	{"noise-middle", func(b []byte) []byte { return noise(b, len(b)/2, 64) }},
	{"noise-three-quarters", func(b []byte) []byte { return noise(b, len(b)*3/4, 200) }},
	{"zeroed-middle", func(b []byte) []byte { b = slices.Clone(b); clear(b[len(b)/3 : len(b)/2]); return b }},
	{"removed-middle", func(b []byte) []byte { return slices.Delete(slices.Clone(b), len(b)/2, min(len(b)/2+50, len(b))) }},
	{"garbage-end", func(b []byte) []byte { return append(slices.Clone(b), "garbage behind the end"...) }},
}

// ownDamages are damages to one field of one format.
var ownDamages = map[string]map[string]func(b []byte) []byte{
	"index": {
		"version-8":         func(b []byte) []byte { b[0] = 8; return b },
		"big-endian":        func(b []byte) []byte { b[12] = 0; return b },
		"header-size":       func(b []byte) []byte { b[7] = 0x7f; return b },
		"record-size":       func(b []byte) []byte { le.PutUint32(b[8:], 3); return b },
		"messages-count":    func(b []byte) []byte { le.PutUint32(b[32:], 1<<31); return b },
		"next-uid-zero":     func(b []byte) []byte { le.PutUint32(b[28:], 0); return b },
		"uidvalidity-zero":  func(b []byte) []byte { le.PutUint32(b[24:], 0); return b },
		"record-uid-zero":   func(b []byte) []byte { x, _ := ParseIndex(b); clear(b[x.Records[3].Offset:][:4]); return b },
		"record-uid-huge":   func(b []byte) []byte { x, _ := ParseIndex(b); le.PutUint32(b[x.Records[3].Offset:], 1<<31); return b },
		"ext-header-size":   func(b []byte) []byte { x, _ := ParseIndex(b); le.PutUint32(b[x.Exts[1].Offset:], 1<<24); return b },
		"ext-record-offset": func(b []byte) []byte { x, _ := ParseIndex(b); b[x.Exts[len(x.Exts)-1].Offset+9] = 0x70; return b },
	},
	"log": {
		"marked-corrupted": func(b []byte) []byte { clear(b[4:8]); return b },
		"size-zero":        func(b []byte) []byte { l, _ := ParseLog(b); clear(b[l.Records[9].Offset:][:4]); return b },
		"size-huge": func(b []byte) []byte {
			l, _ := ParseLog(b)
			copy(b[l.Records[9].Offset:], "\xff\xff\xff\xff")
			return b
		},
		"type-unknown": func(b []byte) []byte { l, _ := ParseLog(b); b[l.Records[9].Offset+7] ^= 0x09; return b },
		"append-huge-uid": func(b []byte) []byte {
			l, _ := ParseLog(b)
			i := slices.IndexFunc(l.Records, func(r LogRecord) bool { return r.Type == LogAppend })
			le.PutUint32(l.Records[i].Data, 1<<31)
			return b
		},
		"boundary-cut": func(b []byte) []byte {
			l, _ := ParseLog(b)
			for _, r := range slices.Backward(l.Records) {
				if r.Type == LogBoundary && int(u32(r.Data, 0)) > 40 {
					return b[:r.Offset+int64(u32(r.Data, 0))-12]
				}
			}
			return b
		},
	},
	"cache": {
		"fields-offset": func(b []byte) []byte { b[30] ^= 0x11; return b },
		"sequence":      func(b []byte) []byte { clear(b[8:12]); return b },
	},
	"dbox": {
		"file-header":  func(b []byte) []byte { b[0] = 'x'; return b },
		"header-magic": func(b []byte) []byte { return bytes.Replace(b, []byte("\n\x01\x02N "), []byte("\nxxxx"), 2) },
		"size-wrong": func(b []byte) []byte {
			return bytes.Replace(b, []byte("N          0000000000000"), []byte("N          0000000000001"), 2)
		},
		"post-magic": func(b []byte) []byte { return bytes.Replace(b, []byte("\n\x01\x03\n"), []byte("\nxx\n"), 2) },
		"guid-lost":  func(b []byte) []byte { return bytes.Replace(b, []byte("\nG"), []byte("\n\x00"), 2) },
	},
	"uidlist": {
		"version-1":  func([]byte) []byte { return []byte("1 1234567890 4\n1 a.host\n3 b.host\n") },
		"no-header":  func(b []byte) []byte { _, rest, _ := bytes.Cut(b, []byte("\n")); return rest },
		"bad-line":   func(b []byte) []byte { return bytes.Replace(b, []byte("\n7 "), []byte("\nx "), 1) },
		"disorder":   func(b []byte) []byte { return bytes.Replace(b, []byte("\n8 "), []byte("\n800 "), 1) },
		"with-slash": func(b []byte) []byte { return bytes.Replace(b, []byte(":"), []byte(":../"), 1) },
	},
	"mailboxlog": {
		"type-unknown": func(b []byte) []byte { b[48] = 9; return b },
		"padding":      func(b []byte) []byte { b[50] = 1; return b },
		"byte-lost":    func(b []byte) []byte { return slices.Delete(b, 60, 61) },
		"text":         func([]byte) []byte { return []byte("This is a text, and no log of what happened to mailboxes.\n") },
	},
	"keywords":      {"number-26": func(b []byte) []byte { return append(slices.Clone(b), "26 toomany\n0 again\n"...) }},
	"subscriptions": {"header": func(b []byte) []byte { b[0] = 'W'; return b }, "version-1": func([]byte) []byte { return []byte("Work\nArchive.2020\n") }},
}

// TestMakeVectors writes the vectors and their dumps. Without -update it does nothing: TestVectorsAreReadAsRecorded reads them.
func TestMakeVectors(t *testing.T) {
	if !*update {
		t.Skip("only with -update")
	}
	mdbox, maildir := newRealStore(t, "mdbox", rotating), newRealStore(t, "maildir", "")
	mdbox.fill(20)
	maildir.fill(20)
	mdbox.IMAP("RENAME Work Arbeit", "DELETE Arbeit", "UNSUBSCRIBE Work", "DELETE Archive/2020", "CREATE Archive/2021")
	prefix := filepath.Join(mdbox.mailboxDir("INBOX"), "dovecot.index")
	sources := map[string][]byte{
		"index": mdbox.read(prefix), "log": mdbox.read(prefix + ".log"), "cache": mdbox.read(prefix + ".cache"),
		"dbox": mdbox.read(mdbox.root, "storage", "m.1"), "uidlist": maildir.read(maildir.root, "dovecot-uidlist"),
		"keywords": maildir.read(maildir.root, "dovecot-keywords"), "subscriptions": mdbox.read(mdbox.root, "subscriptions"),
		"mailboxlog": mdbox.read(mdbox.root, "dovecot.mailbox.log"),
	}
	for _, format := range strings.Split(*formats, ",") {
		if format == "replay" {
			writeIndexes(t, map[string]Files{"mailbox": mdbox.files(prefix), "map": mdbox.files(filepath.Join(mdbox.root, "storage", "dovecot.map.index")),
				"list": mdbox.files(filepath.Join(mdbox.root, "dovecot.list.index")), "maildir": maildir.files(filepath.Join(maildir.root, "dovecot.index"))})
			continue
		}
		dir := filepath.Join("testdata", format)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, d := range fileDamages {
			writeVector(t, dir, format, d.name, d.do(slices.Clone(sources[format])))
		}
		for name, damage := range ownDamages[format] {
			writeVector(t, dir, format, name, damage(slices.Clone(sources[format])))
		}
	}
}

// writeIndexes writes whole indexes, all files of each, for what reads them together.
func writeIndexes(t *testing.T, indexes map[string]Files) {
	t.Helper()
	dir := filepath.Join("testdata", "replay")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, f := range indexes {
		head := fmt.Sprintf("dovecot: 2.3.19\nmade-by: TestMakeVectors\nindex: %s\n\n", name)
		if err := os.WriteFile(filepath.Join(dir, name+".vec"), append([]byte(head), joinFiles(f)...), 0o644); err != nil {
			t.Fatal(err)
		}
		if s, list := Replay(f); !s.Exact || len(list) > 0 {
			t.Errorf("%s: exact %v, %v", name, s.Exact, list)
		}
	}
}

func writeVector(t *testing.T, dir, format, name string, b []byte) {
	t.Helper()
	dump, list := dumpVector(format, b)
	var head strings.Builder
	fmt.Fprintf(&head, "dovecot: 2.3.19\nmade-by: TestMakeVectors\ndamage: %s\n", name)
	for _, line := range faultLines(list) {
		fmt.Fprintf(&head, "fault: %s\n", line)
	}
	head.WriteString("\n")
	for path, content := range map[string][]byte{name + ".vec": append([]byte(head.String()), b...), name + ".golden": []byte(dump)} {
		if err := os.WriteFile(filepath.Join(dir, path), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if whole := name == "whole"; whole && len(list) > 0 {
		t.Errorf("%s: a whole file has faults: %v", format, list)
	} else if !whole && len(list) == 0 {
		t.Logf("%s/%s: no faults", format, name)
	}
}
