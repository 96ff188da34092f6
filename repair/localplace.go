package repair

import (
	"bytes"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// dboxDir is the folder with a dbox mailbox's own files.
const dboxDir = "dbox-Mails"

var (
	inStorage = regexp.MustCompile(`^(m\.[0-9]+|dovecot\.map\.index.*)$`)
	inDboxDir = regexp.MustCompile(`^(u\.[0-9]+|dovecot\.index(\.log|\.log\.2|\.backup)?)$`)
)

// placed shows a tree that is a part of an account at the place where this part belongs in a mail root, and says in words what it was
// taken for. dir is what the tree is called on this machine; only what is in it is looked at, nothing above. ok is false where nothing
// in it shows what part it is.
func placed(fsys fs.ReadLinkFS, dir string) (s shelf, what string, ok bool) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return s, "", false
	}
	at := func(what, name string, more ...string) (shelf, string, bool) {
		for i, m := range more {
			more[i] = path.Join(shelfName, m)
		}
		return shelf{fsys, path.Join(shelfName, name), more}, what, true
	}
	file := func(is func(name string) bool) bool {
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Type().IsRegular() && is(e.Name()) })
	}
	switch name := filepath.Base(dir); {
	case file(inStorage.MatchString):
		return at("the folder storage/ of mdbox", "storage", "mailboxes")
	case file(func(name string) bool { return inDboxDir.MatchString(name) && ofDbox(fsys, name) }):
		return at("the folder "+dboxDir+"/ of one mailbox", path.Join("mailboxes", mailboxAt(dir, "INBOX"), dboxDir))
	case isDir(fsys, dboxDir):
		return at("the folder of one mailbox", path.Join("mailboxes", mailboxAt(dir, name)))
	case slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.IsDir() && holdsDbox(fsys, e.Name(), 3) }):
		return at("the folder mailboxes/", "mailboxes")
	case messages(fsys, "."):
		sub := "cur"
		if name == "new" {
			sub = name
		}
		return at("the folder "+sub+"/ of a Maildir", sub, "cur", "new", "tmp")
	case slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return e.IsDir() && strings.HasPrefix(e.Name(), ".") && (isDir(fsys, e.Name()+"/cur") || isDir(fsys, e.Name()+"/new"))
	}):
		return at("a Maildir without its empty folders", ".", "cur", "new", "tmp")
	}
	return s, "", false
}

// mailboxAt is the storage name of a mailbox whose folder a tree is, as far as its path on this machine tells, or other.
func mailboxAt(dir, other string) string {
	parts := strings.Split(filepath.ToSlash(dir), "/")
	if parts[len(parts)-1] == dboxDir {
		parts = parts[:len(parts)-1]
	}
	for i := len(parts) - 2; i >= 0; i-- {
		if parts[i] == "mailboxes" {
			return path.Join(parts[i+1:]...)
		}
	}
	if !fs.ValidPath(other) || other == "." {
		return "INBOX"
	}
	return other
}

func isDir(fsys fs.ReadLinkFS, name string) bool {
	info, err := fsys.Lstat(name)
	return err == nil && info.IsDir()
}

// ofDbox reports whether a file is one of a dbox mailbox's own: a message, or index files that say so.
func ofDbox(fsys fs.FS, name string) bool {
	if strings.HasPrefix(name, "u.") {
		return true
	}
	f, err := fsys.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64<<10))
	return err == nil && (bytes.Contains(b, []byte("mdbox")) || bytes.Contains(b, []byte("dbox-hdr")))
}

// holdsDbox looks for the folder of a mailbox, so many levels deep.
func holdsDbox(fsys fs.ReadLinkFS, dir string, levels int) bool {
	if isDir(fsys, path.Join(dir, dboxDir)) {
		return true
	}
	entries, err := fs.ReadDir(fsys, dir)
	return err == nil && levels > 0 && slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return e.IsDir() && holdsDbox(fsys, path.Join(dir, e.Name()), levels-1)
	})
}

// messages reports whether the files in a directory are called as a Maildir's messages are: most of them, so that other files with
// numbers for names are not taken for mail.
func messages(fsys fs.FS, dir string) bool {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return false
	}
	files, fit := 0, 0
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
			files++
			if maildirName.MatchString(e.Name()) {
				fit++
			}
		}
	}
	return fit > 0 && 2*fit > files
}

// maildirName is how programs call a message in a Maildir: seconds, what makes it unique, the host.
var maildirName = regexp.MustCompile(`^[0-9]{9,11}\.[^.:]+\..`)

// complete shows the folders of Maildirs that have no empty new or tmp, which programs that copy and pack files leave out, as if they had
// them.
type complete struct{ fs.ReadLinkFS }

func (w complete) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := fs.ReadDir(w.ReadLinkFS, name)
	if err != nil && w.lacking(name) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{"cur", "new", "tmp"} {
		if dir := path.Join(name, sub); w.lacking(dir) {
			info, err := w.Lstat(dir)
			if err != nil {
				return nil, err
			}
			list = append(list, fs.FileInfoToDirEntry(info))
		}
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

// lacking reports whether a directory is one of a Maildir's that was left out: another one, with messages, is beside it.
func (w complete) lacking(name string) bool {
	up, base := path.Split(name)
	if base != "cur" && base != "new" && base != "tmp" {
		return false
	}
	if _, err := w.ReadLinkFS.Lstat(name); err == nil {
		return false
	}
	return base != "cur" && messages(w.ReadLinkFS, path.Join(up, "cur")) || base != "new" && messages(w.ReadLinkFS, path.Join(up, "new"))
}

func (w complete) Stat(name string) (fs.FileInfo, error) {
	if w.lacking(name) {
		return w.Lstat(name)
	}
	return fs.Stat(w.ReadLinkFS, name)
}

func (w complete) Lstat(name string) (fs.FileInfo, error) {
	if !w.lacking(name) {
		return w.ReadLinkFS.Lstat(name)
	}
	info, err := w.ReadLinkFS.Lstat(path.Dir(name))
	if err != nil {
		return nil, err
	}
	return renamed{info, path.Base(name)}, nil
}
