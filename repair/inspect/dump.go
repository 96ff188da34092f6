package inspect

import (
	"iter"

	"dovemend/repair/dovecot"
)

// A Dump is what one file tells. The part that is set is that of its kind.
type Dump struct {
	Path string `json:"path"` // as it was asked for; of a folder with the names in it behind
	Kind Kind   `json:"kind"`
	Size Maybe  `json:"size"` // bytes; of Maildir messages of all of them

	Index         *Index         `json:"index,omitempty"`
	State         *State         `json:"state,omitempty"`
	Log           *Log           `json:"log,omitempty"`
	Cache         *Cache         `json:"cache,omitempty"`
	Dbox          *Dbox          `json:"dbox,omitempty"`
	UIDList       *UIDList       `json:"uidlist,omitempty"`
	Keywords      *Keywords      `json:"keywords,omitempty"`
	Subscriptions *Subscriptions `json:"subscriptions,omitempty"`
	MailboxLog    *MailboxLog    `json:"mailbox_log,omitempty"`
	UIDValidity   *UIDValidity   `json:"uidvalidity,omitempty"`
	Maildir       *Maildir       `json:"maildir,omitempty"`

	Note   Word            `json:"note,omitempty"`  // of what is not dumped: why
	Error  Word            `json:"error,omitempty"` // why the file, or the rest of it, could not be read
	Faults iter.Seq[Fault] `json:"faults"`          // what is wrong, known when the parts before are read

	faults []Fault
}

// A Fault is one thing wrong in a file: a [dovecot.Fault].
type Fault struct {
	Offset int64  `json:"offset"`         // in bytes, 0 to the length of the file
	Rule   Word   `json:"rule"`           // stable, in kebab-case
	Detail Word   `json:"detail"`         // in words
	File   string `json:"file,omitempty"` // of a state: in which of its files (index, backup, log, log2)
}

// newDump makes the dump of a file that has no part yet.
func newDump(path string, kind Kind, size int64) *Dump {
	d := &Dump{Path: path, Kind: kind, Size: Maybe(size)}
	d.Faults = func(yield func(Fault) bool) {
		for _, f := range d.faults {
			if !yield(f) {
				return
			}
		}
	}
	return d
}

func (d *Dump) wrong(list []dovecot.Fault) {
	for _, f := range list {
		d.faults = append(d.faults, Fault{f.Offset, Word(f.Rule), Word(f.Detail), f.File})
	}
}
