package damage

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// tree makes the files of a layout, small and sound as far as the damages look into them.
func tree(t *testing.T, layout string) Target {
	t.Helper()
	target := Target{MailRoot: filepath.Join(t.TempDir(), "[web] mail"), Layout: layout}
	text := func(n int) []byte { return []byte(strings.Repeat(fmt.Sprint(n, "+"), 3000)) }
	contents := map[string][]byte{index: indexBytes("cache"), log: logBytes(), log2: text(1), cache: text(2), "subscriptions": text(3), listIx: text(4), listIx + ".log": logBytes()}
	switch layout {
	case "mdbox":
		contents[back], contents["storage/m.1"] = text(5), dboxBytes(8)
		contents["storage/"+mapIx], contents["storage/"+mapIx+".log"] = indexBytes("map", "ref"), logBytes()
	case "sdbox":
		contents[back] = text(5)
		for i := range 5 {
			contents[fmt.Sprint("u.", 2+2*i)] = dboxBytes(1)
		}
	case "maildir":
		lines := []byte("3 V1600000000 N9 G00000000000000000000000000000000\n")
		for i := range 200 {
			lines = fmt.Appendf(lines, "%d :%d.host,S=100,W=200\n", i+1, i+1)
		}
		contents[list] = lines
		contents[keywords] = []byte("0 Work\n")
		for i := range 5 {
			contents[fmt.Sprintf("cur/%d.host,S=100,W=200:2,S", 1+i)] = text(6 + i)
		}
		contents["new/9.host,S=100,W=200"], contents["tmp/x"] = text(11), nil
	}
	for name, data := range contents {
		p := filepath.Join(target.Folder(), name)
		if name == "subscriptions" || strings.HasPrefix(name, listIx) || strings.HasPrefix(name, "storage/") {
			p = filepath.Join(target.MailRoot, name)
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, data, 0o640); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, long, long); err != nil {
			t.Fatal(err)
		}
	}
	return target
}

// long is when the files of a tree were last changed.
var long = time.Date(2019, time.November, 4, 7, 12, 9, 0, time.UTC)

// indexBytes is an index of 30 records with some extensions of 12 bytes each.
func indexBytes(exts ...string) []byte {
	const count = 30
	b := make([]byte, indexHeader)
	for i, name := range exts {
		h := make([]byte, 16)
		le.PutUint16(h[8:], uint16(8+12*i))
		le.PutUint16(h[10:], 12)
		le.PutUint16(h[12:], 4)
		le.PutUint16(h[14:], uint16(len(name)))
		b = append(b, h...)
		b = append(b, name...)
		b = append(b, make([]byte, (8-len(b)%8)%8)...)
	}
	b[0], b[12] = 7, 1
	record := 8 + 12*len(exts)
	le.PutUint32(b[4:], uint32(len(b)))
	le.PutUint32(b[8:], uint32(record))
	le.PutUint32(b[28:], 10*count+1)
	le.PutUint32(b[32:], count)
	for i := range count {
		b = le.AppendUint32(b, uint32(10*(i+1)))
		b = append(b, bytes.Repeat([]byte{byte(i + 1)}, record-4)...)
	}
	return b
}

// logBytes is a log of 40 records of 16 bytes.
func logBytes() []byte {
	b := make([]byte, 40)
	le.PutUint16(b[2:], 40)
	le.PutUint32(b[4:], 77)
	for range 40 {
		b = append(b, 0x80, 0x80, 0x80, 0x84, 2, 0, 0, 0x10, 1, 0, 0, 0, 8, 0, 0, 0)
	}
	return b
}

// dboxBytes is a file of n messages.
func dboxBytes(n int) []byte {
	b := []byte("2 M1e C5dbfce29\n")
	for i := range n {
		text := strings.Repeat(fmt.Sprint("text ", i, "\n"), 500)
		b = fmt.Appendf(b, "\x01\x02N          %016X\n%s\n\x01\x03\nR5dbfce29\nGdeadbeef\n\n", len(text), text)
	}
	return b
}

// contents reads a tree by relative names; of a huge file its length.
func contents(t *testing.T, root string) map[string]string {
	t.Helper()
	m := make(map[string]string)
	err := filepath.WalkDir(root, func(p string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := e.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		switch {
		case e.IsDir():
			m[rel] = "directory"
		case st.Mode()&0o400 == 0:
			m[rel] = "hidden"
		case st.Size() > 1<<20:
			m[rel] = fmt.Sprint(st.Size())
		default:
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			m[rel] = string(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEachKindBreaksTheFilesItNamesAndTheSameWayTwice(t *testing.T) {
	for _, layout := range []string{"mdbox", "sdbox", "maildir"} {
		if n := len(Kinds(layout)); n < 45 {
			t.Errorf("%s has %d kinds, want at least 45", layout, n)
		}
		for _, kind := range Kinds(layout) {
			for seed := range uint64(2) {
				t.Run(fmt.Sprint(layout, "/", kind, "/", seed), func(t *testing.T) { testKind(t, layout, kind, seed) })
			}
		}
	}
}

func testKind(t *testing.T, layout, kind string, seed uint64) {
	a, b := tree(t, layout), tree(t, layout)
	before := contents(t, a.MailRoot)
	changes, err := Break(a, kind, seed)
	if err != nil {
		t.Fatal(err)
	}
	named, err := Do(b, kind, seed)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range named {
		named[i], _ = filepath.Rel(b.MailRoot, f)
	}
	after, twin := contents(t, a.MailRoot), contents(t, b.MailRoot)
	if !maps.Equal(after, twin) {
		t.Error("two damages of one seed differ")
	}
	byFile := make(map[string][]Change)
	for _, c := range changes {
		c.File, _ = filepath.Rel(a.MailRoot, c.File)
		byFile[c.File] = append(byFile[c.File], c)
		if c.To != "" {
			c.To, _ = filepath.Rel(a.MailRoot, c.To)
			if after[c.To] != before[c.File] {
				t.Errorf("%s is not what %s was", c.To, c.File)
			}
			delete(after, c.To)
		}
		if !slices.Contains(named, c.File) {
			t.Errorf("%s is changed, named are %q", c.File, named)
		}
	}
	for name := range after {
		if _, known := before[name]; !known && len(byFile[name]) == 0 {
			t.Errorf("%s is new, and nothing is told of it", name)
		}
	}
	for name, was := range before {
		now, there := after[name]
		told(t, name, was, now, there, byFile[name])
	}
	if Text(kind) == "" {
		t.Error("no words for it")
	}
	if Looked(kind) != (kind == "made-anew") {
		t.Error("a look belongs to it, or does not")
	}
}

// told holds what is told of a file's changes against the file.
func told(t *testing.T, name, was, now string, there bool, changes []Change) {
	t.Helper()
	free := make([]bool, len(was)) // bytes that are told to be lost
	removed := false
	size := int64(len(was))
	for _, c := range changes {
		switch c.What {
		case Overwritten:
			if c.Offset < 0 || c.Length <= 0 || c.Offset+c.Length > size {
				t.Errorf("%s: %+v in a file of %d bytes", name, c, size)
				continue
			}
			if end := c.Offset + c.Length; was[c.Offset:end] == now[c.Offset:end] {
				t.Errorf("%s: nothing is changed by %+v", name, c)
			}
			for i := c.Offset; i < c.Offset+c.Length; i++ {
				free[i] = true
			}
		case Cut:
			if c.Offset+c.Length != size || int64(len(now)) != c.Offset || c.Length <= 0 {
				t.Errorf("%s: %+v, from %d bytes to %d", name, c, size, len(now))
			}
			size = c.Offset
		case Removed, Moved:
			if removed = true; there || c.Length != size && was != "directory" {
				t.Errorf("%s: %+v, %d bytes, there still: %v", name, c, size, there)
			}
		case Added:
			if c.Offset != size {
				t.Errorf("%s: %+v, at %d bytes", name, c, size)
			}
		case Hidden:
			if now != "hidden" {
				t.Errorf("%s: %+v, is %.20q", name, c, now)
			}
			return
		}
	}
	if !there && !removed {
		t.Errorf("%s is gone: %+v", name, changes)
	}
	if !there || len(now) < int(size) { // gone, or huge
		return
	}
	if len(changes) == 0 && was != now {
		t.Errorf("%s is changed, and nothing is told of it", name)
	}
	for i := range int(size) {
		if !free[i] && was[i] != now[i] {
			t.Fatalf("%s: byte %d is changed: %+v", name, i, changes)
		}
	}
}

func TestMailKeepsItsTime(t *testing.T) {
	target := tree(t, "maildir")
	changes, err := Break(target, "message-half", 3)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(changes[0].File)
	if err != nil || !st.ModTime().Equal(long) {
		t.Errorf("%s: %v, %v", changes[0].File, st.ModTime(), err)
	}
}

func TestDamageOfWhatIsNotThereIsAnError(t *testing.T) {
	target := tree(t, "sdbox")
	for _, kind := range []string{"map-missing", "uidlist-cut", "nonsense", ""} {
		if files, err := Do(target, kind, 1); err == nil {
			t.Errorf("%q changed %q", kind, files)
		}
	}
	target.Mailbox = "Sent"
	for _, kind := range Kinds("sdbox") {
		if strings.HasPrefix(kind, "list-") || strings.HasPrefix(kind, "subscriptions-") || kind == "several-mailboxes" {
			continue // these are the account's
		}
		if files, err := Do(target, kind, 1); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q of a mailbox without files changed %q, %v", kind, files, err)
		}
	}
}

func TestFolderFollowsTheLayout(t *testing.T) {
	for _, c := range []struct {
		target Target
		want   string
	}{
		{Target{Layout: "mdbox"}, "/m/mailboxes/INBOX/dbox-Mails"},
		{Target{Layout: "sdbox", Mailbox: "Archive/2020"}, "/m/mailboxes/Archive/2020/dbox-Mails"},
		{Target{Layout: "maildir"}, "/m"},
		{Target{Layout: "maildir", Mailbox: "Archive/2020"}, "/m/.Archive.2020"},
		{Target{Layout: "maildir", Mailbox: "Archive/2020", LayoutFS: true}, "/m/Archive/2020"},
	} {
		c.target.MailRoot = "/m"
		if got := filepath.ToSlash(c.target.Folder()); got != c.want {
			t.Errorf("%+v: %s, want %s", c.target, got, c.want)
		}
	}
}
