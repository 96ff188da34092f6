package rebuild_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dovemend/repair/check"
	"dovemend/repair/dovecot"
	"dovemend/repair/large"
	"dovemend/repair/rebuild"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// TestAMendedStorageFileIsOneMessageBehindTheOther damages a file of an mdbox storage in many places. What is written in its place must be
// read from its beginning to its end, as a purge does, and tell of every message that the damage did not touch; and the new map index
// must know each message that is in it.
func TestAMendedStorageFileIsOneMessageBehindTheOther(t *testing.T) {
	dir := t.TempDir()
	boxes, err := large.Account{Layout: store.MDBox, Messages: 24, Mailboxes: 2}.Lay(dir)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "storage", "m.1")
	sound, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	was, _, err := dovecot.ParseDbox(bytes.NewReader(sound), int64(len(sound)), nil)
	if err != nil || len(was.Messages) != 24 {
		t.Fatalf("%d messages: %v", len(was.Messages), err)
	}
	rng := rand.New(rand.NewPCG(7, 8))
	mended := 0
	for round := range 1500 {
		b := bytes.Clone(sound)
		from := rng.IntN(len(b) - 1)
		if round%3 == 0 { // around where one message ends and the next begins
			from = max(int(was.Messages[rng.IntN(len(was.Messages))].Offset)-rng.IntN(200), 0)
		}
		n := min(1+rng.IntN(1<<(1+rng.IntN(13))), len(b)-from)
		for i := from; i < from+n; i++ {
			if b[i] = 0; round%2 == 0 {
				b[i] = byte(rng.Uint32())
			}
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		what := fmt.Sprintf("round %d, %d bytes at %d", round, n, from)
		file, index := rebuiltStorage(t, what, dir, boxes)
		if file == nil {
			continue
		}
		mended++
		got, _, err := dovecot.ParseDbox(bytes.NewReader(file), int64(len(file)), nil)
		if err != nil {
			t.Fatal(err)
		}
		at, offsets := got.FirstMessage, map[int64]bool{}
		texts := map[dovecot.GUID][]byte{}
		for _, m := range got.Messages {
			if m.Offset != at || m.Damage&^dovecot.DboxAltered != 0 {
				t.Fatalf("%s: a message at %d (%s), and the one before ends at %d", what, m.Offset, m.Damage, at)
			}
			at, offsets[m.Offset] = m.End, true
			texts[m.GUID] = file[m.BodyOffset:][:m.BodySize]
		}
		if at != int64(len(file)) {
			t.Fatalf("%s: messages end at %d, the file at %d", what, at, len(file))
		}
		for _, m := range was.Messages {
			touched := m.Offset < int64(from+n) && int64(from) < m.End
			if !touched && !bytes.Equal(texts[m.GUID], sound[m.BodyOffset:][:m.BodySize]) {
				t.Fatalf("%s: the message at %d to %d is not in it any more", what, m.Offset, m.End)
			}
		}
		if index == nil {
			continue
		}
		s, _ := dovecot.Replay(dovecot.Files{Index: index})
		records, _ := s.MapRecords()
		for _, r := range records {
			if !offsets[int64(r.Offset)] {
				t.Fatalf("%s: the map index tells of a message at %d", what, r.Offset)
			}
			delete(offsets, int64(r.Offset))
		}
		if len(offsets) > 0 {
			t.Fatalf("%s: the map index does not tell of %v", what, offsets)
		}
	}
	if mended < 500 {
		t.Errorf("only %d files were mended", mended)
	}
}

// rebuiltStorage gives the new m.1 and map index of a rebuild; nil where none is written.
func rebuiltStorage(t *testing.T, what, dir string, boxes []store.Mailbox) (file, index []byte) {
	t.Helper()
	fsys := os.DirFS(dir)
	acct, err := reconstruct.Read(t.Context(), fsys, store.Account{Layout: store.MDBox, Tree: true, Mailboxes: boxes}, boxes)
	if err != nil {
		t.Fatal(err)
	}
	reports, err := check.All(t.Context(), fsys, acct)
	if err != nil {
		t.Fatal(err)
	}
	out := memory{}
	w, err := rebuild.Build(t.Context(), rebuild.Input{FS: fsys, Account: acct, Reports: reports, Shared: check.Account(fsys, acct), Now: time.Unix(1700000000, 0), Out: out})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	for _, x := range w.Boxes {
		if x.How == rebuild.ByFlag {
			t.Fatalf("%s: not proven: %q", what, w.Notes)
		}
	}
	for _, p := range w.Put {
		switch p.Path {
		case "storage/m.1":
			file = out[p.Source].Bytes()
		case reconstruct.MapFile:
			index = out[p.Source].Bytes()
		}
	}
	return file, index
}
