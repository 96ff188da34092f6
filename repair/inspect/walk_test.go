package inspect

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"testing/fstest"
)

func TestFilesAreKnownByTheirNames(t *testing.T) {
	for name, want := range map[string]Kind{
		"dovecot.index": KindIndex, "dovecot.index.backup": KindIndex, "dovecot.map.index": KindIndex, "dovecot.list.index": KindIndex,
		"dovecot.index.pvt": KindIndex, "old-dovecot.index": KindIndex, "dovecot.index.log": KindLog, "dovecot.map.index.log.2": KindLog,
		"2024 dovecot.list.index.log": KindLog, "dovecot.index.pvt.log": KindLog, "dovecot.index.cache": KindCache, "a/b/dovecot.index.cache": KindCache,
		"u.1": KindDbox, "m.77": KindDbox, "u.12.broken": KindDbox, "m.x": KindUnknown, "u.": KindUnknown,
		"dovecot-uidlist": KindUIDList, "dovecot-keywords": KindKeywords, "subscriptions": KindSubscriptions, "dovecot.mailbox.log": KindMailboxLog,
		"dovecot-uidvalidity": KindUIDValidity, "dovecot-uidvalidity.5f0c8b2a": KindUIDValidity, "cur/anything": KindMaildir, "new/.hidden": KindUnknown,
		"1577836801.M1P1.host,S=5:2,S": KindMaildir, "dovecot-acl": KindUnknown, "maildirsize": KindUnknown, "dovecot.index.thread": KindUnknown,
		".temp.1577836801.P1Q1M1.host": KindUnknown, "notes.txt": KindUnknown,
	} {
		if got := kindByName(name); got != want {
			t.Errorf("%q is %s, want %s", name, got, want)
		}
	}
}

func TestFilesOfOtherNamesAreKnownByTheirContent(t *testing.T) {
	for format, want := range map[string]Kind{"index": KindIndex, "log": KindLog, "cache": KindCache, "dbox": KindDbox, "uidlist": KindUIDList,
		"subscriptions": KindSubscriptions, "mailboxlog": KindMailboxLog, "keywords": KindUnknown} {
		data, _ := vector(t, format, "whole")
		for _, name := range []string{"something", ".temp.1577836801.P1Q1M1.host", "saved.bak"} {
			all, _, _ := dumped(t, fstest.MapFS{name: {Data: data}}, name, Options{})
			if got := all[0].str("kind"); got != string(want) {
				t.Errorf("a file of the format %s named %s is %s, want %s", format, name, got, want)
			}
		}
	}
	for text, want := range map[string]string{"": "the file is empty", "\x00\x00": "the file holds only NUL bytes", "Grüße\n": "the file is text",
		"\x7fELF\x00\x01": "the file has no form that dovemend knows", strings.Repeat("ä", 5000): "the file is text", strings.Repeat("\x00", 5000): "the file begins with NUL bytes"} {
		all, _, res := dumped(t, fstest.MapFS{"x": {Data: []byte(text)}}, "x", Options{})
		if got := all[0].str("note"); got != want || res.Why != want || res.Known != 0 || res.Unknown != 1 {
			t.Errorf("%.10q: %s, %+v; want %s", text, got, res, want)
		}
	}
}

func TestNothingOutsideTheFolderIsReached(t *testing.T) {
	dir := t.TempDir()
	inside, outside := filepath.Join(dir, "mail"), filepath.Join(dir, "other")
	data, _ := vector(t, "index", "whole")
	for _, d := range []string{inside, outside} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(d, "dovecot.index"), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"loop": ".", "away": "../other", "dovecot.index.log": "../other/dovecot.index", "dovecot-keywords": "/etc/passwd"} {
		if err := os.Symlink(to, filepath.Join(inside, link)); err != nil {
			t.Skip(err)
		}
	}
	all, text, res := dumped(t, tree(t, inside), ".", Options{})
	if res.Known != 1 || res.Unknown != 4 || res.Unreadable != 0 || len(all) != 5 || strings.Contains(text, "root:") {
		t.Errorf("%+v\n%s", res, text)
	}
	for _, o := range all {
		if o.str("kind") == string(KindSpecial) && o.str("note") != "a symbolic link, which is not followed" {
			t.Errorf("%s: %s", o.str("path"), o.str("note"))
		}
	}
	if all, _, res = dumped(t, tree(t, inside), "away/dovecot.index", Options{}); res.Unreadable != 1 || res.Known != 0 {
		t.Errorf("through the link: %+v, %v", res, all)
	}
}

// brokenFS cannot read some names.
type brokenFS struct {
	fstest.MapFS
	bad map[string]bool
}

func (b brokenFS) Open(name string) (fs.File, error) {
	if b.bad[name] {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return b.MapFS.Open(name)
}

func (b brokenFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if b.bad[name] {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return b.MapFS.ReadDir(name)
}

func TestWhatCannotBeReadIsToldAndTheRestIsDumped(t *testing.T) {
	data, _ := vector(t, "index", "whole")
	fsys := brokenFS{fstest.MapFS{"a/dovecot.index": {Data: data}, "b/dovecot.index": {Data: data}, "c/dovecot.index": {Data: data}, "cur/1577836801.x": {Data: []byte("a")}},
		map[string]bool{"a": true, "b/dovecot.index": true, "cur/1577836801.x": true}}
	all, text, res := dumped(t, fsys, ".", Options{})
	if res.Unreadable != 3 || res.Known != 1 || !errors.Is(res.Err, fs.ErrPermission) {
		t.Errorf("%+v", res)
	}
	for path, kind := range map[string]Kind{"a": KindFolder, "b/dovecot.index": KindIndex, "cur": KindMaildir} {
		o := find(all, path, kind)
		if o == nil || !strings.Contains(o.str("error"), "permission denied") {
			t.Errorf("%s: %v", path, o)
		}
	}
	if strings.Count(text, "not read: ") != 3 {
		t.Error(text)
	}
}

func TestNamesCannotReachATerminal(t *testing.T) {
	name := "dovecot.index\x1b[2J\u202e\n"
	_, text, _ := dumped(t, fstest.MapFS{name: {Data: []byte("x")}, "cur/1577836801.\x1b]0;x\a:2,S": {Data: nil}}, ".", Options{})
	if !strings.Contains(text, `"dovecot.index\x1b[2J\u202e\n": unknown`) || !strings.Contains(text, `name="1577836801.\x1b]0;x\a:2,S"`) {
		t.Error(text)
	}
}

func TestADeepTreeAndACancelledContextEnd(t *testing.T) {
	data, _ := vector(t, "uidlist", "whole")
	_, _, res := dumped(t, fstest.MapFS{strings.Repeat("d/", 300) + "dovecot-uidlist": {Data: data}}, ".", Options{})
	if res.Unreadable != 1 || !errors.Is(res.Err, errTooDeep) {
		t.Errorf("%+v", res)
	}
	log, _ := vector(t, "log", "whole")
	ctx, cancel := context.WithCancel(context.Background())
	out := &cancelling{cancel: cancel}
	j := NewJSON(out)
	_, err := Inspect(ctx, fstest.MapFS{"dovecot.index.log": {Data: log}, "subscriptions": {Data: []byte("a\n")}}, ".", Options{}, j)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if s := out.String(); !strings.HasSuffix(s, "]") || strings.Contains(s, "subscriptions") {
		t.Errorf("%s", s)
	}
}

// cancelling cancels when something is written.
type cancelling struct {
	bytes.Buffer
	cancel func()
}

func (c *cancelling) Write(b []byte) (int, error) {
	c.cancel()
	return c.Buffer.Write(b)
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestAnOutputThatFailsEndsTheWalk(t *testing.T) {
	data, _ := vector(t, "log", "whole")
	for _, out := range []Output{NewText(brokenPipe{}), NewJSON(brokenPipe{})} {
		if _, err := Inspect(context.Background(), fstest.MapFS{"dovecot.index.log": {Data: data}}, ".", Options{}, out); err == nil {
			t.Error("no error")
		}
	}
}

func TestLogsOfAnIndexNameTheirExtensionsByIt(t *testing.T) {
	index, _ := vector(t, "index", "whole")
	log, _ := vector(t, "log", "whole")
	log = bytes.Clone(log)
	log[12] = 1 // it continues another log: numbers alone tell nothing
	names := func(fsys fstest.MapFS) string {
		all, _, _ := dumped(t, fsys, "dovecot.index.log", Options{})
		for _, r := range all[0].list("log", "records") {
			if e := r.list("entries"); r.str("type") == "ext-intro" && len(e) > 0 && e[0].num("ext_id") == 3 {
				return r.str("extension")
			}
		}
		return "none"
	}
	if got := names(fstest.MapFS{"dovecot.index.log": {Data: log}}); got != "" {
		t.Errorf("without an index: %q", got)
	}
	if got := names(fstest.MapFS{"dovecot.index.log": {Data: log}, "dovecot.index": {Data: index}}); got != "mdbox" {
		t.Errorf("with the index: %q", got)
	}
}

func TestTheMapTellsWhereDamagedMessagesLie(t *testing.T) {
	box, _ := vector(t, "dbox", "whole")
	whole, _, _ := dumped(t, fstest.MapFS{"storage/m.1": {Data: box}}, "storage/m.1", Options{})
	first := whole[0].list("dbox", "messages")[0]
	at, size := int(first.num("offset")), int(first.num("end")-first.num("offset"))
	name := "map"
	log := logFile(logRecord(external|0x2, 1, 0), logRecord(external|0x40, byName, 0, 8, 12|4<<16, 1|len(name)<<16, name), logRecord(external|0x200, 1, 1, at, size))
	broken := bytes.Clone(box)
	copy(broken[at:], strings.Repeat("\n", 30)) // no line of it tells where the header ends
	fsys := fstest.MapFS{"storage/m.1": {Data: broken}, "storage/dovecot.map.index.log": {Data: log}}
	all, _, _ := dumped(t, fsys, ".", Options{})
	if got := find(all, "storage/m.1", KindDbox).list("dbox", "messages")[0]; got.num("body_offset") != first.num("body_offset") || got.str("guid") != first.str("guid") {
		t.Errorf("got %v, want %v", got, first)
	}
}

// hugeFile is an mdbox file of many GiB that is nowhere: messages of 16 MiB, some of whose headers are damaged.
type hugeFile struct{ messages int64 }

const hugeBody, hugeMessage = 16 << 20, 16<<20 + 30 + 40

var hugeText = bytes.Repeat([]byte{'x'}, 64<<10)

func (h hugeFile) size() int64 { return 16 + h.messages*hugeMessage }

func (h hugeFile) ReadAt(b []byte, off int64) (int, error) {
	const line = "2 M1e C6b042af8\n"
	for n := 0; n < len(b); { // in pieces: byte by byte it takes long with the race detector
		n += copy(b[n:], hugeText)
	}
	put := func(at int64, s string) {
		if from := at - off; from > -int64(len(s)) && from < int64(len(b)) {
			copy(b[max(from, 0):], s[max(-from, 0):])
		}
	}
	put(0, line)
	for n := max(off-16, 0)/hugeMessage - 1; n <= (off+int64(len(b)))/hugeMessage+1; n++ {
		if n < 0 || n >= h.messages {
			continue
		}
		at := 16 + n*hugeMessage
		if n%50 != 7 {
			put(at, "\x01\x02N          0000000001000000\n")
		} else {
			put(at, "damaged, and not to be read ..\n"[:30])
		}
		put(at+30+hugeBody, "\n\x01\x03\nG0123456789abcdef0123456789abcdef\n\n\n"[:38]+"\n\n")
	}
	return len(b), nil
}

func TestAStorageFileOfManyGiBNeedsNoMoreMemoryThanASmallOne(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100)) // the heap is measured as users have it
	h := hugeFile{1000}
	w := &walker{ctx: context.Background()}
	d := newDump("m.1", KindDbox, h.size())
	w.dbox(d, h, h.size(), nil)
	out := &sampling{}
	if err := NewText(out).Dump(d); err != nil {
		t.Fatal(err)
	}
	if d.Dbox.MessageCount < 900 || len(d.faults) == 0 {
		t.Errorf("%d messages, %d faults", d.Dbox.MessageCount, len(d.faults))
	}
	t.Logf("%d MiB in %d messages: heap of %d KiB at most", h.size()>>20, d.Dbox.MessageCount, out.most>>10)
	if out.most > 32<<20 {
		t.Errorf("a heap of %d bytes", out.most)
	}
}

// sampling looks at the heap whenever something is written.
type sampling struct{ most uint64 }

func (s *sampling) Write(b []byte) (int, error) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.most = max(s.most, m.HeapAlloc)
	return len(b), nil
}
