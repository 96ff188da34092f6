package dovecot

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A vector is a file of a real Dovecot, damaged in one way. Its head says where it comes from and which faults a reader
// must find in it; the file's bytes follow an empty line. Beside it stands its dump, as .golden. Both are written by
// TestMakeVectors.
type vector struct {
	head   []string
	faults []string // "0x18 rule", in order
	data   []byte
}

func readVector(t testing.TB, path string) vector {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, data, ok := bytes.Cut(b, []byte("\n\n"))
	if !ok {
		t.Fatalf("%s: no empty line", path)
	}
	v := vector{data: data, head: strings.Split(string(head), "\n")}
	for _, line := range v.head {
		if f, ok := strings.CutPrefix(line, "fault: "); ok {
			v.faults = append(v.faults, f)
		}
	}
	return v
}

// dumpVector reads a file of a format and tells all that was read.
func dumpVector(format string, b []byte) (string, []Fault) {
	var w strings.Builder
	switch format {
	case "index":
		x, list := ParseIndex(b)
		fmt.Fprintf(&w, "%+v\nunusable %q fsck %q keywords %q\n", x.Header, x.Unusable, x.NeedsFsck, x.Keywords)
		for _, e := range x.Exts {
			fmt.Fprintf(&w, "ext %s reset %d record %d@%d/%d header %x\n", e.Name, e.ResetID, e.RecordSize, e.RecordOffset, e.RecordAlign, e.Header)
		}
		for _, r := range x.Records {
			fmt.Fprintf(&w, "%d %s %x\n", r.UID, r.Flags, r.Data)
		}
		return w.String(), list
	case "log":
		l, list := ParseLog(b)
		fmt.Fprintf(&w, "%+v\nunusable %q sync %d of %d\n", l.Header, l.Unusable, l.SyncOffset, l.Size)
		for _, r := range l.Records {
			fmt.Fprintf(&w, "%d %s external=%v valid=%v recovered=%v modseq=%d %x\n", r.Offset, r.Type, r.External, r.Valid, r.Recovered, r.ModSeq, r.Data)
		}
		s, _ := Replay(Files{Log: b})
		fmt.Fprintf(&w, "replay %s uidvalidity %d next %d\n", s.Base, s.UIDValidity, s.NextUID)
		for _, line := range summary(s) {
			fmt.Fprintln(&w, line)
		}
		return w.String(), list
	case "cache":
		c, list := ParseCache(b)
		fmt.Fprintf(&w, "index id %d sequence %d records %d\n", c.IndexID, c.Seq, c.Records)
		for _, f := range c.Fields {
			fmt.Fprintf(&w, "%+v\n", f)
		}
		return w.String(), list
	case "dbox":
		f, list, _ := ParseDbox(bytes.NewReader(b), int64(len(b)), nil)
		fmt.Fprintf(&w, "version %d header %d created %d\n", f.Version, f.MessageHeaderSize, f.Created)
		for _, m := range f.Messages {
			fmt.Fprintf(&w, "%d: %d+%d to %d guid %s received %d virtual %d mailbox %q damage %q\n", m.Offset, m.BodyOffset, m.BodySize, m.End, m.GUID,
				m.Received, m.VirtualSize, m.Mailbox, m.Damage)
		}
		return w.String(), list
	case "uidlist":
		l, list := ParseUIDList(b)
		fmt.Fprintf(&w, "version %d uidvalidity %d next %d guid %s\n", l.Version, l.UIDValidity, l.NextUID, l.MailboxGUID)
		for _, e := range l.Entries {
			fmt.Fprintf(&w, "%+v\n", e)
		}
		return w.String(), list
	case "keywords":
		k, list := ParseMaildirKeywords(b)
		return fmt.Sprintf("%q\n", *k), list
	case "subscriptions":
		s, list := ParseSubscriptions(b)
		fmt.Fprintf(&w, "version %d\n", s.Version)
		for _, n := range s.Names {
			fmt.Fprintf(&w, "%d %q\n", n.Offset, n.Components)
		}
		return w.String(), list
	case "mailboxlog":
		records, list := ParseMailboxLog(b)
		for _, r := range records {
			fmt.Fprintf(&w, "%d %s %s %d\n", r.Offset, r.Type, r.GUID, r.Time)
		}
		return w.String(), list
	}
	return "no such format", nil
}

var vectorFormats = []string{"index", "log", "cache", "dbox", "uidlist", "keywords", "subscriptions", "mailboxlog"}

func TestVectorsAreReadAsRecorded(t *testing.T) {
	for _, format := range vectorFormats {
		paths, err := filepath.Glob(filepath.Join("testdata", format, "*.vec"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: no vectors (%v)", format, err)
		}
		for _, path := range paths {
			t.Run(format+"/"+filepath.Base(path), func(t *testing.T) {
				v := readVector(t, path)
				dump, list := dumpVector(format, v.data)
				golden, err := os.ReadFile(strings.TrimSuffix(path, ".vec") + ".golden")
				if err != nil {
					t.Fatal(err)
				}
				if d := diffLines(strings.Split(dump, "\n"), strings.Split(string(golden), "\n")); d != "" {
					t.Error(d)
				}
				if d := diffLines(faultLines(list), v.faults); d != "" {
					t.Errorf("faults: %s", d)
				}
			})
		}
	}
}

func faultLines(list []Fault) []string {
	var out []string
	for _, f := range list {
		out = append(out, "0x"+strconv.FormatInt(f.Offset, 16)+" "+f.Rule)
	}
	return out
}

// summary is a State as lines that can be compared with doveadm's: UID, flags and keywords, sorted.
func summary(s *State) []string {
	var out []string
	for i := range s.Records {
		r := &s.Records[i]
		words := append(strings.Fields(r.Flags.String()), s.KeywordNames(r)...)
		if r.UID >= s.FirstRecent {
			words = append(words, `\Recent`)
		}
		slices.Sort(words)
		out = append(out, fmt.Sprintf("%d %s", r.UID, strings.Join(words, " ")))
	}
	return out
}

func diffLines(got, want []string) string {
	var out []string
	for i := 0; i < max(len(got), len(want)); i++ {
		g, w := "(none)", "(none)"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			out = append(out, fmt.Sprintf("got %q, want %q", g, w))
		}
		if len(out) > 5 {
			break
		}
	}
	return strings.Join(out, "\n")
}
