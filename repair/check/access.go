package check

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"dovemend/repair/store"
)

// access tells of the mailbox's folder and files that Dovecot, as their owner, may not read and write.
func (x *examiner) access() {
	a := newAccess(x.fsys)
	if a == nil {
		return
	}
	a.folder(x.box.Dir)
	if !x.dbox() {
		for _, sub := range []string{"cur", "new", "tmp"} {
			a.folder(x.file(sub))
		}
	}
	entries, _ := fs.ReadDir(x.fsys, string(x.box.Dir))
	for _, e := range entries {
		switch name := e.Name(); {
		case strings.HasPrefix(name, "dovecot.index") && ownIndex.MatchString(name), name == "dovecot-uidlist":
			a.file(x.file(name), readWrite, true)
		case name == "dovecot-keywords":
			a.file(x.file(name), readWrite, false)
		}
	}
	for i := range x.State.Messages {
		// Dovecot opens messages for reading where it may not write. Those of mdbox lie in what all mailboxes share.
		if m := &x.State.Messages[i]; m.File != "" && x.account.Layout != store.MDBox {
			a.file(m.File, read, false)
		}
	}
	for _, f := range a.list {
		x.find(f)
	}
}

var ownIndex = regexp.MustCompile(`^dovecot\.index(\.log|\.log\.2|\.cache|\.backup)?$`)

// access tells of the same of what the account's mailboxes share.
func (x *accountExaminer) access() {
	a := newAccess(x.fsys)
	if a == nil {
		return
	}
	looked := map[string]bool{}
	for _, m := range x.acct.Account.Mailboxes {
		looked[string(m.Dir)] = true // told of with the mailbox
	}
	for _, m := range x.acct.Account.Mailboxes {
		for dir := path.Dir(string(m.Dir)); !looked[dir]; dir = path.Dir(dir) {
			looked[dir] = true
			a.folder(store.RelPath(dir))
		}
	}
	for _, name := range x.acct.Account.Files {
		if !strings.HasPrefix(string(name), "dovecot-uidvalidity.") { // never written to
			a.file(name, readWrite, false)
		}
	}
	if t := x.acct.Storage; t != nil && t.Copied {
		a.folder("storage")
		entries, _ := fs.ReadDir(x.fsys, "storage")
		for _, e := range entries {
			if name := e.Name(); strings.HasPrefix(name, "m.") && !strings.HasSuffix(name, ".lock") || mapIndex.MatchString(name) {
				a.file(store.RelPath("storage/"+name), readWrite, false)
			}
		}
	}
	for _, f := range a.list {
		x.find(f)
	}
}

var mapIndex = regexp.MustCompile(`^dovecot\.map\.index(\.log|\.log\.2|\.backup)?$`)

// What Dovecot needs of a file, as bits of its owner's permissions.
const (
	read      fs.FileMode = 0o400
	readWrite fs.FileMode = 0o600
	use       fs.FileMode = 0o700 // of a folder
)

// access collects what Dovecot may not use, one finding for each kind of trouble.
type access struct {
	fsys     fs.FS
	uid, gid int // of the mail root, whose owner Dovecot runs as; -1 where the host did not say
	list     []Finding
	n        map[string]int
}

// newAccess is nil where the copy does not tell owners and modes: another tool's may be of another user, with other modes.
func newAccess(fsys fs.FS) *access {
	a := &access{fsys: fsys, n: map[string]int{}}
	var ok bool
	if a.uid, a.gid, _, ok = a.owner("."); !ok {
		return nil
	}
	return a
}

func (a *access) folder(p store.RelPath) {
	uid, gid, mode, ok := a.owner(p)
	f := Finding{Severity: Broken, File: p, Offset: -1}
	switch {
	case !ok || !mode.IsDir():
	case a.others(uid, gid, mode, use):
		f.Rule, f.Text = "folder-owner", fmt.Sprintf("this folder belongs to user id %d, and the mail to user id %d", uid, a.uid)
		f.Effect, f.Advice = "Dovecot cannot write in it", "only the hosting company can give it back to you"
		a.add(f, "folder", "folders")
	case !a.foreign(uid) && mode.Perm()&use != use:
		f.Rule, f.Text = "folder-mode", fmt.Sprintf("this folder has mode %04o: its owner may not use it", mode.Perm())
		f.Effect, f.Advice = "Dovecot cannot open the mailbox, or cannot write in it", "give the folder its permissions back, by your host's file manager or by SFTP (\"chmod 700\")"
		a.add(f, "folder", "folders")
	}
}

// file looks at a file of which Dovecot needs some permissions; rebuilt says that a rebuild puts a new one in its place.
func (a *access) file(p store.RelPath, need fs.FileMode, rebuilt bool) {
	uid, gid, mode, ok := a.owner(p)
	f := Finding{File: p, Offset: -1}
	switch {
	case !ok || !mode.IsRegular():
	case a.others(uid, gid, mode, need):
		f.Severity, f.Rule, f.Text = Suspect, "file-owner", fmt.Sprintf("this file belongs to user id %d, and the mail to user id %d", uid, a.uid)
		f.Effect, f.Advice = "Dovecot may not be able to read or write it", "only the hosting company can give it back to you"
		if rebuilt {
			f.Cure, f.Advice = CureRebuild, "rebuild replaces it by one that belongs to you"
		}
		a.add(f, "file", "files")
	case !a.foreign(uid) && mode.Perm()&need != need:
		f.Severity, f.Rule, f.Text = Broken, "file-mode", fmt.Sprintf("this file has mode %04o: its owner may not read and write it", mode.Perm())
		f.Effect, f.Advice = "opening the mailbox fails with an internal server error, or what is changed in it is not kept", chmod600
		switch {
		case rebuilt:
			f.Cure, f.Advice = CureRebuild, "rebuild gives the file its permissions back"
		case need == read:
			f.Text, f.Effect = fmt.Sprintf("this file has mode %04o: its owner may not read it", mode.Perm()), "the message in it cannot be read"
		case path.Dir(string(p)) == ".":
			f.Severity, f.Effect = Suspect, "what it tells of the account is not used, or not kept up to date"
		}
		a.add(f, "file", "files")
	}
}

const chmod600 = "give the file its permissions back, by your host's file manager or by SFTP (\"chmod 600\")"

// foreign reports whether a file is surely another user's.
func (a *access) foreign(uid int) bool { return uid >= 0 && a.uid >= 0 && uid != a.uid }

// others reports whether a file is another user's, and neither its group's permissions nor everybody's let the account's user use it.
func (a *access) others(uid, gid int, mode, need fs.FileMode) bool {
	return a.foreign(uid) && !(gid >= 0 && gid == a.gid && mode.Perm()<<3&need == need) && mode.Perm()<<6&need != need
}

// add counts a finding together with those of its kind.
func (a *access) add(f Finding, one, many string) {
	kind := f.Rule + string(f.Cure) + f.Effect
	if a.n[kind]++; a.n[kind] == 1 {
		a.list = append(a.list, f)
		return
	}
	i := slices.IndexFunc(a.list, func(g Finding) bool { return g.Rule+string(g.Cure)+g.Effect == kind })
	first, _, _ := strings.Cut(a.list[i].Text, "; so it is with ")
	a.list[i].Text = first + fmt.Sprintf("; so it is with %s", plural(a.n[kind]-1, "more "+one, "more "+many))
}

// owner is who owned a file on the host, -1 where the host did not say, and its mode. ok is false where the copy does not tell these.
func (a *access) owner(p store.RelPath) (uid, gid int, mode fs.FileMode, ok bool) {
	info, err := fs.Lstat(a.fsys, string(p))
	if err != nil {
		return -1, -1, 0, false
	}
	o, ok := info.Sys().(interface{ Owned() (uid, gid int) })
	if !ok {
		return -1, -1, 0, false
	}
	uid, gid = o.Owned()
	return uid, gid, info.Mode(), true
}
