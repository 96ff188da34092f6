// Package plan decides what a repair will do, as data: a [Plan] is the dry run, the review, the input of apply and of
// undo. It does no I/O, and holds nothing live.
package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"dovemend/repair/store"
)

// Remedy is what is done about a broken mailbox.
type Remedy string

// The remedies, from the least destructive on.
const (
	DropCache Remedy = "drop-cache"
	Rebuild   Remedy = "rebuild"
	DropIndex Remedy = "drop-index"
	Clear     Remedy = "clear"
	Evacuate  Remedy = "evacuate" // moves the messages to another mailbox over IMAP, and clears
	Undo      Remedy = "undo"     // only as the plan of an undo
	Auto      Remedy = "auto"     // the least destructive one that cures what was found; a plan has that one's name
)

// Op is what a step does.
type Op string

// The operations; each is one changing verb of remote.Root.
const (
	OpRemove    Op = "remove"     // file Path
	OpRemoveDir Op = "remove-dir" // empty directory Path
	OpMkdir     Op = "mkdir"      // directory Path; one that is there already is as good
	OpRename    Op = "rename"     // Path to To, where nothing may stand (setting aside, and taking back)
	OpPut       Op = "put"        // new file Path from Source, written as Temp first
	OpSetAttr   Op = "set-attr"   // mode and mtime of Path
)

// The classes of paths that the guard knows; remote.Class has the same.
const (
	ClassCache       = "cache"
	ClassIndex       = "index"
	ClassIndexFile   = "index-file"
	ClassMailboxFile = "mailbox-file"
	ClassFolder      = "folder"
	ClassTemp        = "temp"
	ClassAside       = "aside"
)

// AsideDir is the directory in a mail root beneath which things are set aside, a directory per run.
const AsideDir store.RelPath = "dovemend-aside"

// Expect is what must be found at a step's Path just before it acts.
type Expect struct {
	Absent bool        `json:"absent,omitempty"`
	Type   fs.FileMode `json:"type,omitempty"` // 0 file, fs.ModeDir
	Size   int64       `json:"size,omitempty"`
	MTime  time.Time   `json:"mtime,omitzero"`   // compared in whole seconds
	SHA256 string      `json:"sha256,omitempty"` // hash of the snapshot's copy: compared where bytes are compared
}

// Step is one change of one thing on the host.
type Step struct {
	Seq     int             // from 1 on, in the order of doing
	Op      Op              // what is done
	Path    store.RelPath   // to what
	To      store.RelPath   // for rename: the new name; nothing may stand there
	Temp    store.RelPath   // for put: the name under which the bytes are written before they are complete
	Class   string          // the guard's class of Path
	ToClass string          // the guard's class of To
	Expect  Expect          // of Path, before
	Clear   []store.RelPath // where nothing may stand either, just before
	Source  store.RelPath   // for put: what holds the bytes, a file in the snapshot of the run Plan.Of, or without one a file that this run has made
	Size    int64           // for put: how many bytes
	SHA256  string          // for put: their hash
	Mode    fs.FileMode     // for put, mkdir, set-attr
	MTime   time.Time       // for put, set-attr; zero leaves it
	Why     string          // for people
}

// Scope says how far an undo goes in one folder.
type Scope string

// The scopes. Index files only mean something together: an undo brings back all of a folder's or none.
const (
	ScopeTouched Scope = "touched" // the files the run touched, nothing else
	ScopeIndex   Scope = "index"   // the index files as a whole
	ScopeOwn     Scope = "own"     // of a Maildir: index files, uidlist and keywords as a whole
	ScopeAll     Scope = "all"     // every file directly in the folder (dbox)
)

// Folder is a directory whose contents the plan changes, as it was before: what an undo brings back last.
type Folder struct {
	Path    store.RelPath
	Mailbox string // name for people
	Scope   Scope
	Mode    fs.FileMode
	MTime   time.Time // zero where it is not known
}

// Plan is what one repair of one account will do.
type Plan struct {
	Version   int // 1
	Run       string
	Of        string // for an undo: the run that is undone, whose snapshot holds the bytes to put back
	Root      store.HostPath
	Layout    store.Layout
	Remedy    Remedy
	Aside     bool
	Mailboxes []string
	Steps     []Step
	Moves     *Moves // of an evacuation, and of taking one back; nil otherwise
	Folders   []Folder
	Costs     []Cost
	Facts     []Facts   // what was counted before, per mailbox
	Promise   []Promise // what must be true afterwards, per mailbox
	Notes     []string  // what the reader should know
	Snapshot  string    // SHA-256 of the manifest it was built from
}

// Empty reports whether the plan has nothing to do.
func (p *Plan) Empty() bool { return len(p.Steps) == 0 && p.Moves == nil }

// Promise is what verification compares with.
type Promise struct {
	Mailbox     string
	Messages    int             // how many messages Dovecot must show; -1 not foretold
	Flags       bool            // flags and keywords must be as before
	UIDs        bool            // UIDs and UIDVALIDITY must be as before
	UIDValidity uint32          // what UIDVALIDITY must be; 0: as before
	Again       bool            // the plan only makes it possible to look: what the mailbox needs is found by another run
	LeftOut     []uint32        // UIDs of messages that are moved out of the mailbox
	Gone        []store.RelPath // must not exist, or be new
	Kept        []store.RelPath // must be byte for byte as in the snapshot (of clients' own changes: told, not failed)
}

// Sum is the SHA-256, in hex, of the plan's JSON: it changes when anything in the plan does.
func (p *Plan) Sum() (string, error) {
	h := sha256.New()
	if err := p.write(h, false); err != nil {
		return "", fmt.Errorf("hash plan: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Mends reports whether the plan does anything about the damage of a mailbox's files: removing the cache alone does not.
func (p *Plan) Mends(mailbox string) bool {
	if p.Remedy == DropCache {
		return false
	}
	return slices.ContainsFunc(p.Folders, func(f Folder) bool { return f.Mailbox == mailbox }) || slices.ContainsFunc(p.Folders, func(f Folder) bool { return f.Mailbox == "" })
}

// Touches lists the directories and files of which a fresh snapshot is needed before the plan is undone: the folders
// it changes and what it set aside. Some may not exist.
func (p *Plan) Touches() []store.RelPath {
	var paths []store.RelPath
	for _, f := range p.Folders {
		base := path.Base(string(f.Path))
		sub := base == "cur" || base == "new" || base == "tmp"
		switch {
		case f.Mailbox == "" && f.Scope == ScopeIndex: // what all mailboxes share: only what the plan touches in it, and its index
			paths = append(paths, p.touched(f.Path)...)
			for _, n := range indexNames {
				for _, prefix := range indexPrefixes[1:] {
					paths = append(paths, join(f.Path, strings.Replace(n, "dovecot.index", prefix, 1)))
				}
			}
		case p.Layout != store.Maildir || sub:
			paths = append(paths, f.Path)
		default: // a Maildir's own folder may hold its sub-mailboxes too
			for _, n := range append(append([]string(nil), indexNames...), "dovecot-uidlist", "dovecot-keywords") {
				paths = append(paths, join(f.Path, n))
			}
		}
	}
	return append(paths, AsideDir+"/"+store.RelPath(p.Run))
}

// touched lists what the steps name directly in a folder.
func (p *Plan) touched(dir store.RelPath) []store.RelPath {
	var paths []store.RelPath
	for _, s := range p.Steps {
		for _, q := range []store.RelPath{s.Path, s.To} {
			if q != "" && parent(q) == dir && !slices.Contains(paths, q) {
				paths = append(paths, q)
			}
		}
	}
	return paths
}
