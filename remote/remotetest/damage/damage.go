// Package damage breaks a mailbox's files in named ways, the ways of full disks, crashes, bad memory and helpful users.
// The same kind and seed break the same files in the same way. Owner, mode and place of what is damaged stay as they are.
package damage

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Target is what is to be broken.
type Target struct {
	MailRoot string
	Layout   string // mdbox, sdbox, maildir
	LayoutFS bool   // Maildir with LAYOUT=fs
	Mailbox  string // storage name with "/" between the levels, "Entw&APw-rfe/Gr&APYA3w-e"; "" for INBOX
}

// Folder is the directory with the mailbox's index files.
func (t Target) Folder() string {
	name := t.Mailbox
	if name == "" {
		name = "INBOX"
	}
	switch {
	case t.Layout != "maildir":
		return filepath.Join(t.MailRoot, "mailboxes", filepath.FromSlash(name), "dbox-Mails")
	case name == "INBOX":
		return t.MailRoot
	case t.LayoutFS:
		return filepath.Join(t.MailRoot, filepath.FromSlash(name))
	}
	return filepath.Join(t.MailRoot, "."+strings.ReplaceAll(name, "/", "."))
}

// kind is one way to break a mailbox.
type kind struct {
	name    string
	layouts string // "" for all
	text    string
	do      func(*breaker) error
}

// Kinds names the kinds of damage that a layout can suffer.
func Kinds(layout string) []string {
	var names []string
	for _, k := range kinds {
		if k.layouts == "" || strings.Contains(k.layouts, layout) {
			names = append(names, k.name)
		}
	}
	return names
}

// Text says in words what a kind of damage is; "" for an unknown one.
func Text(name string) string {
	for _, k := range kinds {
		if k.name == name {
			return k.text
		}
	}
	return ""
}

// Do breaks a mailbox and gives the files it removed or wrote. It is an error if there is nothing of the kind to break.
func Do(t Target, name string, seed uint64) ([]string, error) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 || kinds[i].layouts != "" && !strings.Contains(kinds[i].layouts, t.Layout) {
		return nil, fmt.Errorf("damage %q: no such kind for %s", name, t.Layout)
	}
	b := &breaker{Target: t, Rand: rand.New(rand.NewPCG(seed, 0x64616d))}
	if err := kinds[i].do(b); err != nil {
		return b.files, fmt.Errorf("damage %q: %w", name, err)
	}
	if len(b.files) == 0 {
		return nil, fmt.Errorf("damage %q: nothing there to break", name)
	}
	return b.files, nil
}

// breaker does the breaking.
type breaker struct {
	Target
	*rand.Rand
	files []string
}

func (b *breaker) path(name string) string { return filepath.Join(b.Folder(), name) }

func (b *breaker) storage(name string) string { return filepath.Join(b.MailRoot, "storage", name) }

// remove removes files of which at least the first must exist.
func (b *breaker) remove(paths ...string) error {
	for i, p := range paths {
		err := os.Remove(p)
		if i > 0 && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		b.files = append(b.files, p)
	}
	return nil
}

// rewrite changes a file's bytes in place.
func (b *breaker) rewrite(path string, change func([]byte) []byte) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(change(old))
	b.files = append(b.files, path)
	return errors.Join(err, f.Close())
}

// cut keeps that much of a file, in percent.
func (b *breaker) cut(path string, percent int) error {
	return b.rewrite(path, func(old []byte) []byte { return old[:len(old)*percent/100] })
}

// garbage puts up to n random bytes over a file, from the given place on; a negative place is the middle.
func (b *breaker) garbage(path string, at, n int) error {
	return b.rewrite(path, func(old []byte) []byte {
		if at < 0 {
			at = max(0, (len(old)-n)/2)
		}
		for i := at; i < min(at+n, len(old)); i++ {
			old[i] = byte(b.Uint32())
		}
		return old
	})
}

// message finds a file with mail in it: an mdbox storage file, an sdbox message, a Maildir message. The same seed
// finds the same one.
func (b *breaker) message() (string, error) {
	dirs, pattern := []string{b.Folder()}, "u.*"
	switch b.Layout {
	case "mdbox":
		return b.storage("m.1"), nil
	case "maildir":
		dirs, pattern = []string{b.path("cur"), b.path("new")}, "*"
	}
	var all []string
	for _, dir := range dirs {
		found, err := filepath.Glob(filepath.Join(escape(dir), pattern))
		if err != nil {
			return "", err
		}
		all = append(all, found...)
	}
	if len(all) == 0 {
		return "", fmt.Errorf("no message in %s: %w", b.Folder(), fs.ErrNotExist)
	}
	slices.Sort(all)
	return all[b.IntN(len(all))], nil
}

// escape keeps a directory's name from being read as a pattern.
func escape(dir string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`).Replace(dir)
}
