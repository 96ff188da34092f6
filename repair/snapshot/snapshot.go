// Package snapshot makes and reads verified local copies of an account or of some of its mailboxes: a plain directory
// tree and a manifest with hashes, in a run's folder. A file that changed while it was copied is copied again, and
// marked torn if it would not hold still. Everything is written through an [os.Root].
package snapshot

import (
	"context"
	"io"
	"io/fs"
	"time"

	"dovemend/repair/store"
)

// Source is the live tree a snapshot is taken from. Paths are relative to the mail root.
type Source interface {
	// List yields every entry beneath the given paths (files or directories, themselves included), in any order.
	List(ctx context.Context, paths []store.RelPath, yield func(Entry) error) error
	// Lstat gives one entry; fs.ErrNotExist where it is gone.
	Lstat(ctx context.Context, p store.RelPath) (Entry, error)
	// Open reads one regular file.
	Open(ctx context.Context, p store.RelPath) (io.ReadCloser, error)
	// Sums hashes files on the host; errors.ErrUnsupported where it cannot.
	Sums(ctx context.Context, paths []store.RelPath, yield func(i int, sum [32]byte, err error) error) error
}

// Entry is one file, directory or symbolic link, as listed or as copied.
type Entry struct {
	Path   store.RelPath
	Local  string      // name beneath the snapshot's files/ directory where it differs from Path; else ""
	Type   fs.FileMode // 0, fs.ModeDir or fs.ModeSymlink; others are listed and not copied
	Mode   fs.FileMode // permission bits, setuid, setgid, sticky
	Size   int64
	MTime  time.Time // whole seconds over SFTP
	UID    int       // -1 unknown
	GID    int
	Inode  uint64 // 0 unknown
	Link   string // target of a symbolic link (recorded, never followed)
	SHA256 string // hex, of the bytes in the copy; "" for what has none
	Torn   bool   // changed each time it was copied: the bytes are not from one moment
	Err    string // could not be read; the copy lacks it
}

// Manifest is the list of a snapshot. It is written last; a snapshot without one is incomplete and can be resumed.
type Manifest struct {
	Version  int // 1
	Taken    time.Time
	Root     store.HostPath
	Address  string `json:",omitempty"`
	Layout   store.Layout
	Paths    []store.RelPath // what was asked for
	Entries  []Entry         // sorted by Path
	Verified string          // "hash" (hashed on the host), "reread", "listing"
}

// Snapshot API:
//
//	func Take(ctx, src Source, dst *os.Root, o Options) (*Snapshot, error)   // new, resumed if dst holds an interrupted one
//	func Open(dst *os.Root) (*Snapshot, error)
//	func (s *Snapshot) Refresh(ctx, src Source, o Options) (changed []Change, err error)  // re-list, copy what moved, verify; old bytes of a changed file are kept beside (files are never overwritten in place: hard links!)
//	func (s *Snapshot) Check(ctx) error                                      // re-hash the local bytes
//	func (s *Snapshot) FS() fs.FS (ReadLinkFS)                               // host names, relative to the mail root
//	func (s *Snapshot) Manifest() *Manifest
//	func (s *Snapshot) Entry(p RelPath) (Entry, bool)
//	func Compare(old, new []Entry) []Change
//	func FromHost(h *remote.Host, root store.HostPath) Source                // transfer.go: the only file here that imports remote

// Reporter is told how a copy goes; all methods may be called from several goroutines.
type Reporter interface {
	Total(files int, bytes int64)
	Advance(files int, bytes int64)
	Note(text string)
}
