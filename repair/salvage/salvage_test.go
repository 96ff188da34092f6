package salvage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"dovemend/repair/dovecot"
	"dovemend/repair/pathtext"
)

var update = flag.Bool("update", false, "write testdata anew")

func texted(s string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

// cutAfter gives a text and then an error.
func cutAfter(s string, err error) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(s), failing{err})), nil
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func guid(n int) dovecot.GUID {
	sum := sha256.Sum256(fmt.Append(nil, n))
	return dovecot.GUID(sum[:16])
}

func at(n int) time.Time { return time.Date(2021, 3, 1+n%28, 8, n%60, 7, 0, time.UTC) }

// some are messages of every kind.
func some() []*Message {
	mail := func(n int, line string) string {
		return fmt.Sprintf("Return-Path: <sender%d@example.org>\nSubject: message %d\n\n%s", n, n, line)
	}
	source := func(n int64) Source { return Source{"storage/m.1", n * 1000} }
	return []*Message{
		{Mailbox: "INBOX", Class: Current, UID: 1, UIDValidity: 1600000000, Flags: dovecot.FlagSeen | dovecot.FlagAnswered, GUID: guid(1), Received: at(1), Saved: at(2), Source: source(1), Open: texted(mail(1, "text\n"))},
		{Mailbox: "INBOX", Class: Current, UID: 2, UIDValidity: 1600000000, Flags: dovecot.FlagFlagged | dovecot.FlagDraft | dovecot.FlagDeleted, Keywords: []string{"$Forwarded", "Work"}, GUID: guid(2), Received: at(2), Source: source(2),
			Open: texted(mail(2, "From here on\n>From there\nFromage\n> From\n"))},
		{Mailbox: "INBOX", Class: Current, UID: 3, UIDValidity: 1600000000, Keywords: []string{"work", "umläut", "with space"}, Source: source(3), Received: at(3), Open: texted("no header, no line end")},
		{Mailbox: "INBOX", Class: Current, UID: 4, UIDValidity: 1600000000, GUID: guid(4), Source: source(4), Received: at(4), Open: texted("Subject: CRLF\r\n\r\nFrom me\r\n")},
		{Mailbox: "Archive/2020", Class: Current, UID: 1, UIDValidity: 1600000001, GUID: guid(5), Source: source(5), Saved: at(5), Open: texted(mail(5, "x\n"))},
		{Mailbox: "Entwürfe", Class: Current, UID: 7, UIDValidity: 1600000002, GUID: guid(6), Source: source(6), Received: at(6), Open: texted("")},
		{Mailbox: "INBOX", Class: Expunged, UID: 9, UIDValidity: 1600000000, GUID: guid(7), Source: source(7), Received: at(7), Open: texted(mail(7, "gone\n"))},
		{Mailbox: "INBOX", Class: Orphan, GUID: guid(8), Source: source(8), Received: at(8), Notes: []string{"no mailbox refers to it"}, Open: texted(mail(8, "lost\n"))},
		{Mailbox: "INBOX", Class: Orphan, Source: source(9), Open: texted(mail(9, "without anything\n"))},
		{Mailbox: "Work", Class: Damaged, UID: 1, UIDValidity: 1600000003, GUID: guid(10), Source: Source{"mailboxes/Work/dbox-Mails/u.1", -1}, Received: at(10), Notes: []string{"its end is missing"}, Open: texted(mail(10, "cut h"))},
		{Mailbox: "Work", Class: Current, UID: 2, UIDValidity: 1600000003, GUID: guid(11), Source: source(11), Received: at(11),
			Open: cutAfter(mail(11, "text up to "), &dovecot.DecodeError{Encoding: dovecot.Gzip, Offset: 60, Err: io.ErrUnexpectedEOF})},
		{Mailbox: "Work", Class: Current, UID: 3, UIDValidity: 1600000003, GUID: guid(12), Source: source(12), Received: at(12), Open: cutAfter("", &dovecot.EncryptedError{Version: 2})},
		{Mailbox: "Work", Class: Expunged, UID: 4, UIDValidity: 1600000003, GUID: guid(13), Source: source(13),
			Open: func() (io.ReadCloser, error) { return nil, fs.ErrNotExist }},
	}
}

// reassembled gives the text of a message whose attachment is missing.
type reassembled struct{ *dovecot.Reassembly }

func (r reassembled) Missing() (words []string) {
	for _, n := range r.Notes {
		words = append(words, n.String())
	}
	return words
}

func TestWhatIsMissingWithinIsNoted(t *testing.T) {
	for _, format := range allFormats {
		dir := t.TempDir()
		m := &Message{Mailbox: "INBOX", Class: Current, UID: 1, Notes: []string{"first"}, Open: func() (io.ReadCloser, error) {
			return reassembled{dovecot.Reassemble(strings.NewReader("a\n\nb\n"), []dovecot.Attachment{{Start: 2, Size: 10, Path: "x"}}, 15, dovecot.AttachmentDir{})}, nil
		}}
		for range 2 {
			write(t, dir, []*Message{m}, Options{Format: format})
			b, err := os.ReadFile(filepath.Join(dir, "index.json"))
			if err != nil {
				t.Fatal(err)
			}
			var index struct{ Messages []Entry }
			if err := json.Unmarshal(b, &index); err != nil {
				t.Fatal(err)
			}
			e := index.Messages[0]
			if e.Class != Damaged || e.Was != Current || len(e.Notes) != 2 || !strings.HasPrefix(e.Notes[1], "attachment 1 is missing: ") || e.Problem != "" || !strings.HasPrefix(e.File, "damaged/") {
				t.Errorf("%s: %+v", format, e)
			}
		}
	}
}

func sequence(list []*Message) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		for _, m := range list {
			if !yield(m, nil) {
				return
			}
		}
	}
}

func openRoot(t testing.TB, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// warned collects warnings.
type warned struct {
	list  []string
	files int
	bytes int64
}

func (w *warned) Advance(files int, bytes int64) { w.files += files; w.bytes += bytes }
func (w *warned) Warn(text string)               { w.list = append(w.list, text) }

func write(t testing.TB, dir string, list []*Message, o Options) *Summary {
	t.Helper()
	sum, err := Write(t.Context(), openRoot(t, dir), sequence(list), o)
	if err != nil {
		t.Fatal(err)
	}
	checkSums(t, dir, sum)
	return sum
}

// checkSums holds the index against the summary and the files.
func checkSums(t testing.TB, dir string, sum *Summary) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, sum.Index))
	if err != nil {
		t.Fatal(err)
	}
	var index struct {
		indexHead
		Messages []Entry
	}
	if err := json.Unmarshal(b, &index); err != nil {
		t.Fatal(err)
	}
	var all, byClass, byFolder Count
	plus := func(to *Count, c Count) {
		to.Messages += c.Messages
		to.Unreadable += c.Unreadable
		to.Bytes += c.Bytes
	}
	for i := range index.Messages {
		all.add(&index.Messages[i])
	}
	for _, c := range index.Classes {
		plus(&byClass, *c)
	}
	for _, f := range index.Folders {
		plus(&byFolder, f.Count)
	}
	if all != sum.Count || byClass != all || byFolder != all || index.Total != all {
		t.Errorf("messages %+v, classes %+v, folders %+v, total %+v, summary %+v", all, byClass, byFolder, index.Total, sum.Count)
	}
	if sum.Written+sum.Kept != all.Messages-all.Unreadable {
		t.Errorf("%d written, %d kept of %+v", sum.Written, sum.Kept, all)
	}
	if index.Format == Mbox {
		return
	}
	for _, e := range index.Messages {
		if e.unreadable() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(e.File)))
		if sum := sha256.Sum256(b); err != nil || e.SHA256 != hex.EncodeToString(sum[:]) || int64(len(b)) != e.Size {
			t.Errorf("%s: %v, %d bytes of %d", e.File, err, len(b), e.Size)
		}
	}
}

// dump is a tree as text: names, modes, times where they are old, and what is in the files.
func dump(t testing.TB, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		fmt.Fprintf(&out, "== %s %v", filepath.ToSlash(rel), info.Mode())
		if d.IsDir() {
			out.WriteString("\n")
			return nil
		}
		if time.Since(info.ModTime()) > 24*time.Hour {
			fmt.Fprintf(&out, " %s", info.ModTime().UTC().Format(time.RFC3339))
		}
		b, err := os.ReadFile(name)
		fmt.Fprintf(&out, "\n%s", bytes.ReplaceAll(b, []byte("\r"), []byte("<CR>")))
		if len(b) > 0 && b[len(b)-1] != '\n' {
			out.WriteString("<no line end>\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, tree, _ := strings.Cut(out.String(), "\n") // without the directory itself, whose mode is the test's
	return tree
}

func TestTreesAreAsRecorded(t *testing.T) {
	for _, o := range []Options{{Format: EML}, {Format: Mbox}, {Format: Mbox, Headers: true}, {Format: Maildir}} {
		name := string(o.Format)
		if o.Headers {
			name += "-headers"
		}
		t.Run(name, func(t *testing.T) {
			dir, rep := t.TempDir(), &warned{}
			o.Reporter = rep
			sum := write(t, dir, some(), o)
			if sum.Messages != 13 || sum.Unreadable != 2 || sum.Written != 11 || len(rep.list) != 0 || rep.files != 13 || rep.bytes != sum.Bytes {
				t.Errorf("%+v, %+v", sum, rep)
			}
			got, golden := dump(t, dir), filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			again := write(t, dir, some(), o)
			if again.Written != 0 || again.Kept != 11 || len(rep.list) != 0 {
				t.Errorf("again: %+v, %+v", again, rep)
			}
			if got := dump(t, dir); got != string(want) {
				t.Errorf("again: got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// paths lists the files with their contents.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		b, err := os.ReadFile(name)
		all[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var allFormats = []Format{EML, Mbox, Maildir}

func TestFilesOfOthersStay(t *testing.T) {
	for _, format := range allFormats {
		t.Run(string(format), func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, some(), Options{Format: format})
			before := contents(t, dir)
			// Everything is somebody else's now.
			touched := map[string]string{}
			for name := range before {
				if strings.HasSuffix(name, ".jsonl") || strings.HasSuffix(name, "/maildirfolder") || strings.HasSuffix(name, "/dovecot-keywords") {
					continue
				}
				touched[name] = "mine, not yours: " + name
				if err := os.WriteFile(filepath.Join(dir, name), []byte(touched[name]), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			rep := &warned{}
			sum := write(t, dir, some(), Options{Format: format, Reporter: rep})
			if len(sum.Foreign) == 0 || len(rep.list) != len(sum.Foreign) || sum.Kept != 0 {
				t.Errorf("%+v, %q", sum, rep.list)
			}
			after := contents(t, dir)
			for name, want := range touched {
				if after[name] != want {
					t.Errorf("%s was changed", name)
				}
			}
			again := write(t, dir, some(), Options{Format: format})
			if again.Written != 0 || again.Kept != sum.Written {
				t.Errorf("again: %+v, first %+v", again, sum)
			}
			if got := contents(t, dir); !mapsEqual(got, after) {
				t.Error("the third run changed something")
			}
		})
	}
}

func mapsEqual(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

func TestWhatIsMissingOrDifferentIsWrittenAnew(t *testing.T) {
	for _, format := range allFormats {
		t.Run(string(format), func(t *testing.T) {
			dir, list := t.TempDir(), some()
			write(t, dir, list, Options{Format: format})
			want := contents(t, dir)
			for name := range want { // some files are lost
				if sum := sha256.Sum256([]byte(name)); sum[0]%3 == 0 && !strings.HasSuffix(name, ".jsonl") {
					if err := os.Remove(filepath.Join(dir, name)); err != nil {
						t.Fatal(err)
					}
				}
			}
			write(t, dir, list, Options{Format: format})
			if got := contents(t, dir); !mapsEqual(got, want) {
				t.Errorf("got %q, want %q", names(got), names(want))
			}
			// The next run knows more of one message than the one before: the new text replaces the old one.
			changed := *list[9]
			changed.Open = texted("Subject: message 10\n\nall of it\n")
			list[9] = &changed
			sum := write(t, dir, list, Options{Format: format})
			if len(sum.Foreign) > 0 {
				t.Errorf("%+v", sum)
			}
			got := contents(t, dir)
			if len(got) != len(want) {
				t.Errorf("got %q, want %q", names(got), names(want))
			}
			found := 0
			for _, text := range got {
				if strings.Contains(text, "all of it\n") {
					found++
				}
				if strings.Contains(text, "cut h") {
					t.Error("the old text is still there")
				}
			}
			if found != 1 {
				t.Errorf("the new text is there %d times", found)
			}
		})
	}
}

func names(m map[string]string) []string {
	var out []string
	for name := range m {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

func TestEqualNamesOverwriteNothing(t *testing.T) {
	for _, format := range []Format{EML, Maildir} {
		t.Run(string(format), func(t *testing.T) {
			m := func(text string, n dovecot.GUID) *Message {
				return &Message{Mailbox: "INBOX", Class: Current, UID: 5, UIDValidity: 1, GUID: n, Received: at(1), Source: Source{"m.1", 5}, Open: texted(text)}
			}
			list := []*Message{m("one", guid(1)), m("two", guid(1)), m("three", dovecot.GUID{}), m("four", dovecot.GUID{}), m("one", guid(1))}
			dir := t.TempDir()
			sum := write(t, dir, list, Options{Format: format})
			if sum.Written != 5 || len(sum.Foreign) != 0 {
				t.Errorf("%+v", sum)
			}
			want := contents(t, dir)
			again := write(t, dir, list, Options{Format: format})
			if again.Kept != 5 || !mapsEqual(contents(t, dir), want) {
				t.Errorf("%+v", again)
			}
		})
	}
}

// hostile are names that a host might have, to harm.
var hostile = []string{
	"INBOX", "inbox", "Inbox", "", "/", "//", ".", "..", "../../etc", "a/../../b", "/abs", "a//b", "a/", "con", "CON", "nul.txt", "aux/prn", "COM1", "a:b", "a\\b", "x.", "x ", " x",
	"Work", "work", "WORK", "wOrK", "tab\tnew\nline\x1b[31m\x00", "\xff\xfe", "J&AOQ-nner", "Jänner", "Ja\u0308nner", "x.eml", "x.EML/y", "y.json", "index.json", "z.mbox", "z", "cur", "new", "tmp", "INBOX/cur",
	"mailboxes", "expunged", ".dovemend-incoming", ".dovemend-salvage.jsonl", "~", "%", "%2E", "a%~2", "*?<>|\"", "a.b.c", "dovecot-keywords",
	strings.Repeat("long", 100), strings.Repeat("ü", 200), strings.Repeat("a/", 300) + "end", strings.Repeat("long", 100) + "x", "\u202etxt.exe",
}

func TestHostileNamesHarmNothing(t *testing.T) {
	var list []*Message
	for i, name := range hostile {
		for _, class := range classes {
			list = append(list, &Message{Mailbox: name, Class: class, UID: dovecot.UID(i + 1), UIDValidity: 1, Keywords: []string{name}, Received: at(i), Source: Source{"a/../..", 3}, Open: texted(fmt.Sprint(name, class))},
				&Message{Mailbox: name, Class: class, Received: at(i), Source: Source{File: "../../CON", Offset: int64(i)}, Open: texted(fmt.Sprint("again ", name, class))})
		}
	}
	for _, format := range allFormats {
		t.Run(string(format), func(t *testing.T) {
			outer := t.TempDir()
			dir := filepath.Join(outer, "in", "out")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			rep := &warned{}
			sum := write(t, dir, list, Options{Format: format, Reporter: rep})
			if sum.Written != len(list) || len(sum.Foreign) > 0 {
				t.Errorf("%+v; %q", sum, rep.list)
			}
			if entries, _ := os.ReadDir(outer); len(entries) != 1 {
				t.Errorf("outside: %v", entries)
			}
			// All paths differ in more than case, and any file system can hold them (but for a Maildir's colons).
			seen := map[string]string{}
			for name := range contents(t, dir) {
				low := strings.ToLower(name)
				if other := seen[low]; other != "" {
					t.Errorf("%q and %q", name, other)
				}
				seen[low] = name
				if len(name) > 1100 {
					t.Errorf("%q is long", name)
				}
				for part := range strings.SplitSeq(name, "/") {
					base, _, _ := strings.Cut(strings.ToUpper(part), ".")
					bad := `<>"|?*\` + "\x00\n\t\x1b\x7f"
					if format != Maildir {
						bad += ":"
					}
					if len(part) > 255 || strings.ContainsAny(part, bad) || strings.HasSuffix(part, ".") || strings.HasSuffix(part, " ") ||
						slices.Contains([]string{"CON", "NUL", "AUX", "PRN", "COM1"}, base) {
						t.Errorf("%q in %q", part, name)
					}
				}
			}
			// In any order, and again.
			want := contents(t, dir)
			slices.Reverse(list)
			defer slices.Reverse(list)
			again := write(t, dir, list, Options{Format: format})
			got := contents(t, dir)
			if format == Mbox { // whose files have their messages in order
				if len(got) != len(want) {
					t.Errorf("got %q, want %q", names(got), names(want))
				}
				return
			}
			delete(got, "index.json")
			delete(want, "index.json")
			for name := range want { // letters depend on who comes first
				if strings.HasSuffix(name, "dovecot-keywords") {
					delete(want, name)
					delete(got, name)
				}
			}
			if again.Written != 0 || !mapsEqual(got, want) {
				t.Errorf("again: %+v", again)
			}
		})
	}
}

func TestOtherFormatsAreRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, some(), Options{Format: EML})
	_, err := Write(t.Context(), openRoot(t, dir), sequence(some()), Options{Format: Maildir})
	if !errors.Is(err, ErrOtherFormat) {
		t.Error(err)
	}
	if _, err := Write(t.Context(), openRoot(t, t.TempDir()), sequence(nil), Options{Format: "zip"}); err == nil {
		t.Error("no error")
	}
	if _, err := Write(t.Context(), openRoot(t, t.TempDir()), sequence([]*Message{{Class: "odd"}}), Options{Format: EML}); err == nil {
		t.Error("no error")
	}
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, stateName), []byte("something\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(t.Context(), openRoot(t, foreign), sequence(nil), Options{Format: EML}); err == nil {
		t.Error("no error")
	}
}

func TestAnErrorOfTheSequenceOrContextLeavesNoHalfFile(t *testing.T) {
	stop := errors.New("the feeder fails")
	for _, format := range allFormats {
		dir := t.TempDir()
		seq := func(yield func(*Message, error) bool) {
			for _, m := range some()[:6] {
				yield(m, nil)
			}
			yield(nil, stop)
		}
		if _, err := Write(t.Context(), openRoot(t, dir), seq, Options{Format: format}); !errors.Is(err, stop) {
			t.Error(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		slow := *some()[0]
		slow.Open = func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("half a"), readerFunc(func(b []byte) (int, error) { cancel(stop); return copy(b, " message"), nil }))), nil
		}
		if _, err := Write(ctx, openRoot(t, dir), sequence([]*Message{&slow}), Options{Format: format}); err != stop {
			t.Error(err)
		}
		for name, text := range contents(t, dir) {
			if name == "index.json" || strings.Contains(text, "half a") || strings.HasPrefix(name, stagingDir) {
				t.Errorf("%s: %s: %q", format, name, text)
			}
		}
		sum := write(t, dir, some(), Options{Format: format})
		if len(sum.Foreign) > 0 {
			t.Errorf("%+v", sum)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestTextWithoutUTF8SurvivesInJSON(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, []*Message{{Mailbox: "a\xffb", Class: Current, UID: 1, Keywords: []string{"k\xfe"}, Source: Source{"f\xfd", -1}, Open: texted("x")}}, Options{Format: EML})
	b, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index struct{ Messages []Entry }
	if err := json.Unmarshal(b, &index); err != nil {
		t.Fatal(err)
	}
	e := index.Messages[0]
	if e.Mailbox != "a\xffb" || e.Keywords[0] != pathtext.Path("k\xfe") || e.Source.File != "f\xfd" {
		t.Errorf("%+v", e)
	}
}

func TestFlagsAndKeywordsAreToldWhereThereAreNone(t *testing.T) {
	b, err := jsonLine(entryOf(&Message{Mailbox: "INBOX"}))
	if err != nil || !strings.Contains(string(b), `"flags":[]`) || !strings.Contains(string(b), `"keywords":[]`) {
		t.Errorf("%s, %v", b, err)
	}
}

// TestTheDocumentNamesEveryField holds docs/salvage.md to what is written.
func TestTheDocumentNamesEveryField(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "salvage.md"))
	if err != nil {
		t.Fatal(err)
	}
	fields := 0
	for _, v := range []any{Entry{}, sourceEntry{}, indexHead{}, Folder{}, Count{}, head{}} {
		for i := range reflect.TypeOf(v).NumField() {
			name, _, _ := strings.Cut(reflect.TypeOf(v).Field(i).Tag.Get("json"), ",")
			if name == "" {
				continue
			}
			if fields++; !strings.Contains(string(b), "`"+name+"`") {
				t.Errorf("%s is not in it", name)
			}
		}
	}
	if fields < 30 {
		t.Errorf("%d fields", fields)
	}
}
