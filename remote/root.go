package remote

// Class says what a path is meant to be; the guard checks that it is one.
type Class string

const (
	ClassCache       Class = "cache"        // the file dovecot.index.cache
	ClassIndex       Class = "index"        // the file dovecot.index
	ClassIndexFile   Class = "index-file"   // dovecot.index, .backup, .log, .log.2, .cache (and those of the map and list index, for writing)
	ClassMailboxFile Class = "mailbox-file" // any regular file directly in one mailbox's own folder
	ClassFolder      Class = "folder"       // a directory of a mailbox
	ClassTemp        Class = "temp"         // a file of our own: name begins with ".dovemend-"
	ClassAside       Class = "aside"        // something at or beneath dovemend-aside/; for writing only
)

// Root API (guard.go, change.go):
//
//	A Root is the mail root of one account: the directory that holds mailboxes/, or the Maildir.
//	Removal is possible only strictly beneath mailboxes/ in it; where there is none, nothing can be removed at all.
//
//	func (r *Root) Dir() string
//	func (r *Root) Removable() bool                                                  // there is a mailboxes tree
//	func (r *Root) Guard(ctx, rel string, class Class) (GuardedPath, error)          // for removal
//	func (r *Root) GuardWrite(ctx, rel string, class Class) (WritablePath, error)    // for mkdir, rename, put, attributes
//	func Rules() []Rule                                                              // the table: name, text
//	type GuardError struct{ Rule, Path string; Err error }                           // errors.Is(err, ErrGuard)
//
//	in change.go, nothing else changes the host:
//	func (r *Root) Remove(ctx, GuardedPath) error              // a regular file; lstat decides first
//	func (r *Root) RemoveDir(ctx, GuardedPath) error           // an empty directory
//	func (r *Root) Mkdir(ctx, WritablePath, Attr) error
//	func (r *Root) Rename(ctx, from, to WritablePath) error    // never overwrites
//	func (r *Root) Put(ctx, temp, to WritablePath, src io.Reader, Attr) error // writes temp (O_EXCL or, if it is ours from an interrupted run, truncated), syncs, sets attributes, renames; never overwrites
//	func (r *Root) SetAttr(ctx, WritablePath, Attr) error
//	func (h *Host) Signal(ctx, Process, sig) error             // pid, start time and owner checked in the same remote command
//	type Attr struct { Mode fs.FileMode; MTime time.Time }     // zero MTime: left as it is; SFTP v3 keeps whole seconds
