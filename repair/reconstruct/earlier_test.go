package reconstruct_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dovemend/repair/dovecot"
	"dovemend/repair/large"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// kept is an account, and a copy of it that was made earlier.
type kept struct {
	store.Account
	now, then string
	was       []string // what the sound account tells
}

func keep(t *testing.T, layout store.Layout) *kept {
	t.Helper()
	k := &kept{now: t.TempDir(), then: t.TempDir()}
	for _, dir := range []string{k.now, k.then} {
		boxes, err := large.Account{Layout: layout, Messages: 60, Mailboxes: 2}.Lay(dir)
		if err != nil {
			t.Fatal(err)
		}
		k.Account = store.Account{Layout: layout, Mailboxes: boxes}
	}
	k.was = k.tells(t, k.read(t, nil))
	return k
}

// copies are the earlier copies, the last one first.
func (k *kept) copies(dirs ...string) reconstruct.Earlier {
	return func(yield func(reconstruct.Copy) bool) {
		for i, dir := range dirs {
			if !yield(reconstruct.Copy{ID: fmt.Sprint("run", i), Taken: time.Unix(large.Made, 0), FS: os.DirFS(dir)}) {
				return
			}
		}
	}
}

func (k *kept) read(t *testing.T, earlier reconstruct.Earlier) *reconstruct.Account {
	t.Helper()
	acct, err := reconstruct.ReadHealed(t.Context(), os.DirFS(k.now), k.Account, k.Mailboxes, earlier)
	if err != nil {
		t.Fatal(err)
	}
	return acct
}

// tells is all that is known of the account, a line for each message, with the sum of its text.
func (k *kept) tells(t *testing.T, acct *reconstruct.Account) (lines []string) {
	t.Helper()
	texts := acct.Texts(os.DirFS(k.now))
	for _, s := range acct.Boxes {
		lines = append(lines, fmt.Sprint(s.Mailbox.Name, s.UIDValidity))
		for i := range s.Messages {
			m := &s.Messages[i]
			if !s.Belongs(m) || !m.Body.Whole() {
				lines = append(lines, fmt.Sprint(m.UID, " is not there"))
				continue
			}
			f, err := texts.Open(string(m.Body.File))
			if err != nil {
				t.Fatal(err)
			}
			all, err := io.ReadAll(f)
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
			end := int64(len(all))
			if m.Body.Size >= 0 {
				end = m.Body.Offset + m.Body.Size
			}
			lines = append(lines, fmt.Sprint(m.UID, m.Flags, m.Keywords, m.Received.Unix(), sha256.Sum256(all[m.Body.Offset:end])))
		}
	}
	return lines
}

// edit changes files of the account that fit a pattern, or removes them.
func (k *kept) edit(t *testing.T, pattern string, change func(b []byte) []byte) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(k.now, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v", pattern, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if b = change(b); b == nil {
			err = os.Remove(name)
		} else if err = os.WriteFile(name, b, 0o600); err == nil {
			err = os.Chtimes(name, info.ModTime(), info.ModTime())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func removed([]byte) []byte { return nil }
func emptied([]byte) []byte { return []byte{} }
func half(b []byte) []byte  { return b[:len(b)/2] }
func noise(b []byte) []byte {
	b = bytes.Clone(b)
	for i := len(b) / 4; i < len(b)/4+40; i++ {
		b[i] ^= byte(37*i + 5)
	}
	return b
}

// TestAnEarlierCopyTellsWhatIsLost damages an account in many ways. Each loses something; with the earlier copy nothing is lost.
func TestAnEarlierCopyTellsWhatIsLost(t *testing.T) {
	const inbox = "mailboxes/INBOX/dbox-Mails/"
	for _, c := range []struct {
		layout  store.Layout
		pattern string
		change  func(b []byte) []byte
		texts   bool // messages' texts are lost
	}{
		{store.MDBox, inbox + "dovecot.index*", removed, false},
		{store.MDBox, inbox + "dovecot.index*", emptied, false},
		{store.MDBox, "mailboxes/*/dbox-Mails/dovecot.index*", removed, false},
		{store.MDBox, inbox + "dovecot.index", half, false},
		{store.MDBox, "storage/m.1", removed, true},
		{store.MDBox, "storage/m.1", half, true},
		{store.MDBox, "storage/m.1", emptied, true},
		{store.SDBox, inbox + "dovecot.index*", removed, false},
		{store.SDBox, inbox + "dovecot.index", half, false},
		{store.SDBox, inbox + "u.1[0-9]", half, true},
		{store.SDBox, inbox + "u.1[0-9]", emptied, true},
		{store.SDBox, inbox + "u.1[0-9]", removed, true},
		{store.SDBox, inbox + "u.7", func(b []byte) []byte { return make([]byte, len(b)) }, true},
		{store.Maildir, "dovecot-uidlist", removed, false},
		{store.Maildir, "dovecot-uidlist", half, false},
		{store.Maildir, "dovecot-uidlist", emptied, false},
		{store.Maildir, "dovecot-keywords", removed, false},
		{store.Maildir, "cur/*", half, true},
		{store.Maildir, "cur/*", emptied, true},
	} {
		t.Run(strings.ReplaceAll(fmt.Sprint(c.layout, " ", c.pattern), "/", "_"), func(t *testing.T) {
			k := keep(t, c.layout)
			k.edit(t, c.pattern, c.change)
			if c.layout == store.Maildir && !c.texts { // its index tells most of it, too
				k.edit(t, "dovecot.index*", removed)
			}
			if alone := k.tells(t, k.read(t, nil)); slices.Equal(alone, k.was) {
				t.Fatal("nothing was lost")
			}
			acct := k.read(t, k.copies(t.TempDir(), k.then))
			if got := k.tells(t, acct); !slices.Equal(got, k.was) {
				for i := range min(len(got), len(k.was)) {
					if got[i] != k.was[i] {
						t.Fatalf("line %d of %d and %d:\n%s\n%s", i, len(got), len(k.was), got[i], k.was[i])
					}
				}
				t.Fatalf("%d lines, want %d", len(got), len(k.was))
			}
			if told := len(acct.Healed()) > 0; told != c.texts {
				t.Errorf("texts are told to come from a copy: %v", told)
			}
			for _, s := range acct.Boxes {
				for i := range s.Messages {
					if m := &s.Messages[i]; m.Body.Healed && !s.Breaks(m) {
						t.Errorf("message %d is on the host as it should be", m.UID)
					}
				}
			}
		})
	}
}

// TestADamagedCopyTellsNothing: what an earlier copy has lost itself is looked for in the one before.
func TestADamagedCopyTellsNothing(t *testing.T) {
	k := keep(t, store.SDBox)
	bad := t.TempDir()
	if _, err := (large.Account{Layout: store.SDBox, Messages: 60, Mailboxes: 2}).Lay(bad); err != nil {
		t.Fatal(err)
	}
	now := k.now
	k.now = bad
	k.edit(t, "mailboxes/INBOX/dbox-Mails/dovecot.index", noise)
	k.edit(t, "mailboxes/INBOX/dbox-Mails/u.5", half)
	k.now = now
	k.edit(t, "mailboxes/INBOX/dbox-Mails/dovecot.index*", removed)
	k.edit(t, "mailboxes/INBOX/dbox-Mails/u.5", half)
	if got := k.tells(t, k.read(t, k.copies(bad))); slices.Equal(got, k.was) {
		t.Fatal("a damaged copy told everything")
	}
	acct := k.read(t, k.copies(bad, k.then))
	if got := k.tells(t, acct); !slices.Equal(got, k.was) {
		t.Errorf("%q", got)
	}
	if r := acct.Boxes[0].Recalled; r == nil || r.ID != "run1" {
		t.Errorf("recalled by %+v", r)
	}
}

// TestAnEarlierCopyChangesNothingOfWhatIsSound: mail that has come since, and changes, stay.
func TestAnEarlierCopyChangesNothingOfWhatIsSound(t *testing.T) {
	for _, layout := range []store.Layout{store.MDBox, store.SDBox, store.Maildir} {
		k := keep(t, layout)
		old := t.TempDir()
		if _, err := (large.Account{Layout: layout, Messages: 20, Mailboxes: 2}).Lay(old); err != nil {
			t.Fatal(err)
		}
		acct := k.read(t, k.copies(old))
		if got := k.tells(t, acct); !slices.Equal(got, k.was) || len(acct.Healed()) > 0 {
			t.Errorf("%s: %d lines, want %d; %d files", layout, len(got), len(k.was), len(acct.Healed()))
		}
		for _, s := range acct.Boxes {
			if s.Recalled != nil {
				t.Errorf("%s: %+v", layout, s.Recalled)
			}
		}
	}
}

// summed is a copy that knows the sums its files had.
type summed struct {
	fs.FS
	sum string
}

type sumInfo struct {
	fs.FileInfo
	sum string
}

func (i sumInfo) SHA256() string { return i.sum }

func (s summed) Stat(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(s.FS, name)
	return sumInfo{info, s.sum}, err
}

// TestACopyThatHasRottedPutsNothingBack: a file of an earlier copy must still be what was copied.
func TestACopyThatHasRottedPutsNothingBack(t *testing.T) {
	k := keep(t, store.SDBox)
	const name = "mailboxes/INBOX/dbox-Mails/u.5"
	b, err := os.ReadFile(filepath.Join(k.then, name))
	if err != nil {
		t.Fatal(err)
	}
	k.edit(t, name, half)
	for sum, want := range map[string]int{fmt.Sprintf("%x", sha256.Sum256(b)): 1, fmt.Sprintf("%x", sha256.Sum256(nil)): 0} {
		acct := k.read(t, func(yield func(reconstruct.Copy) bool) {
			yield(reconstruct.Copy{ID: "run", FS: summed{os.DirFS(k.then), sum}})
		})
		if got := len(acct.Healed()); got != want {
			t.Errorf("%d files come from the copy, want %d", got, want)
		}
	}
}

// TestAMessageThatSomebodyHasEditedStays: a Maildir's message that has become longer than its name says was not damaged by accident.
func TestAMessageThatSomebodyHasEditedStays(t *testing.T) {
	k := keep(t, store.Maildir)
	k.edit(t, "cur/*", func(b []byte) []byte { return append(b, "edited\n"...) })
	if list := k.read(t, k.copies(k.then)).Healed(); len(list) > 0 {
		t.Errorf("%d messages are put back as they were", len(list))
	}
}

// TestAFileThatAPurgeMayHaveRemovedStaysAway: where the map index is damaged it may be old, and tell of files that are gone for good.
func TestAFileThatAPurgeMayHaveRemovedStaysAway(t *testing.T) {
	k := keep(t, store.MDBox)
	k.edit(t, "storage/m.1", removed)
	k.edit(t, "storage/dovecot.map.index", half)
	if list := k.read(t, k.copies(k.then)).Healed(); len(list) > 0 {
		t.Errorf("%s is put back", list[0].File)
	}
}

// TestAnEmptiedFolderIsFilledAgain: somebody has removed all that was in it, which no mail program does.
func TestAnEmptiedFolderIsFilledAgain(t *testing.T) {
	k := keep(t, store.SDBox)
	k.edit(t, "mailboxes/INBOX/dbox-Mails/*", removed)
	acct := k.read(t, k.copies(k.then))
	if got := k.tells(t, acct); !slices.Equal(got, k.was) {
		t.Errorf("%d lines, want %d", len(got), len(k.was))
	}
	// Some files are left: the others may have been deleted, and stay away.
	k = keep(t, store.SDBox)
	k.edit(t, "mailboxes/INBOX/dbox-Mails/dovecot.index*", removed)
	k.edit(t, "mailboxes/INBOX/dbox-Mails/u.1*", removed)
	if list := k.read(t, k.copies(k.then)).Healed(); len(list) > 0 {
		t.Errorf("%d deleted messages come back", len(list))
	}
}

// TestACopyIsNamedWhereMessagesAreLost and cannot be put back as they were.
func TestACopyIsNamedWhereMessagesAreLost(t *testing.T) {
	k := keep(t, store.Maildir)
	k.edit(t, "cur/*", removed)
	for _, sub := range []string{"cur", "new"} {
		if err := os.Remove(filepath.Join(k.now, sub)); err != nil {
			t.Fatal(err)
		}
	}
	s := k.read(t, k.copies(t.TempDir(), k.then)).Boxes[0]
	if s.Kept == nil || s.Kept.ID != "run1" || s.Kept.Messages != 30 {
		t.Errorf("%+v", s.Kept)
	}
	if s := keep(t, store.Maildir).read(t, k.copies(k.then)).Boxes[0]; s.Kept != nil {
		t.Errorf("nothing is lost: %+v", s.Kept)
	}
}

// TestNamesOfFilesAreNewerThanACopy: in a Maildir the index of an earlier copy may say that it is ahead of the names; it no longer is.
func TestNamesOfFilesAreNewerThanACopy(t *testing.T) {
	k := keep(t, store.Maildir)
	b, err := os.ReadFile(filepath.Join(k.then, "dovecot.index"))
	if err != nil {
		t.Fatal(err)
	}
	x, faults := dovecot.ParseIndex(b)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	at := int(x.Header.HeaderSize)
	for i := range x.Records {
		b[at+i*int(x.Header.RecordSize)+4] |= byte(dovecot.FlagDirty | dovecot.FlagAnswered)
	}
	if err := os.WriteFile(filepath.Join(k.then, "dovecot.index"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	k.edit(t, "dovecot.index*", removed)
	k.edit(t, "dovecot-uidlist", removed)
	if got := k.tells(t, k.read(t, k.copies(k.then))); !slices.Equal(got, k.was) {
		t.Errorf("flags are those of the copy: %q", got[:2])
	}
}

// TestNoiseIsNotAheadOfNames: records of a Maildir's index that may be noise do not say that they are ahead of the names.
func TestNoiseIsNotAheadOfNames(t *testing.T) {
	k := keep(t, store.Maildir)
	k.edit(t, "dovecot.index", func(b []byte) []byte {
		x, _ := dovecot.ParseIndex(b)
		for i, uid := range map[int]byte{10: 12, 11: 11} { // each has the other's UID, and flags have been set
			copy(b[x.Records[i].Offset:], []byte{uid, 0, 0, 0, byte(dovecot.FlagDirty | dovecot.FlagAnswered)})
		}
		return b
	})
	if got := k.tells(t, k.read(t, nil)); !slices.Equal(got, k.was) {
		t.Errorf("%q", got)
	}
}

// TestNoiseIsNoMailElsewhere: a record of a damaged index whose file is gone is not in an alternative storage where the account has none.
func TestNoiseIsNoMailElsewhere(t *testing.T) {
	for _, linked := range []bool{false, true} {
		k := keep(t, store.SDBox)
		const folder = "mailboxes/INBOX/dbox-Mails/"
		k.edit(t, folder+"u.7", removed)
		k.edit(t, folder+"dovecot.index", func(b []byte) []byte {
			x, _ := dovecot.ParseIndex(b)
			b[x.Records[6].Offset+4] |= byte(dovecot.FlagBackend)
			return b[:len(b)-5] // its last record is cut
		})
		if linked {
			if err := os.Symlink("/elsewhere", filepath.Join(k.now, reconstruct.AltLink)); err != nil {
				t.Fatal(err)
			}
		}
		there := false
		s := k.read(t, nil).Boxes[0]
		for i := range s.Messages {
			there = there || s.Messages[i].UID == 7 && s.Belongs(&s.Messages[i])
		}
		if there != linked {
			t.Errorf("with an alternative storage %v: it is told as mail: %v", linked, there)
		}
	}
}
