// Package demoaccount is the broken account of dovemend's demo: an mdbox account of some hundred messages as a real
// Dovecot 2.3.19 left it on disk, packed into this package, and what is then broken in it. Its files are made anew by
//
//	go test ./remote/remotetest/demoaccount -run TestAccount -update
//
// on a machine with Dovecot.
package demoaccount

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"dovemend/remote/remotetest/damage"
	"dovemend/remote/remotetest/fill"
)

//go:embed account.tar.gz
var packed []byte

//go:embed truth.json.gz
var truth []byte

// Address is the account's address; its mail root is a directory mail/example.org/anna.
const Address = "anna@example.org"

// Layout is the account's layout.
const Layout = "mdbox"

// Mailbox and Kind are what the demo breaks: random bytes over the header of INBOX's dovecot.index. Measured on Dovecot
// 2.3.19: the next look of any mail program shows an empty INBOX with a new UIDVALIDITY, every reply says OK, and all 160 messages are
// orphaned. If dovecot.index alone is removed before anybody looks, everything is as it was, flags, keywords and UIDs too, because
// the two transaction logs of this mailbox still reach back to its beginning.
const (
	Mailbox = "INBOX"
	Kind    = "index-header-garbage"
)

// maxFile bounds one file of the archive, in bytes.
const maxFile = 64 << 20

// Truth is what Dovecot told over IMAP of the account before anything was broken.
func Truth() (*fill.Truth, error) {
	z, err := gzip.NewReader(bytes.NewReader(truth))
	if err != nil {
		return nil, fmt.Errorf("read truth of the demo account: %w", err)
	}
	t := new(fill.Truth)
	if err := json.NewDecoder(z).Decode(t); err != nil {
		return nil, fmt.Errorf("read truth of the demo account: %w", err)
	}
	return t, nil
}

// Unpack lays the account's files, unbroken, into the mail root dir, which must not exist or be empty. Modes are as Dovecot
// made them; times are shifted so that the last change was an hour ago.
func Unpack(dir string) error {
	root, err := makeRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack demo account: %w", err)
	}
	defer root.Close()
	var all []*tar.Header
	var newest time.Time
	err = each(func(h *tar.Header, r io.Reader) error {
		all = append(all, h)
		if h.ModTime.After(newest) {
			newest = h.ModTime
		}
		if h.Typeflag == tar.TypeDir {
			return root.MkdirAll(h.Name, 0o700)
		}
		f, err := root.OpenFile(h.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, io.LimitReader(r, maxFile))
		return errors.Join(err, f.Close())
	})
	if err != nil {
		return fmt.Errorf("unpack demo account: %w", err)
	}
	shift := time.Since(newest) - time.Hour
	for i := len(all) - 1; i >= 0; i-- { // directories after what is in them
		h := all[i]
		when := h.ModTime.Add(shift).Truncate(time.Second)
		if err := errors.Join(root.Chmod(h.Name, fs.FileMode(h.Mode).Perm()), root.Chtimes(h.Name, when, when)); err != nil {
			return fmt.Errorf("unpack demo account: %w", err)
		}
	}
	return nil
}

// makeRoot opens an empty directory, making it if need be.
func makeRoot(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty", dir)
	}
	return os.OpenRoot(dir)
}

// each goes through the archive.
func each(visit func(*tar.Header, io.Reader) error) error {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return err
	}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !filepath.IsLocal(h.Name) {
			return fmt.Errorf("archive names %q", h.Name)
		}
		if err := visit(h, t); err != nil {
			return err
		}
	}
}

// Break does one of damage's kinds to a mailbox of an unpacked account, and keeps the time of last change of what it
// damaged: bad memory leaves no date. mailbox is a storage name with "/" between the levels.
func Break(dir, mailbox, kind string) ([]string, error) {
	times := make(map[string]time.Time)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := e.Info()
		if err == nil {
			times[path] = st.ModTime()
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("break demo account: %w", err)
	}
	files, err := damage.Do(damage.Target{MailRoot: dir, Layout: Layout, Mailbox: mailbox}, kind, 2020)
	if err != nil {
		return files, fmt.Errorf("break demo account: %w", err)
	}
	for _, path := range files {
		if err := os.Chtimes(path, times[path], times[path]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return files, fmt.Errorf("break demo account: %w", err)
		}
	}
	return files, nil
}
