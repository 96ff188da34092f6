package store

import (
	"context"
	"io/fs"
	"os"
	"slices"
	"testing"
	"testing/fstest"
)

func TestOwnFilesNamesNothingOfOtherMailboxes(t *testing.T) {
	fsys := tree(
		"d/x/mailboxes/A/dbox-Mails/u.1", "d/x/mailboxes/A/dbox-Mails/dovecot.index", "d/x/mailboxes/A/dbox-Mails/odd/u.9", "d/x/mailboxes/A/B/dbox-Mails/u.2",
		"d/x/mailboxes/A/dbox-Mails/link -> u.1", "d/x/subscriptions",
		"m/cur/1:2,S", "m/new/2", "m/tmp/3", "m/dovecot.index", "m/dovecot.index.log.2", "m/dovecot.index.cache", "m/dovecot-uidlist", "m/dovecot-uidlist.lock", "m/dovecot-keywords",
		"m/subscriptions", "m/dovecot-uidvalidity", "m/dovecot-uidvalidity.4f3a", "m/dovecot.list.index", "m/dovecot.list.index.log", "m/dovecot.mailbox.log", "m/maildirfolder",
		"m/.A/cur/4", "m/.A/dovecot-uidlist", "m/.A/maildirfolder", "m/.A/new/", "m/.A.B/cur/5", "m/.A.B/new/",
	)
	for _, tt := range []struct {
		root    HostPath
		mailbox string
		want    []RelPath
	}{
		{"/d/x", "A", []RelPath{"mailboxes/A/dbox-Mails/dovecot.index", "mailboxes/A/dbox-Mails/link", "mailboxes/A/dbox-Mails/u.1"}},
		{"/d/x", "A/B", []RelPath{"mailboxes/A/B/dbox-Mails/u.2"}},
		{"/m", "INBOX", []RelPath{"cur/1:2,S", "dovecot-keywords", "dovecot-uidlist", "dovecot-uidlist.lock", "dovecot.index", "dovecot.index.cache", "dovecot.index.log.2", "new/2", "tmp/3"}},
		{"/m", "A", []RelPath{".A/cur/4", ".A/dovecot-uidlist"}},
	} {
		a, err := At(context.Background(), fsys, tt.root)
		if err != nil {
			t.Fatal(err)
		}
		m, err := a.Mailbox(tt.mailbox)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.OwnFiles(context.Background(), fsys, m); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s %s: %q, %v; want %q", tt.root, tt.mailbox, got, err, tt.want)
		}
	}
	a, _ := At(context.Background(), fsys, "/m")
	for _, want := range []RelPath{"subscriptions", "dovecot-uidvalidity.4f3a", "dovecot.list.index.log", "dovecot.mailbox.log"} {
		if !slices.Contains(a.Shared(), want) {
			t.Errorf("shared files lack %q: %q", want, a.Shared())
		}
	}
	if slices.Contains(a.Shared(), "storage") || !slices.Contains(Account{Layout: MDBox}.Shared(), "storage") {
		t.Error("storage is shared in mdbox alone")
	}
}

func TestMeasureCountsMessagesAndBytes(t *testing.T) {
	fsys := tree("s/x/mailboxes/INBOX/dbox-Mails/dovecot.index.cache", "s/x/mailboxes/A/dbox-Mails/x", "m/cur/.hidden", "m/dovecot-uidlist", "m/.A/new/", "m/.A/cur/", "m/tmp/1", "m/dovemend-aside/r/cur/9")
	file := func(name string, n int) { fsys[name] = &fstest.MapFile{Data: make([]byte, n), Mode: 0o600} }
	file("s/x/mailboxes/INBOX/dbox-Mails/u.1", 100)
	file("s/x/mailboxes/INBOX/dbox-Mails/u.20", 11)
	file("m/cur/1:2,S", 7)
	file("m/new/2", 5)
	file("m/.A/cur/3", 2)
	for _, tt := range []struct {
		root  HostPath
		boxes []Size
		all   Size
	}{
		{"/s/x", []Size{{2, 111 + 19}, {0, 1}}, Size{2, 131}},
		{"/m", []Size{{2, 12 + 7 + 15}, {1, 2}}, Size{3, 12 + 7 + 15 + 2 + 1}},
	} {
		a, err := At(context.Background(), fsys, tt.root)
		if err != nil {
			t.Fatal(err)
		}
		boxes, all, err := Measure(context.Background(), fsys, a)
		if err != nil || !slices.Equal(boxes, tt.boxes) || all != tt.all {
			t.Errorf("%s: %v %v %v; want %v %v", tt.root, boxes, all, err, tt.boxes, tt.all)
		}
	}
}

func TestMeasureDoesNotInventWhatNothingTells(t *testing.T) {
	fsys := tree("x/mailboxes/INBOX/dbox-Mails/", "x/storage/m.1")
	a, err := At(context.Background(), fsys, "/x")
	if err != nil {
		t.Fatal(err)
	}
	boxes, all, err := Measure(context.Background(), fsys, a)
	if err != nil || !slices.Equal(boxes, []Size{{-1, -1}}) || all != (Size{-1, 3}) {
		t.Errorf("%v %v %v", boxes, all, err)
	}
}

// FuzzSearch has no fixed answer: it must end, and name no account outside of what was searched.
func FuzzSearch(f *testing.F) {
	f.Add("home/u/mail/cur/\nhome/u/mail/new/\nhome/u/l -> ..\n")
	f.Add("home/u/mailboxes/INBOX/dbox-Mails/u.1\nhome/u/mail -> mail\n")
	f.Fuzz(func(t *testing.T, text string) {
		m := fstest.MapFS{"home/u": &fstest.MapFile{Mode: fs.ModeDir | 0o700}}
		for i, line := range splitLines(text) {
			if i > 50 {
				break
			}
			for name, file := range tree(line) {
				if fs.ValidPath(name) && name != "." && len(name) < 300 {
					m[name] = file
				}
			}
		}
		found, err := Search(context.Background(), m, []HostPath{"/home/u"})
		if err != nil && !os.IsNotExist(err) {
			return
		}
		seen := map[HostPath]bool{}
		for _, a := range found.Accounts {
			if seen[a.Root] {
				t.Errorf("%q twice", a.Root)
			}
			seen[a.Root] = true
		}
	})
}

func splitLines(s string) []string {
	var out []string
	for len(s) > 0 {
		i := 0
		for i < len(s) && s[i] != '\n' {
			i++
		}
		out = append(out, s[:i])
		s = s[min(i+1, len(s)):]
	}
	return out
}
