package repair

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"dovemend/remote/remotetest/demoaccount"
	"dovemend/repair/restore"
	"dovemend/repair/salvage"
	"dovemend/repair/store"
)

// TestACopyHandsOutWhatSalvageWrites: every message once, with the class it has, from a copy that another tool has made.
func TestACopyHandsOutWhatSalvageWrites(t *testing.T) {
	dir := t.TempDir()
	if err := demoaccount.Unpack(dir); err != nil {
		t.Fatal(err)
	}
	l, err := OpenLocal(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out := t.TempDir()
	s, err := l.Salvage(t.Context(), l.Account.Mailboxes, func() (*os.Root, error) { return os.OpenRoot(out) }, salvage.Options{Format: salvage.EML}, Silent{})
	if err != nil {
		t.Fatal(err)
	}
	every := restore.Filter{Classes: []salvage.Class{salvage.Current, salvage.Expunged, salvage.Orphan, salvage.Damaged}}
	sums := map[string]map[string]int{}
	for _, from := range []string{dir, out} {
		src := RestoreSource{Path: from}
		if err := src.Open(t.Context(), t.TempDir()); err != nil {
			t.Fatal(err)
		}
		items, err := restore.Gather(t.Context(), src.messages, every, Silent{})
		if err != nil {
			t.Fatal(err)
		}
		if err := src.Close(); err != nil {
			t.Fatal(err)
		}
		counts, all := map[salvage.Class]int{}, map[string]int{}
		for _, x := range items {
			if x.Status != restore.Pending && x.Status != restore.Unreadable {
				t.Errorf("%s: %s is %s: %s", src.Kind, x.File, x.Status, x.Why)
			}
			counts[x.Class]++
			all[x.Mailbox+" "+x.SHA256]++
		}
		for class, want := range s.Classes {
			if counts[class] != want.Messages-want.Unreadable {
				t.Errorf("%s: %d are %s, salvage has %d", src.Kind, counts[class], class, want.Messages)
			}
		}
		sums[from] = all
	}
	for text, n := range sums[dir] {
		if sums[out][text] != n {
			t.Errorf("%s: %d times in the copy, %d times in what salvage wrote", text, n, sums[out][text])
		}
	}
}

func TestASourceThatIsNoMailIsTold(t *testing.T) {
	name := filepath.Join(t.TempDir(), "photo.jpg")
	if err := os.WriteFile(name, []byte("\xff\xd8"), 0o600); err != nil {
		t.Fatal(err)
	}
	src := RestoreSource{Path: name}
	var none *salvage.NoMailError
	if err := src.Open(t.Context(), t.TempDir()); !errors.As(err, &none) {
		t.Errorf("got %v", err)
	}
}

func TestARestoreIsGoneOnWithOnlyByTheSameRequest(t *testing.T) {
	eml := filepath.Join(t.TempDir(), "a.eml")
	if err := os.WriteFile(eml, []byte("Subject: x\n\nx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{StateDir: filepath.Join(t.TempDir(), "state"), Log: slog.New(slog.DiscardHandler)}
	o.IMAP.Addr, o.IMAP.User = "mail.example.org:993", "a@example.org"
	s := WithoutHost(o, nil)
	req := RestoreOptions{Source: RestoreSource{Path: eml}, Mailbox: "Back"}
	begin := func(o RestoreOptions) (string, error) {
		r, err := s.NewRestore(t.Context(), store.Account{Address: s.o.IMAP.User}, o)
		if err != nil {
			return "", err
		}
		defer r.Close()
		return r.ID(), r.stage("applying")
	}
	first, err := begin(req)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := begin(req); err != nil || again != first {
		t.Errorf("the same again: run %s, %v; the first was %s", again, err, first)
	}
	other := req
	other.All = true
	var unfinished *UnfinishedError
	if _, err := begin(other); !errors.As(err, &unfinished) || unfinished.Run != first {
		t.Errorf("another request: %v", err)
	}
	other = req
	other.Mailbox = "Elsewhere"
	if id, err := begin(other); err != nil || id == first {
		t.Errorf("another mailbox: run %s, %v", id, err)
	}
	s.o.IMAP.User = "b@example.org"
	if id, err := begin(req); err != nil || id == first {
		t.Errorf("another login: run %s, %v", id, err)
	}
}
