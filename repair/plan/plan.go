// Package plan decides what a repair will do, as data: a [Plan] is the dry run, the review, the input of apply and of
// undo. It does no I/O, and holds nothing live.
package plan

import (
	"errors"
	"io/fs"
	"time"

	"dovemend/repair/store"
)

// ErrWouldLoseData: the remedy costs something the user has not accepted by name.
var ErrWouldLoseData = errors.New("would lose data")

// Remedy is what is done about a broken mailbox.
type Remedy string

// The direct remedies, from the least destructive on.
const (
	DropCache Remedy = "drop-cache"
	DropIndex Remedy = "drop-index"
	Clear     Remedy = "clear"
	Undo      Remedy = "undo" // only as the plan of an undo
)

// Loss is one kind of thing a remedy can cost.
type Loss string

// What --accept-loss takes.
const (
	LossFlags    Loss = "flags"
	LossKeywords Loss = "keywords"
	LossUIDs     Loss = "uids"
	LossMessages Loss = "messages"
)

// Cost is one loss a plan brings, measured on the copy.
type Cost struct {
	Loss    Loss
	Mailbox string
	Count   int    // messages concerned
	Text    string // "the flags of 45 messages"
}

// Op is what a step does.
type Op string

// The operations; each is one changing verb of remote.Root.
const (
	OpRemove    Op = "remove"     // file Path
	OpRemoveDir Op = "remove-dir" // empty directory Path
	OpMkdir     Op = "mkdir"      // directory Path
	OpRename    Op = "rename"     // Path to To (setting aside, and taking back)
	OpPut       Op = "put"        // new file Path from Source
	OpSetAttr   Op = "set-attr"   // mode and mtime of Path
)

// Expect is what must be found at a step's Path just before it acts.
type Expect struct {
	Absent bool        `json:",omitempty"`
	Type   fs.FileMode `json:",omitempty"` // 0 file, fs.ModeDir
	Size   int64       `json:",omitempty"`
	MTime  time.Time   `json:",omitzero"`
	SHA256 string      `json:",omitempty"` // hash of the snapshot's copy: compared where bytes are compared
}

// Step is one change of one thing on the host.
type Step struct {
	Seq    int
	Op     Op
	Path   store.RelPath
	To     store.RelPath `json:",omitempty"`
	Class  string        // the guard's class
	Expect Expect
	Source string      `json:",omitempty"` // for put: file in the run folder that holds the bytes
	SHA256 string      `json:",omitempty"` // for put
	Mode   fs.FileMode `json:",omitempty"` // for put, mkdir, set-attr
	MTime  time.Time   `json:",omitzero"`
	Why    string      // for people
}

// Plan is what one repair of one account will do.
type Plan struct {
	Version   int // 1
	Run       string
	Root      store.HostPath
	Layout    store.Layout
	Remedy    Remedy
	Aside     bool
	Mailboxes []string
	Steps     []Step
	Costs     []Cost
	Promise   []Promise // what must be true afterwards, per mailbox
	Notes     []string  // what the reader should know
	Snapshot  string    // SHA-256 of the manifest it was built from
}

// Promise is what verification compares with.
type Promise struct {
	Mailbox  string
	Messages int             // how many messages Dovecot must show; -1 not foretold
	Flags    bool            // flags and keywords must be as in the State
	UIDs     bool            // UIDs and UIDVALIDITY must be as in the State
	Gone     []store.RelPath // must not exist, or be new
	Kept     []store.RelPath `json:",omitempty"` // must be byte for byte as in the snapshot (of clients' own changes: told, not failed)
}
