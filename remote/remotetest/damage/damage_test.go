package damage

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree makes files of the names that a layout has, with bytes that mean nothing.
func tree(t *testing.T, layout string) Target {
	t.Helper()
	target := Target{MailRoot: filepath.Join(t.TempDir(), "[web] mail"), Layout: layout}
	names := []string{index, log, log2, cache}
	switch layout {
	case "mdbox":
		names = append(names, back, "../../../storage/m.1", "../../../storage/"+mapIx, "../../../storage/"+mapIx+".log")
	case "sdbox":
		names = append(names, back, "u.1", "u.2")
	case "maildir":
		names = append(names, list, "cur/1.host:2,S", "new/2.host")
	}
	for i, name := range names {
		p := filepath.Join(target.Folder(), name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(strings.Repeat(fmt.Sprint(i, "+"), 3000)), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return target
}

// sums hashes a tree by relative names; a huge file by its length.
func sums(t *testing.T, root string) map[string]string {
	t.Helper()
	m := make(map[string]string)
	err := filepath.WalkDir(root, func(p string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		st, err := e.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		m[rel] = fmt.Sprint(st.Size(), st.Mode())
		if st.Size() < 1<<20 && st.Mode()&0o400 != 0 {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			m[rel] += fmt.Sprintf("%x", sha256.Sum256(b))
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
		for _, kind := range Kinds(layout) {
			t.Run(layout+"/"+kind, func(t *testing.T) {
				a, b := tree(t, layout), tree(t, layout)
				before := sums(t, a.MailRoot)
				files, err := Do(a, kind, 5)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := Do(b, kind, 5); err != nil {
					t.Fatal(err)
				}
				after, twin := sums(t, a.MailRoot), sums(t, b.MailRoot)
				var changed []string
				for name, was := range before {
					if after[name] != was {
						changed = append(changed, filepath.Join(a.MailRoot, name))
					}
					if after[name] != twin[name] {
						t.Errorf("%s differs between two damages of one seed", name)
					}
				}
				slices.Sort(changed)
				slices.Sort(files)
				if len(after) > len(before) || !slices.Equal(changed, files) {
					t.Errorf("changed %q, told %q", changed, files)
				}
				if Text(kind) == "" {
					t.Error("no words for it")
				}
			})
		}
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
		if files, err := Do(target, kind, 1); err == nil {
			t.Errorf("%q of a mailbox without files changed %q", kind, files)
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
