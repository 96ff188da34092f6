package repair

import (
	"io/fs"
	"path"
	"regexp"
	"strings"

	"dovemend/repair/store"
)

// colons shows the files of a Maildir by the names they had before a program copied them to where names cannot hold a colon. Of
// "1600000000.M1P2.host_2,S" it shows "1600000000.M1P2.host:2,S": the flags, and the name that dovecot-uidlist knows.
type colons struct {
	fs.ReadLinkFS
	as string // what stands for the colon
}

// alteredName is a message's name with something else where the colon was. A name whose flags were not touched never ends so: what may
// stand there of old are sizes, which end in digits.
var alteredName = regexp.MustCompile(`^[0-9]{9,11}\..+?(%3[Aa]|[^A-Za-z0-9,.:])2,[A-Za-z]*$`)

// alteredColon finds out what stands for the colon in the names of an account's messages; "" where nothing does.
func alteredColon(fsys fs.FS, boxes []store.Mailbox) string {
	seen := map[string]int{}
	for _, m := range boxes {
		for _, sub := range []string{"cur", "new"} {
			entries, err := fs.ReadDir(fsys, path.Join(string(m.Dir), sub))
			if err != nil || flagged(entries) {
				continue
			}
			for _, e := range entries {
				if found := alteredName.FindStringSubmatch(e.Name()); found != nil && e.Type().IsRegular() {
					if seen[found[1]]++; seen[found[1]] > 1 { // one alone may be called so by chance
						return found[1]
					}
				}
			}
		}
	}
	return ""
}

// flagged reports whether names are as they should be.
func flagged(entries []fs.DirEntry) bool {
	for _, e := range entries {
		if strings.Contains(e.Name(), ":2,") {
			return true
		}
	}
	return false
}

func ofMaildir(dir string) bool { return path.Base(dir) == "cur" || path.Base(dir) == "new" }

func (c colons) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := fs.ReadDir(c.ReadLinkFS, name)
	if err != nil || !ofMaildir(name) || flagged(list) {
		return list, err
	}
	for i, e := range list {
		if found := alteredName.FindStringSubmatchIndex(e.Name()); found != nil && e.Name()[found[2]:found[3]] == c.as {
			list[i] = calledEntry{e, e.Name()[:found[2]] + ":" + e.Name()[found[3]:]}
		}
	}
	return list, nil
}

type calledEntry struct {
	fs.DirEntry
	name string
}

func (e calledEntry) Name() string { return e.name }
func (e calledEntry) Info() (fs.FileInfo, error) {
	info, err := e.DirEntry.Info()
	if err != nil {
		return nil, err
	}
	return renamed{info, e.name}, nil
}

// real is the name that a file has in the copy.
func (c colons) real(name string) string {
	i := strings.LastIndex(name, ":2,")
	if i < 0 || !ofMaildir(path.Dir(name)) {
		return name
	}
	altered := name[:i] + c.as + name[i+1:]
	if _, err := c.ReadLinkFS.Lstat(altered); err != nil { // in this folder, names may be as they were
		return name
	}
	return altered
}

func (c colons) Open(name string) (fs.File, error)      { return c.ReadLinkFS.Open(c.real(name)) }
func (c colons) Stat(name string) (fs.FileInfo, error)  { return fs.Stat(c.ReadLinkFS, c.real(name)) }
func (c colons) Lstat(name string) (fs.FileInfo, error) { return c.ReadLinkFS.Lstat(c.real(name)) }
func (c colons) ReadLink(name string) (string, error)   { return c.ReadLinkFS.ReadLink(c.real(name)) }
