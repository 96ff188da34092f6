// Package damage breaks a mailbox's files in named ways, the ways of full disks, crashes, bad memory and helpful users.
// The same kind and seed break the same files in the same way. Owner, mode and place of what is damaged stay as they are, and of
// files with mail the time of last change too, which is a Maildir message's received date.
package damage

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
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

// Looked reports whether a kind is one that Dovecot's look at the broken mailbox belongs to: after [Do], somebody has to open
// it over IMAP to make the damage what its text says.
func Looked(name string) bool { return name == madeAnew }

// Do breaks a mailbox and gives the files it removed or wrote. It is an error if there is nothing of the kind to break.
func Do(t Target, name string, seed uint64) ([]string, error) {
	changes, err := Break(t, name, seed)
	return files(changes), err
}

// Break is [Do] and tells which bytes it changed, file by file. The error is an [fs.ErrNotExist] where what the kind breaks
// is not there.
func Break(t Target, name string, seed uint64) ([]Change, error) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 || kinds[i].layouts != "" && !strings.Contains(kinds[i].layouts, t.Layout) {
		return nil, fmt.Errorf("damage %q: no such kind for %s", name, t.Layout)
	}
	b := &breaker{Target: t, folder: t.Folder(), Rand: rand.New(rand.NewPCG(seed, 0x64616d))}
	if err := kinds[i].do(b); err != nil {
		return b.changes, fmt.Errorf("damage %q: %w", name, err)
	}
	if len(b.changes) == 0 {
		return nil, fmt.Errorf("damage %q: %w", name, nothing("nothing there to break"))
	}
	return b.changes, nil
}

// nothing says that what was to be broken is not there.
func nothing(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, fs.ErrNotExist)...)
}

// message finds a file with mail in it: an mdbox storage file, an sdbox message, a Maildir message. The same seed
// finds the same one.
func (b *breaker) message() (string, error) {
	all, err := b.messages()
	if err != nil {
		return "", err
	}
	return all[b.IntN(len(all))], nil
}

// messages finds all of them.
func (b *breaker) messages() ([]string, error) {
	dirs, pattern := []string{b.folder}, "u.*[0-9]"
	switch b.Layout {
	case "mdbox":
		dirs, pattern = []string{b.storage("")}, "m.*[0-9]"
	case "maildir":
		dirs, pattern = []string{b.path("cur"), b.path("new")}, "*"
	}
	var all []string
	for _, dir := range dirs {
		found, err := filepath.Glob(filepath.Join(escape(dir), pattern))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	if len(all) == 0 {
		return nil, nothing("no message in %s", b.folder)
	}
	slices.Sort(all)
	return all, nil
}

// escape keeps a directory's name from being read as a pattern.
func escape(dir string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`).Replace(dir)
}
