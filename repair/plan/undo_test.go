package plan

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// undoing builds the undo of a remedy of which every step was begun.
func undoing(t *testing.T, in Input, now []snapshot.Entry) (*Plan, error) {
	t.Helper()
	p, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	begun := map[int]bool{}
	for _, s := range p.Steps {
		begun[s.Seq] = true
	}
	return BuildUndo(UndoInput{Run: run2, Original: p, Begun: begun, Before: in.Entries, Now: now})
}

func without(entries []snapshot.Entry, paths ...store.RelPath) []snapshot.Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e snapshot.Entry) bool { return slices.Contains(paths, e.Path) })
}

func TestUndoPutsMessagesBackFirstAndTheIndexInReverse(t *testing.T) {
	before := dbox(file(box+"/u.1", 7), file(box+"/u.2", 8))
	u, err := undoing(t, input(store.SDBox, Clear, before), []snapshot.Entry{dir(box)})
	if err != nil {
		t.Fatal(err)
	}
	want := "put BOX/dovecot.index\nput BOX/dovecot.index.log\nput BOX/dovecot.index.log.2\nput BOX/dovecot.index.backup\nput BOX/dovecot.index.cache\nset-attr BOX"
	if got := steps(u); !strings.HasSuffix(got, want) || !strings.HasPrefix(got, "put BOX/u.") {
		t.Errorf("got\n%s", got)
	}
	temps := map[store.RelPath]bool{}
	for _, s := range u.Steps {
		if s.Op == OpPut && (s.Source != s.Path || s.SHA256 == "" || s.Mode != 0o640 || s.MTime.IsZero() || !strings.Contains(string(s.Temp), "/.dovemend-") || temps[s.Temp]) {
			t.Errorf("%+v", s)
		}
		temps[s.Temp] = true
	}
	if last := u.Steps[len(u.Steps)-1]; !last.MTime.Equal(at(0)) || last.Mode != 0o750 {
		t.Errorf("last step %+v", last)
	}
}

func TestUndoSetsAsideWhatCameSinceInADboxFolder(t *testing.T) {
	before := dbox(file(box+"/u.1", 7))
	now := []snapshot.Entry{dir(box), file(box+"/dovecot.index.log", 100), file(box+"/u.1", 101), file(box+"/u.9", 102)}
	u, err := undoing(t, input(store.SDBox, Clear, before), now)
	if err != nil {
		t.Fatal(err)
	}
	got := steps(u)
	for _, p := range []string{"dovecot.index.log", "u.1", "u.9"} {
		if !strings.Contains(got, "rename BOX/"+p+" > ASIDE/"+run2+"/BOX/"+p) {
			t.Errorf("%s is not set aside in\n%s", p, got)
		}
	}
	if !strings.Contains(strings.Join(u.Notes, "\n"), "1 file that came since") {
		t.Errorf("notes %v", u.Notes)
	}
	if !strings.Contains(strings.Join(u.Notes, "\n"), "2 files that changed since") {
		t.Errorf("the log may name new mail, and nothing tells that it is set aside: notes %v", u.Notes)
	}
	now[1].Torn = true
	if _, err := undoing(t, input(store.SDBox, Clear, before), now); !errors.Is(err, ErrNoCopy) {
		t.Errorf("torn: %v", err)
	}
	now[1] = snapshot.Entry{Path: box + "/dovecot.index.log", Type: fs.ModeSymlink}
	if _, err := undoing(t, input(store.SDBox, Clear, before), now); !errors.Is(err, ErrInTheWay) {
		t.Errorf("a link in the way: %v", err)
	}
}

func TestUndoLeavesNewMailInAMaildirAndItsFoldersTime(t *testing.T) {
	before := maildir()
	now := []snapshot.Entry{dir("."), dir("cur"), dir("new"), dir("tmp"), file("dovecot-uidlist", 99), file("new/77.M1.h", 100), file("cur/1.M1.h:2,FS", 101)}
	u, err := undoing(t, input(store.Maildir, Clear, before), now)
	if err != nil {
		t.Fatal(err)
	}
	got := steps(u)
	if strings.Contains(got, "77.M1.h") {
		t.Errorf("new mail is moved in\n%s", got)
	}
	for _, want := range []string{"rename dovecot-uidlist > ASIDE", "rename cur/1.M1.h:2,FS > ASIDE", "put cur/1.M1.h:2,S", "put new/2.M1.h", "set-attr cur", "put dovecot-uidlist"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "set-attr new") {
		t.Error("the time of new is put back, so that Dovecot would not see the new mail")
	}
	for _, s := range u.Steps {
		if s.Op == OpPut && !strings.HasPrefix(string(s.Temp), "tmp/.dovemend-") {
			t.Errorf("temporary file %s", s.Temp)
		}
	}
}

func TestUndoOfDropCacheLeavesTheOtherFilesAlone(t *testing.T) {
	before := dbox()
	now := append(without(before, box+"/dovecot.index.cache", box+"/dovecot.index.log"), file(box+"/dovecot.index.log", 500), file(box+"/dovecot.index.cache", 501))
	u, err := undoing(t, input(store.SDBox, DropCache, before), now)
	if err != nil {
		t.Fatal(err)
	}
	if got := steps(u); strings.Contains(got, "dovecot.index.log") || !strings.Contains(got, "put BOX/dovecot.index.cache") {
		t.Errorf("got\n%s", got)
	}
}

func TestUndoRenamesBackWhatWasSetAsideAndPutsWhatIsGoneThere(t *testing.T) {
	before := dbox(file(box+"/u.1", 7), file(box+"/u.2", 8))
	in := input(store.SDBox, Clear, before)
	in.Aside = true
	var now []snapshot.Entry
	for _, e := range before {
		if e.Type.IsDir() || parent(e.Path) != box {
			now = append(now, e)
			continue
		}
		e.Path = aside(run1, e.Path)
		now = append(now, e)
	}
	now = without(now, aside(run1, box+"/u.2"))
	u, err := undoing(t, in, now)
	if err != nil {
		t.Fatal(err)
	}
	got := steps(u)
	if !strings.Contains(got, "rename ASIDE/"+run1+"/BOX/u.1 > BOX/u.1") || !strings.Contains(got, "put BOX/u.2") || strings.Contains(got, "put BOX/u.1") {
		t.Errorf("got\n%s", got)
	}
}

func TestUndoOfNothingHasNoSteps(t *testing.T) {
	in := input(store.SDBox, Clear, dbox())
	p, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	u, err := BuildUndo(UndoInput{Run: run2, Original: p, Before: in.Entries, Now: in.Entries})
	if err != nil || len(u.Steps) != 0 || len(u.Notes) == 0 {
		t.Errorf("nothing begun: %v, %v", u, err)
	}
	gone := without(in.Entries, box+"/dovecot.index")
	u, err = BuildUndo(UndoInput{Run: run2, Original: p, Begun: map[int]bool{}, Before: in.Entries, Now: gone})
	if err != nil || len(u.Steps) != 0 {
		t.Errorf("none begun, and another has removed a file: %s, %v", steps(u), err)
	}
	u, err = BuildUndo(UndoInput{Run: run2, Original: p, Before: in.Entries, Now: gone})
	if err != nil || !strings.Contains(steps(u), "put BOX/dovecot.index") {
		t.Errorf("not known which were begun: %s, %v", steps(u), err)
	}
	u, err = undoing(t, in, in.Entries)
	if err != nil || len(u.Steps) != 0 {
		t.Errorf("all begun, nothing changed: %s, %v", steps(u), err)
	}
	if _, err := BuildUndo(UndoInput{Run: run1, Original: p}); err == nil {
		t.Error("an undo with the ID of the run it undoes")
	}
}

func TestUndoMakesAFolderThatIsGone(t *testing.T) {
	before := dbox()
	u, err := undoing(t, input(store.SDBox, DropIndex, before), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := steps(u)
	if !strings.HasPrefix(got, "mkdir mailboxes/INBOX\nmkdir BOX\nput BOX/") || strings.Count(got, "put") != 5 {
		t.Errorf("got\n%s", got)
	}
}

func TestTouchesNeverNamesAWholeMaildir(t *testing.T) {
	for _, r := range []Remedy{DropCache, DropIndex, Clear} {
		p, err := Build(input(store.Maildir, r, maildir(file("dovecot.index.cache", 20))))
		if err != nil {
			t.Fatal(err)
		}
		got := p.Touches()
		if slices.Contains(got, ".") || !slices.Contains(got, "dovecot.index") || slices.Contains(got, "cur") != (r == Clear) {
			t.Errorf("%s: %v", r, got)
		}
	}
}

func TestUndoOfAnIndexLeavesTheListOfMailboxesBesideItAlone(t *testing.T) {
	before := append(maildir(), file("dovecot.index", 70), file("dovecot.index.log", 71), file("dovecot.list.index", 72), file("dovecot.list.index.log", 73))
	now := append(without(before, "dovecot.index", "dovecot.list.index", "dovecot.list.index.log"), file("dovecot.list.index", 500), file("dovecot.list.index.log", 501))
	u, err := undoing(t, input(store.Maildir, DropIndex, before), now)
	if err != nil {
		t.Fatal(err)
	}
	if got := steps(u); strings.Contains(got, "dovecot.list.index") || !strings.Contains(got, "put dovecot.index") {
		t.Errorf("got\n%s", got)
	}
}
