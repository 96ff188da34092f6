//go:build unix

package repair

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dovemend/remote/remotetest/damage"
	"dovemend/remote/remotetest/demoaccount"
	"dovemend/repair/pathtext"
	"dovemend/repair/salvage"
)

// salvaged opens a mail root, writes the mailboxes of these names out, and gives the result with the messages of index.json.
func salvaged(t *testing.T, root, to string, format salvage.Format, names ...string) (*Salvaged, []salvage.Entry) {
	t.Helper()
	l, err := OpenLocal(t.Context(), root, "")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	boxes, err := l.Choose(names)
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Salvage(t.Context(), boxes, func() (*os.Root, error) { return os.OpenRoot(to) }, salvage.Options{Format: format}, Silent{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Index == "" {
		return s, nil
	}
	b, err := os.ReadFile(filepath.Join(to, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index struct{ Messages []salvage.Entry }
	if err := json.Unmarshal(b, &index); err != nil {
		t.Fatal(err)
	}
	if len(index.Messages) != s.Messages {
		t.Errorf("%d messages in the index, %d told", len(index.Messages), s.Messages)
	}
	return s, index.Messages
}

func ofClass(entries []salvage.Entry, c salvage.Class) (list []salvage.Entry) {
	for _, e := range entries {
		if e.Class == c {
			list = append(list, e)
		}
	}
	return list
}

// account lays an unbroken account of a layout, and gives its mail root.
func account(t *testing.T, layout string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "anna")
	var err error
	switch layout {
	case "mdbox":
		err = demoaccount.Unpack(root)
	case "sdbox":
		for _, name := range []string{"INBOX", "Archive"} {
			err = errors.Join(err, laySdbox(filepath.Join(root, "mailboxes", name, "dbox-Mails"), 12))
		}
	default:
		err = errors.Join(os.MkdirAll(root, 0o700), layMaildir(root))
	}
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// breakIt breaks an account; an error says that there is nothing of the kind to break. mail tells whether mail itself was changed.
func breakIt(t *testing.T, root, layout, kind string) (mail bool, err error) {
	t.Helper()
	changes, err := damage.Break(damage.Target{MailRoot: root, Layout: layout, Mailbox: "INBOX"}, kind, 1)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, c := range changes {
		dir, name := filepath.Split(c.File)
		mail = mail || strings.HasPrefix(name, "u.") || strings.HasPrefix(name, "m.") || slices.Contains([]string{"cur", "new"}, filepath.Base(dir)) || name == "cur" || name == "dbox-Mails"
	}
	return mail, err
}

// shown is the hash of a text as IMAP shows it: lines end in CR and LF, and NUL bytes are 0x80.
func shown(t *testing.T, file string) [sha256.Size]byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	return sha256.Sum256(bytes.ReplaceAll(b, []byte{0}, []byte{0x80}))
}

func TestSalvageWritesEveryMessageOfAWholeAccount(t *testing.T) {
	truth, err := demoaccount.Truth()
	if err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	s, entries := salvaged(t, account(t, "mdbox"), to, salvage.EML)
	have := map[string]salvage.Entry{}
	for _, e := range ofClass(entries, salvage.Current) {
		have[fmt.Sprint(e.Mailbox, " ", e.UID)] = e
	}
	n := 0
	for _, box := range truth.Mailboxes {
		for _, m := range box.Messages {
			n++
			e, ok := have[fmt.Sprint(box.Name, " ", m.UID)]
			if !ok {
				t.Errorf("%s: message %d is missing", box.Name, m.UID)
				continue
			}
			slices.Sort(e.Flags)
			slices.Sort(e.Keywords)
			if !slices.Equal(e.Flags, m.Flags) || !slices.Equal(e.Keywords, pathtext.Of(m.Keywords)) || e.UIDValidity != box.UIDValidity {
				t.Errorf("%s %d: %q %q, want %+v", box.Name, m.UID, e.Flags, e.Keywords, m)
			}
			if e.Received != m.Date.UTC().Format("2006-01-02T15:04:05Z") || e.VirtualSize != m.Size || shown(t, filepath.Join(to, e.File)) != m.Sum {
				t.Errorf("%s %d: %s, %d bytes, or its text is not %+v", box.Name, m.UID, e.Received, e.VirtualSize, m)
			}
		}
	}
	l := s.Ledger
	if len(have) != n || !s.Whole() || l.Lost+l.Unreadable+l.Elsewhere > 0 {
		t.Errorf("%d messages, want %d; %+v; damaged %+v", len(have), n, l, s.Incomplete)
	}
	if c := s.Classes; l.Copies == 0 || c[salvage.Expunged].Messages == 0 { // the account has messages that were copied, and others that were removed
		t.Errorf("%+v, %+v", l, c[salvage.Expunged])
	}
	t.Logf("%+v", l)
}

// TestSalvageAccountsForEveryMessageWhateverIsDamaged breaks accounts in every way there is. That what is stored and what is
// written add up is looked at by Salvage itself; here each text that was there before has to be there afterwards, unless its own
// bytes were broken.
func TestSalvageAccountsForEveryMessageWhateverIsDamaged(t *testing.T) {
	for _, layout := range []string{"mdbox", "sdbox", "maildir"} {
		before := map[string]int{}
		_, entries := salvaged(t, account(t, layout), t.TempDir(), salvage.Mbox)
		for _, e := range entries {
			before[e.SHA256]++
		}
		if len(before) < 10 {
			t.Fatalf("%s: only %d messages", layout, len(before))
		}
		tried := 0
		for _, kind := range damage.Kinds(layout) {
			t.Run(layout+"/"+kind, func(t *testing.T) {
				t.Parallel()
				root := account(t, layout)
				mail, err := breakIt(t, root, layout, kind)
				if err != nil {
					return
				}
				l, err := OpenLocal(t.Context(), root, "")
				if err != nil { // nothing is left of the account
					t.Logf("%v", err)
					return
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				to := t.TempDir()
				s, entries := salvaged(t, root, to, salvage.Mbox)
				now := map[string]bool{}
				for _, e := range entries {
					now[e.SHA256] = true
				}
				gone := 0
				for sum := range before {
					if !now[sum] {
						gone++
					}
				}
				if gone > 0 && !mail {
					t.Errorf("%d of %d texts are gone: %+v", gone, len(before), s.Ledger)
				}
				if !mail && layout != "maildir" && !s.Whole() {
					t.Errorf("only index files were damaged: %+v, %+v", s.Incomplete, s.Unread)
				}
				again, _ := salvaged(t, root, to, salvage.Mbox)
				if again.Written > 0 || again.Messages != s.Messages || again.Ledger != s.Ledger {
					t.Errorf("the second time: %d files written, %+v, want %+v", again.Written, again.Ledger, s.Ledger)
				}
			})
			tried++
		}
		if tried < 10 {
			t.Errorf("%s: %d kinds", layout, tried)
		}
	}
}
