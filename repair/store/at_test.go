package store

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

func TestAtAcceptsPathsIntoAnAccount(t *testing.T) {
	fsys := tree(
		"d/mail/example.org/anna/mailboxes/INBOX/dbox-Mails/u.1", "d/mail/example.org/anna/mailboxes/mailboxes/Sub/dbox-Mails/u.1",
		"d/mail/example.org/anna/dovecot-uidvalidity", "d/mail/example.org/anna/storage/",
		"d/mailboxes/example.org/bob/mailboxes/INBOX/dbox-Mails/u.1",
		"d/Maildir/cur/", "d/Maildir/new/", "d/Maildir/tmp/", "d/Maildir/.A/cur/", "d/Maildir/.A/new/",
		"d/fsmail/cur/", "d/fsmail/new/", "d/fsmail/A/cur/", "d/fsmail/A/new/", "d/fsmail/A/B/cur/", "d/fsmail/A/B/new/",
		"d/empty/mailboxes/", "link -> d/mail/example.org/anna", "loop -> loop2", "loop2 -> loop", "d/file", "d/plain/x", "top -> .", "d/up -> ../d/..",
	)
	for _, tt := range []struct {
		root HostPath
		want string // the root found, or part of the error
	}{
		{"/d/mail/example.org/anna", "/d/mail/example.org/anna"},
		{"/d/mail/example.org/anna/", "/d/mail/example.org/anna"},
		{"/d/mail/example.org/anna/mailboxes", "/d/mail/example.org/anna"},
		{"/d/mail/example.org/anna/mailboxes/INBOX", "/d/mail/example.org/anna"},
		{"/d/mail/example.org/anna/mailboxes/INBOX/dbox-Mails", "/d/mail/example.org/anna"},
		{"/d/mail/example.org/anna/mailboxes/mailboxes", "/d/mail/example.org/anna"},
		{"/d/mail/example.org/anna/storage", "/d/mail/example.org/anna"},
		{"/d/mailboxes/example.org/bob", "/d/mailboxes/example.org/bob"},
		{"/d/mailboxes/example.org/bob/mailboxes/INBOX", "/d/mailboxes/example.org/bob"},
		{"/link", "/d/mail/example.org/anna"},
		{"/link/mailboxes", "/d/mail/example.org/anna"},
		{"/d/Maildir", "/d/Maildir"},
		{"/d/Maildir/cur", "/d/Maildir"},
		{"/d/Maildir/.A", "/d/Maildir"},
		{"/d/Maildir/.A/new", "/d/Maildir"},
		{"/d/fsmail/A/B", "/d/fsmail"},
		{"/d/empty", "/d/empty"},
		{"/d/empty/mailboxes", "/d/empty"},
		{"", "empty"},
		{"/", "root directory"},
		{"//", "root directory"},
		{"/top", "root directory"},
		{"/d/up", "root directory"},
		{"d/Maildir", "not an absolute path"},
		{"/d/../d/Maildir", `".."`},
		{"/d/./Maildir", `"."`},
		{"/d/Maildir/..", `".."`},
		{"/d/Mail\x00dir", "NUL"},
		{"/loop", "circle"},
		{"/loop/x", "circle"},
		{"/d/file", "not a directory"},
		{"/d/plain", "no mailboxes/ directory"},
		{"/d/nowhere", "no such directory"},
	} {
		a, err := At(context.Background(), fsys, tt.root)
		switch {
		case strings.HasPrefix(tt.want, "/"):
			if err != nil || string(a.Root) != tt.want {
				t.Errorf("At(%q) = %q, %v; want %q", tt.root, a.Root, err, tt.want)
			}
		case err == nil || !strings.Contains(err.Error(), tt.want):
			t.Errorf("At(%q) = %q, %v; want an error with %q", tt.root, a.Root, err, tt.want)
		}
	}
	a, err := At(context.Background(), fsys, "/link")
	if err != nil || a.Address != "anna@example.org" || a.Layout != SDBox || !a.Tree {
		t.Errorf("account %+v, %v", a, err)
	}
	if _, err := At(context.Background(), fsys, "/d/nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := At(context.Background(), fsys, "/d/plain"); !errors.Is(err, ErrNoMail) {
		t.Errorf("no mail: %v", err)
	}
}

func TestAddressOfReadsDomainAndUser(t *testing.T) {
	for p, want := range map[HostPath]string{
		"/userdata01/u/mail/example.org/anna": "anna@example.org", "/home/u/mail/example.org/anna/Maildir": "anna@example.org",
		"/home/u/Maildir": "", "/var/vmail/anna@example.org/mdbox": "anna@example.org", "/home/u/mail/v1.2/x": "",
		"/home/u/backup.tar/x": "", "/home/u/mail/xn--bcher-kva.example/o.k+x": "o.k+x@xn--bcher-kva.example", "/": "", "/home/u/a.b/.hidden": "",
	} {
		if got := addressOf(p); got != want {
			t.Errorf("addressOf(%q) = %q, want %q", p, got, want)
		}
	}
}

func TestMailboxIsFoundByItsNames(t *testing.T) {
	a := Account{Mailboxes: []Mailbox{
		{"INBOX", "INBOX", "mailboxes/INBOX/dbox-Mails"}, {"Archive/2020", "Archive/2020", "x"}, {"Entwürfe", "Entw&APw-rfe", "y"},
		{"Work.Old", "Work.Old", "z"}, {"Work/Old", "Work/Old", "zz"}, {"inbox/Sub", "inbox/Sub", "s"},
	}}
	for _, tt := range []struct{ name, want string }{
		{"INBOX", "mailboxes/INBOX/dbox-Mails"}, {"inbox", "mailboxes/INBOX/dbox-Mails"}, {"InBoX", "mailboxes/INBOX/dbox-Mails"},
		{"Archive/2020", "x"}, {"Archive.2020", "x"}, {"Entwürfe", "y"}, {"Entw&APw-rfe", "y"}, {"Work.Old", "z"}, {"Work/Old", "zz"}, {"INBOX/Sub", "s"},
		{"INBOX.Archive.2020", "x"},
	} {
		if m, err := a.Mailbox(tt.name); err != nil || string(m.Dir) != tt.want {
			t.Errorf("Mailbox(%q) = %q, %v; want %q", tt.name, m.Dir, err, tt.want)
		}
	}
	for _, tt := range []struct {
		name string
		near []string
	}{
		{"archive/2020", []string{"Archive/2020"}}, {"Archve/2020", []string{"Archive/2020"}}, {"2020", []string{"Archive/2020"}},
		{"Entwurfe", []string{"Entwürfe"}}, {"INBXO", []string{"INBOX"}}, {"Something else", nil}, {"", nil},
	} {
		var missing *NotFoundError
		_, err := a.Mailbox(tt.name)
		if !errors.As(err, &missing) {
			t.Errorf("Mailbox(%q): %v", tt.name, err)
		} else if len(tt.near) > 0 && (len(missing.Near) == 0 || missing.Near[0] != tt.near[0]) || tt.near == nil && len(missing.Near) > 0 {
			t.Errorf("near %q: %q, want %q", tt.name, missing.Near, tt.near)
		}
	}
}

func TestAmbiguousNameFitsNoMailbox(t *testing.T) {
	a := Account{Mailboxes: []Mailbox{{"a/b.c", "a/b.c", "1"}, {"a.b/c", "a.b/c", "2"}}}
	var e *NotFoundError
	if m, err := a.Mailbox("a.b.c"); !errors.As(err, &e) || !slices.Equal(e.Near, []string{"a/b.c", "a.b/c"}) {
		t.Errorf("%+v, %v", m, err)
	}
}
