package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

// tree makes a file system of paths: "a/" is a directory, "a -> b" a symbolic link, "a" a file holding its own name.
func tree(lines ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for _, l := range lines {
		name, target, link := strings.Cut(l, " -> ")
		switch {
		case link:
			m[name] = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
		case strings.HasSuffix(l, "/"):
			m[strings.TrimSuffix(l, "/")] = &fstest.MapFile{Mode: fs.ModeDir | 0o700}
		default:
			m[l] = &fstest.MapFile{Data: []byte(path.Base(l)), Mode: 0o600}
		}
	}
	return m
}

func show(accounts []Account) []string {
	var out []string
	for _, a := range accounts {
		var names []string
		for _, m := range a.Mailboxes {
			names = append(names, fmt.Sprintf("%s=%s", m.Name, m.Dir))
		}
		layout := string(a.Layout)
		if a.FSLayout {
			layout += "/fs"
		}
		out = append(out, fmt.Sprintf("%s %s %s tree=%t %s", a.Address, a.Root, layout, a.Tree, strings.Join(names, " ")))
	}
	return out
}

func TestFindRecognisesEachLayout(t *testing.T) {
	for _, tt := range []struct {
		name string
		tree []string
		from []HostPath
		want []string
	}{
		{
			name: "mdbox of the founding case, outside the home",
			tree: []string{
				"home/u/", "userdata01/u/mail/example.org/anna/mailboxes/INBOX/dbox-Mails/dovecot.index",
				"userdata01/u/mail/example.org/anna/mailboxes/Archive/2020/dbox-Mails/dovecot.index",
				"userdata01/u/mail/example.org/anna/mailboxes/Entw&APw-rfe/dbox-Mails/dovecot.index",
				"userdata01/u/mail/example.org/anna/storage/m.1", "userdata01/u/mail/example.org/anna/storage/dovecot.map.index",
			},
			from: Places("/home/u", "u"),
			want: []string{"anna@example.org /userdata01/u/mail/example.org/anna mdbox tree=true INBOX=mailboxes/INBOX/dbox-Mails Archive/2020=mailboxes/Archive/2020/dbox-Mails Entwürfe=mailboxes/Entw&APw-rfe/dbox-Mails"},
		},
		{
			name: "sdbox",
			tree: []string{"home/u/mail/example.org/bob/mailboxes/INBOX/dbox-Mails/u.1", "home/u/mail/example.org/bob/dovecot-uidvalidity"},
			from: []HostPath{"/home/u"},
			want: []string{"bob@example.org /home/u/mail/example.org/bob sdbox tree=true INBOX=mailboxes/INBOX/dbox-Mails"},
		},
		{
			name: "an emptied dbox folder is told by the extension in its index",
			tree: []string{"home/u/mdbox/mailboxes/INBOX/dbox-Mails/dovecot.index", "home/u/mdbox/mailboxes/INBOX/dbox-Mails/mdbox-hdr"},
			from: []HostPath{"/home/u"},
			want: []string{" /home/u/mdbox sdbox tree=true INBOX=mailboxes/INBOX/dbox-Mails"},
		},
		{
			name: "an mdbox whose storage was emptied",
			tree: []string{"home/u/mdbox/mailboxes/INBOX/dbox-Mails/dovecot.index.cache", "home/u/mdbox/storage/"},
			from: []HostPath{"/home/u"},
			want: []string{" /home/u/mdbox mdbox tree=true INBOX=mailboxes/INBOX/dbox-Mails"},
		},
		{
			name: "a tree of mdbox in which every folder is gone",
			tree: []string{"home/u/mail/example.org/a/mailboxes/", "home/u/mail/example.org/a/storage/m.7"},
			from: []HostPath{"/home/u"},
			want: []string{"a@example.org /home/u/mail/example.org/a mdbox tree=true "},
		},
		{
			name: "Maildir++",
			tree: []string{"home/u/Maildir/cur/", "home/u/Maildir/new/", "home/u/Maildir/tmp/", "home/u/Maildir/.A.B/cur/", "home/u/Maildir/.A.B/new/", "home/u/Maildir/.A.B/tmp/",
				"home/u/Maildir/.J&AOQ-nner/maildirfolder", "home/u/Maildir/..DOVECOT-TRASHED/cur/", "home/u/Maildir/.hidden/stuff"},
			from: []HostPath{"/home/u"},
			want: []string{" /home/u/Maildir maildir tree=false INBOX=. A/B=.A.B Jänner=.J&AOQ-nner"},
		},
		{
			name: "Maildir with LAYOUT=fs",
			tree: []string{"home/u/Maildir/cur/", "home/u/Maildir/new/", "home/u/Maildir/Work/2020/cur/", "home/u/Maildir/Work/2020/new/", "home/u/Maildir/Sent/cur/", "home/u/Maildir/Sent/tmp/"},
			from: []HostPath{"/home/u"},
			want: []string{" /home/u/Maildir maildir/fs tree=false INBOX=. Sent=Sent Work/2020=Work/2020"},
		},
		{
			name: "accounts beside a Maildir that is the mail directory itself",
			tree: []string{"home/u/mail/cur/", "home/u/mail/new/", "home/u/mail/.Sent/cur/", "home/u/mail/example.org/anna/cur/", "home/u/mail/example.org/anna/new/", "home/u/mail/example.org/anna/.Sent/cur/"},
			from: []HostPath{"/home/u"},
			want: []string{" /home/u/mail maildir tree=false INBOX=. Sent=.Sent", "anna@example.org /home/u/mail/example.org/anna maildir tree=false INBOX=. Sent=.Sent"},
		},
		{
			name: "a home that is a link, a mail directory that is one, and links in a circle",
			tree: []string{"home/u -> ../data/7/u", "data/7/u/mail -> ../../8/mail", "data/8/mail/example.org/a/mailboxes/INBOX/dbox-Mails/u.1",
				"data/8/mail/example.org/mail -> .", "data/8/mail/loop.mail -> loop2.mail", "data/8/mail/loop2.mail -> loop.mail", "data/8/mail/example.net -> example.org"},
			from: []HostPath{"/home/u", "/data/7/u"},
			want: []string{"a@example.org /data/8/mail/example.org/a sdbox tree=true INBOX=mailboxes/INBOX/dbox-Mails"},
		},
		{
			name: "an account reached by two ways is found once, with the address its path tells",
			tree: []string{"home/u/mail/example.org/a -> ../../../../pool/0001", "home/u/mail/example.org/b -> a", "pool/0001/mailboxes/INBOX/dbox-Mails/u.4"},
			from: []HostPath{"/home/u"},
			want: []string{"a@example.org /pool/0001 sdbox tree=true INBOX=mailboxes/INBOX/dbox-Mails"},
		},
		{
			name: "directories of other things",
			tree: []string{"home/u/src/mailboxes/README", "home/u/.git/mail/cur/", "home/u/.git/mail/new/", "home/u/node_modules/x/cur/", "home/u/node_modules/x/new/", "home/u/Maildir/cur/x"},
			from: []HostPath{"/home/u"},
			want: nil,
		},
		{
			name: "what was set aside is no mailbox",
			tree: []string{"home/u/Maildir/cur/", "home/u/Maildir/new/", "home/u/Maildir/dovemend-aside/r1/cur/", "home/u/Maildir/dovemend-aside/r1/new/"},
			from: []HostPath{"/home/u"},
			want: []string{" /home/u/Maildir maildir tree=false INBOX=."},
		},
		{
			name: "names that would be shown alike are shown as stored",
			tree: []string{"m/x/mailboxes/A&-B/dbox-Mails/u.1", "m/x/mailboxes/A&B/dbox-Mails/u.1"},
			from: []HostPath{"/m"},
			want: []string{" /m/x sdbox tree=true A&-B=mailboxes/A&-B/dbox-Mails A&B=mailboxes/A&B/dbox-Mails"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Find(context.Background(), tree(tt.tree...), tt.from)
			if err != nil {
				t.Fatal(err)
			}
			if s := show(got); !slices.Equal(s, tt.want) {
				t.Errorf("found\n%s\nwant\n%s", strings.Join(s, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestFindReadsARealTree(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"real/mail/example.org/anna/mailboxes/INBOX/dbox-Mails", "real/mail/example.org/anna/storage"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	os.WriteFile(filepath.Join(dir, "real/mail/example.org/anna/storage/m.1"), nil, 0o600)
	if err := os.Symlink(filepath.Join(dir, "real"), filepath.Join(dir, "home")); err != nil {
		t.Skip(err)
	}
	got, err := Find(context.Background(), os.DirFS("/"), []HostPath{HostPath(filepath.ToSlash(dir) + "/home")})
	if err != nil || len(got) != 1 || got[0].Layout != MDBox || got[0].Root != HostPath(filepath.ToSlash(dir)+"/real/mail/example.org/anna") {
		t.Errorf("found %v, %v", show(got), err)
	}
}

// counting counts directory reads and refuses some.
type counting struct {
	fstest.MapFS
	mu     sync.Mutex
	reads  int
	at     map[string]int
	refuse func(name string) error
}

func (c *counting) ReadDir(name string) ([]fs.DirEntry, error) {
	c.mu.Lock()
	c.reads++
	if c.at == nil {
		c.at = map[string]int{}
	}
	c.at[name]++
	c.mu.Unlock()
	if c.refuse != nil {
		if err := c.refuse(name); err != nil {
			return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
		}
	}
	return c.MapFS.ReadDir(name)
}

func TestFindIsBoundedInAHugeHome(t *testing.T) {
	m := tree("home/u/zz/mail/example.org/anna/mailboxes/INBOX/dbox-Mails/u.1")
	for i := range 120 {
		for j := range 60 {
			m[fmt.Sprintf("home/u/d%03d/e%03d/f", i, j)] = &fstest.MapFile{}
		}
	}
	c := &counting{MapFS: m}
	found, err := Search(context.Background(), c, []HostPath{"/home/u"})
	if err != nil {
		t.Fatal(err)
	}
	if c.reads > searchReads {
		t.Errorf("%d directories read, and %d is the bound", c.reads, searchReads)
	}
	if !found.Cut {
		t.Error("the search does not say that it was cut short")
	}
	if len(found.Accounts) != 1 {
		t.Errorf("the likely directory was not looked into first: found %v", show(found.Accounts))
	}
}

func TestFindNeverReadsFoldersOfMessages(t *testing.T) {
	c := &counting{MapFS: tree("h/Maildir/cur/1.x", "h/Maildir/new/", "h/Maildir/.A/cur/2.x", "h/Maildir/.A/new/", "h/Maildir/.A/tmp/")}
	if _, err := Find(context.Background(), c, []HostPath{"/h"}); err != nil {
		t.Fatal(err)
	}
	for name := range c.at {
		if mailDirs[path.Base(name)] {
			t.Errorf("%s was read", name)
		}
	}
}

func TestFindGoesOnPastWhatCannotBeRead(t *testing.T) {
	c := &counting{MapFS: tree("h/secret/x", "h/mail/example.org/a/mailboxes/INBOX/dbox-Mails/u.1", "h/mail/example.org/a/mailboxes/Closed/x")}
	c.refuse = func(name string) error {
		if strings.HasSuffix(name, "secret") || strings.HasSuffix(name, "Closed") {
			return fs.ErrPermission
		}
		return nil
	}
	found, err := Search(context.Background(), c, []HostPath{"/h", "/nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(found.Unreadable, []HostPath{"/h/secret"}) {
		t.Errorf("unreadable: %v", found.Unreadable)
	}
	if len(found.Accounts) != 1 || !slices.Equal(found.Accounts[0].Unreadable, []RelPath{"mailboxes/Closed"}) {
		t.Errorf("found %+v", found.Accounts)
	}
}

func TestFindSaysThatTheHomeCannotBeRead(t *testing.T) {
	c := &counting{MapFS: tree("h/x"), refuse: func(string) error { return fs.ErrPermission }}
	if _, err := Find(context.Background(), c, []HostPath{"/h"}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("unreadable home: %v", err)
	}
	if _, err := Find(context.Background(), c, []HostPath{"/nowhere"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing home: %v", err)
	}
}

func TestFindEndsWithALostConnection(t *testing.T) {
	lost := errors.New("connection lost")
	base := tree("h/a/b/c/d", "h/mail/example.org/a/mailboxes/INBOX/dbox-Mails/u.1")
	for n := range 12 {
		d := &dying{MapFS: base, left: n, err: lost}
		if _, err := Find(context.Background(), d, []HostPath{"/h"}); err != nil && !errors.Is(err, lost) {
			t.Errorf("after %d calls: %v", n, err)
		} else if err == nil && d.left < 0 {
			t.Errorf("after %d calls: no error, though the connection was lost", n)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Find(ctx, base, []HostPath{"/h"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// dying answers a number of calls and fails from then on.
type dying struct {
	fstest.MapFS
	mu   sync.Mutex
	left int
	err  error
}

func (d *dying) gone() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left--; d.left < 0 {
		return d.err
	}
	return nil
}

func (d *dying) Open(name string) (fs.File, error) {
	if err := d.gone(); err != nil {
		return nil, err
	}
	return d.MapFS.Open(name)
}

func (d *dying) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := d.gone(); err != nil {
		return nil, err
	}
	return d.MapFS.ReadDir(name)
}

func (d *dying) Lstat(name string) (fs.FileInfo, error) {
	if err := d.gone(); err != nil {
		return nil, err
	}
	return d.MapFS.Lstat(name)
}

func (d *dying) Stat(name string) (fs.FileInfo, error) {
	if err := d.gone(); err != nil {
		return nil, err
	}
	return d.MapFS.Stat(name)
}
