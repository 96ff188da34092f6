// Package snapshot makes and reads verified local copies of an account or of some of its mailboxes: a plain directory
// tree and a manifest with hashes, in a run's folder. A file that changed while it was copied is copied again, and
// marked torn if it would not hold still. Everything is written through an [os.Root].
//
// A snapshot's directory holds
//
//	manifest.json   the list, written last; while it is missing, the snapshot is incomplete and can be resumed
//	files/          the tree, by host names (as far as the local file system can hold them; see [Entry].Local)
//	before/N/       bytes that a later look found changed or gone: earlier states are evidence too
//	partial.jsonl   while copying: the files that are done
//	incoming/       while copying: files not yet complete, but for those of a bulk transfer; lists of what there is to copy
//
// No file in files/ is ever written to once it is there: it may be a hard link that older snapshots share. The host is
// not trusted: its names cannot lead out of the directory, its sizes are bounds and never amounts to wait for, and no
// symbolic link is ever made or followed.
package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sort"
	"time"

	"dovemend/repair/store"
)

// These errors can be branched on.
var (
	// ErrOtherPartial: the directory holds an interrupted snapshot of something else.
	ErrOtherPartial = errors.New("holds an interrupted snapshot of something else")
	// ErrTooMany: the host lists more entries than a snapshot takes.
	ErrTooMany = errors.New("the host lists too many files")
	// ErrDamaged: the local copy is not what the manifest says.
	ErrDamaged = errors.New("local copy damaged")
	// ErrList: the list of a copy is cut off or damaged; its files are there, and nothing says which they should be.
	ErrList = errors.New("the list of the copy cannot be read")
	// ErrUnsettled: the copy is just being brought up to date, or that was interrupted.
	ErrUnsettled = errors.New("the copy is being brought up to date, or that was interrupted")
)

// NoSpaceError: the local disk cannot hold the snapshot. What was copied stays, so that it can be resumed.
type NoSpaceError struct {
	Need, Have int64 // bytes; Need is -1 where the disk filled up on the way, Have -1 where it cannot be told
}

func (e *NoSpaceError) Error() string {
	switch {
	case e.Need < 0:
		return "no space left on the local disk"
	case e.Have < 0:
		return fmt.Sprintf("not enough space on the local disk: %d bytes needed", e.Need)
	}
	return fmt.Sprintf("not enough space on the local disk: %d bytes needed, %d free", e.Need, e.Have)
}

// Source is the live tree a snapshot is taken from. Paths are relative to the mail root.
type Source interface {
	// List yields every entry beneath the given paths (files or directories, themselves included), in any order, from one
	// goroutine at a time. A path that does not exist yields nothing; a directory that cannot be read is yielded with Err set.
	List(ctx context.Context, paths []store.RelPath, yield func(Entry) error) error
	// Lstat gives one entry; fs.ErrNotExist where it is gone.
	Lstat(ctx context.Context, p store.RelPath) (Entry, error)
	// Open reads one regular file.
	Open(ctx context.Context, p store.RelPath) (io.ReadCloser, error)
	// Sums hashes files on the host; errors.ErrUnsupported where it cannot.
	Sums(ctx context.Context, paths []store.RelPath, yield func(i int, sum [32]byte, err error) error) error
}

// Entry is one file, directory or symbolic link, as listed or as copied. In the manifest its fields have lower-case
// names; "mode" is octal, "type" a word, and what is zero or unknown is left out.
type Entry struct {
	Path   store.RelPath // "path", or "path64" (base64) where it is not UTF-8
	Local  string        // "local": name beneath files/ where it differs from Path, else ""; for [Manifest].Earlier beneath before/
	Type   fs.FileMode   // "type": 0 "file", fs.ModeDir "dir", fs.ModeSymlink "link"; others are listed and not copied
	Mode   fs.FileMode   // "mode": permission bits, setuid, setgid, sticky
	Size   int64         // "size": bytes, of the copy where there is one
	MTime  time.Time     // "mtime": whole seconds over SFTP
	UID    int           // "uid": -1 unknown
	GID    int           // "gid"
	Inode  uint64        // "inode": 0 unknown
	Link   string        // "link" or "link64": target of a symbolic link (recorded, never followed)
	SHA256 string        // "sha256": hex, of the bytes in the copy; "" for what has none
	Torn   bool          // "torn": changed each time it was copied: the bytes are not from one moment
	Err    string        // "error": could not be read; the copy lacks it

	fresh  bool // the bytes came with this Take: nothing says yet that they are on the disk
	proved bool // the host's own bytes were hashed, or shown to be unchanged since, and are those of the copy
}

// hasBytes reports whether the copy holds the entry's bytes.
func (e *Entry) hasBytes() bool { return e.Type == 0 && e.SHA256 != "" }

// local is the entry's name beneath files/.
func (e *Entry) local() string {
	if e.Local != "" {
		return e.Local
	}
	return string(e.Path)
}

// Manifest is the list of a snapshot. It is written last; a snapshot without one is incomplete and can be resumed.
type Manifest struct {
	Version    int             // "version": 1
	Taken      time.Time       // "taken": when the copying began, by the local clock
	Root       store.HostPath  // "root", or "root64"
	Address    string          // "address"
	Layout     store.Layout    // "layout"
	Paths      []store.RelPath // "paths" and "paths64": what was asked for
	Verified   string          // "verified": "hash" (hashed on the host), "reread", "listing"
	Incomplete bool            // "incomplete": something listed could not be read, or was refused
	Refused    []Refused       // "refused": entries of the host's list that cannot be; at most 1000
	Entries    []Entry         // "entries": sorted by Path
	Earlier    []Entry         // "earlier": bytes of files that have changed or gone since they were copied, in before/
}

// Refused is an entry of the host's list that was not taken.
type Refused struct {
	Path store.RelPath // as the host gave it: may hold anything
	Why  string
}

// Reporter is told how a copy goes; all methods may be called from several goroutines.
type Reporter interface {
	Total(files int, bytes int64)
	Advance(files int, bytes int64)
	Note(text string)
}

// Options say what to copy and how. The zero value copies the whole mail root.
type Options struct {
	Root    store.HostPath // recorded in the manifest, as are Address and Layout
	Address string
	Layout  store.Layout

	Paths    []store.RelPath // what to copy, default all; for Refresh: what to hash on the host again, default all
	Previous []*Stored       // earlier ones of the same account, whose unchanged files are linked; the first that has a file counts
	Verify   string          // "" or "auto": hash on the host where it can; "full": read everything again; "listing": list again only
	Parallel int             // files in flight, default 32
	Reporter Reporter        // may be nil
}

// Stats is what a Take or Refresh did.
type Stats struct {
	Files   int   // regular files in the snapshot, with their bytes
	Bytes   int64 // of those
	Fetched int   // files downloaded
	Down    int64 // bytes downloaded, repeated copies included
	Linked  int   // files taken from the previous snapshot
	Resumed int   // files an interrupted Take had copied
	Again   int   // files copied more than once because they changed
	Torn    int
	Missing int // listed, and not readable
	Gone    int // gone or replaced since they were first copied; their bytes are in before/
}

// Snapshot is a complete local copy, with its list in memory.
type Snapshot struct{ Stored }

// Manifest gives the list. It is not to be changed.
func (s *Snapshot) Manifest() *Manifest { return &s.m }

// Digest is the SHA-256 of manifest.json, in hex: it stands for the whole snapshot.
func (s *Snapshot) Digest() string { return s.sum }

// Entry gives the entry of a path.
func (s *Snapshot) Entry(p store.RelPath) (Entry, bool) {
	i := find(s.m.Entries, p)
	if i < 0 {
		return Entry{}, false
	}
	return s.m.Entries[i], true
}

// find gives the position of a path in sorted entries, or -1.
func find(entries []Entry, p store.RelPath) int {
	i := sort.Search(len(entries), func(i int) bool { return entries[i].Path >= p })
	if i < len(entries) && entries[i].Path == p {
		return i
	}
	return -1
}
