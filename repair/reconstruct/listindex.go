package reconstruct

import (
	"io/fs"
	"path"
	"strings"

	"dovemend/repair/dovecot"
	"dovemend/repair/store"
)

// Listed is what the list index tells of one mailbox. It is written a while after the mailbox's own index.
type Listed struct {
	Known       bool
	GUID        dovecot.GUID
	UIDValidity uint32
	ModSeq      uint64

	HasCounts        bool // the following are told
	Messages, Unseen uint32
	NextUID          dovecot.UID
}

// ListFile is the list index, relative to the mail root.
const ListFile store.RelPath = "dovecot.list.index"

// readList reads the list index.
func (acct *Account) readList(fsys fs.FS) error {
	f, err := readFiles(fsys, string(ListFile), func(string, error) {})
	if err != nil || f.Index == nil && f.Log == nil {
		return err
	}
	state, faults := dovecot.Replay(f)
	for _, f := range faults {
		if f.Rule != "log-missing" {
			acct.ListFaults = append(acct.ListFaults, FileFault{File: indexFile(string(ListFile), f.File), Fault: f})
		}
	}
	list, faults, ok := state.List()
	if !ok {
		return nil
	}
	for _, f := range faults {
		acct.ListFaults = append(acct.ListFaults, FileFault{File: ListFile, Fault: f})
	}
	acct.List = list
	return nil
}

// listed is what the list index tells of a mailbox.
func (acct *Account) listed(m store.Mailbox) Listed {
	if acct.List == nil {
		return Listed{}
	}
	sep := "/"
	if acct.Account.Layout == store.Maildir && !acct.Account.FSLayout {
		sep = "."
	}
	byGUID := path.Base(string(m.Dir)) == m.Storage && len(m.Storage) == 32 // LAYOUT=index
	for i, n := range acct.List.Nodes {
		if byGUID && n.GUID.String() != m.Storage {
			continue
		}
		if names, ok := acct.List.Path(i); !byGUID && (!ok || strings.Join(names, sep) != m.Storage) {
			continue
		}
		if n.GUID.IsZero() && n.UIDValidity == 0 {
			return Listed{}
		}
		return Listed{Known: true, GUID: n.GUID, UIDValidity: n.UIDValidity, ModSeq: n.ModSeq, HasCounts: n.HasCounts, Messages: n.Messages, Unseen: n.Unseen, NextUID: n.NextUID}
	}
	return Listed{}
}
