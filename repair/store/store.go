// Package store knows where mail is and in which layout: it finds accounts and mailboxes in an [io/fs.FS] (a live host's
// or a snapshot's) and decodes mailbox names. It reads, and only reads; it opens no mail.
//
// Everything a host says is bounded here: the depth and number of directories read, the entries taken from each, and
// the bytes read of an index. Directories are read in parallel, since over SFTP each one costs several round trips.
package store

import (
	"io/fs"
)

// HostPath is an absolute, clean slash path on the host.
type HostPath string

// RelPath is a clean slash path relative to an account's mail root. It may hold any byte but NUL and never "..".
type RelPath string

// Layout is how Dovecot stores an account's mail.
type Layout string

// The layouts dovemend knows.
const (
	MDBox   Layout = "mdbox"
	SDBox   Layout = "sdbox"
	Maildir Layout = "maildir"
)

// Account is one address's mail on the host.
type Account struct {
	Address   string   // user@domain where the path tells it, else ""
	Root      HostPath // the mail root: the directory that holds mailboxes/, or the Maildir; symbolic links resolved
	Layout    Layout
	FSLayout  bool      // Maildir with LAYOUT=fs (A/B/cur) rather than Maildir++ (.A.B/cur)
	Tree      bool      // there is a mailboxes tree, beneath which removal is possible
	Mailboxes []Mailbox // sorted, INBOX first

	Files      []RelPath // account-wide files found directly in the mail root: subscriptions, list index, …
	Unreadable []RelPath // folders that could not be read, so that mailboxes beneath them may be missing here
	Partial    bool      `json:",omitempty"` // a copy of some mailboxes only: others may exist
}

// Mailbox is one mailbox of an account.
type Mailbox struct {
	Name    string  // for people: decoded from modified UTF-7, hierarchy separated by "/"; may hold anything, print it quoted
	Storage string  // as on disk, hierarchy separated by the layout's separator; the GUID with LAYOUT=index
	Dir     RelPath // its own folder: "mailboxes/INBOX/dbox-Mails", ".Archive.2020", "." for a Maildir's INBOX
}

// Size is how much mail there is in a mailbox or account. -1 where it cannot be told.
type Size struct {
	Messages int
	Bytes    int64 // of the files that belong to it alone; for an mdbox mailbox see [Measure]
}

// FS is what store and snapshot read from: [fs.FS] with Lstat and ReadLink.
type FS = fs.ReadLinkFS
