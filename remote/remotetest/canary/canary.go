// Package canary plants files and directories around the mail tree of a test host, and symbolic links to them inside it,
// and tells whether any was changed. With them every test of a host is a test that nothing outside the tree is touched.
package canary

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Place says where canaries are planted.
type Place struct {
	Home     string // the login's home, links resolved
	MailRoot string // the account's mail root, an existing directory
	UID, GID int    // whose they are; negative to leave them with the calling user
}

// Canaries are planted canaries, as they were then.
type Canaries struct {
	roots []string // each a file, a link, or a directory with all in it
	was   map[string]state
}

type state struct {
	mode  fs.FileMode
	mtime time.Time
	size  int64
	text  string // hash of a file, target of a link
}

// LinkName is the name of the links inside the mail tree.
const LinkName = "canary-link"

// Plant plants canaries: in the home, beside the mail root and in it beside mailboxes/, as a second account; and in the
// mailboxes tree (or the mail root, where there is none) links to a directory and a file outside it.
func Plant(p Place) (*Canaries, error) {
	c := &Canaries{}
	account := filepath.Join(filepath.Dir(p.MailRoot), "canary-account")
	files := map[string]string{
		filepath.Join(p.Home, "canary.txt"):                                               "in the home",
		filepath.Join(p.Home, "canary-site", "index.html"):                                "<p>the user's web site</p>",
		filepath.Join(p.Home, "canary-site", "deep", "er", "data.db"):                     strings.Repeat("data", 1000),
		filepath.Join(p.MailRoot, "canary-beside.txt"):                                    "beside mailboxes/",
		filepath.Join(p.MailRoot, "canary-dir", "mailboxes", "INBOX", "dovecot.index"):    "a tree of the same names elsewhere",
		filepath.Join(account, "mailboxes", "INBOX", "dbox-Mails", "dovecot.index"):       "another account's index",
		filepath.Join(account, "mailboxes", "INBOX", "dbox-Mails", "dovecot.index.cache"): "another account's cache",
		filepath.Join(account, "storage", "m.1"):                                          "another account's mail",
		filepath.Join(account, "cur", "1572851529.M1P1.host,S=3,W=3:2,S"):                 "x\r\n",
	}
	links := map[string]string{
		filepath.Join(p.MailRoot, LinkName):       filepath.Join(p.Home, "canary-site"),
		filepath.Join(p.Home, "canary-home-link"): account,
	}
	if st, err := os.Lstat(filepath.Join(p.MailRoot, "mailboxes")); err == nil && st.IsDir() {
		links[filepath.Join(p.MailRoot, "mailboxes", LinkName)] = filepath.Join(p.Home, "canary-site")
		links[filepath.Join(p.MailRoot, "mailboxes", LinkName+"-file")] = filepath.Join(p.Home, "canary.txt")
	}
	c.roots = []string{filepath.Join(p.Home, "canary.txt"), filepath.Join(p.Home, "canary-site"), filepath.Join(p.MailRoot, "canary-beside.txt"),
		filepath.Join(p.MailRoot, "canary-dir"), account}
	old := time.Now().Add(-1000 * time.Hour).Truncate(time.Second)
	for path, text := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, fmt.Errorf("plant canary: %w", err)
		}
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			return nil, fmt.Errorf("plant canary: %w", err)
		}
	}
	for path, to := range links {
		if err := os.Symlink(to, path); err != nil {
			return nil, fmt.Errorf("plant canary: %w", err)
		}
		c.roots = append(c.roots, path)
	}
	err := c.walk(func(path string, st fs.FileInfo) error {
		if p.UID >= 0 {
			if err := os.Lchown(path, p.UID, p.GID); err != nil {
				return err
			}
		}
		if st.Mode().IsRegular() {
			return os.Chtimes(path, old, old)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("plant canary: %w", err)
	}
	if c.was, err = c.look(); err != nil {
		return nil, fmt.Errorf("plant canary: %w", err)
	}
	return c, nil
}

// walk visits all canaries. One that is gone is left out.
func (c *Canaries) walk(visit func(string, fs.FileInfo) error) error {
	for _, root := range c.roots {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			st, err := e.Info()
			if err != nil {
				return err
			}
			return visit(path, st)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Canaries) look() (map[string]state, error) {
	now := make(map[string]state)
	return now, c.walk(func(path string, st fs.FileInfo) error {
		s := state{mode: st.Mode(), mtime: st.ModTime(), size: st.Size()}
		switch {
		case st.Mode().IsRegular():
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			s.text = fmt.Sprintf("%x", sha256.Sum256(b))
		case st.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			s.text = to
		}
		now[path] = s
		return nil
	})
}

// Changed tells every canary that is gone, new or not as it was: in content, mode or time of last change.
func (c *Canaries) Changed() ([]string, error) {
	now, err := c.look()
	if err != nil {
		return nil, fmt.Errorf("look at canaries: %w", err)
	}
	var changed []string
	for path, was := range c.was {
		is, ok := now[path]
		switch {
		case !ok:
			changed = append(changed, path+" is gone")
		case is.text != was.text || is.size != was.size:
			changed = append(changed, path+" has other content")
		case is.mode != was.mode:
			changed = append(changed, fmt.Sprintf("%s had mode %v, has %v", path, was.mode, is.mode))
		case !is.mtime.Equal(was.mtime):
			changed = append(changed, fmt.Sprintf("%s was of %v, is of %v", path, was.mtime, is.mtime))
		}
	}
	for path := range now {
		if _, ok := c.was[path]; !ok {
			changed = append(changed, path+" is new")
		}
	}
	return changed, nil
}
