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
	if acct.nodes == nil {
		acct.nameNodes()
	}
	name := m.Storage
	if path.Base(string(m.Dir)) == m.Storage && len(m.Storage) == 32 { // LAYOUT=index
		name = guidNode + name
	}
	i, ok := acct.nodes[name]
	if !ok {
		return Listed{}
	}
	n := &acct.List.Nodes[i]
	if n.GUID.IsZero() && n.UIDValidity == 0 {
		return Listed{}
	}
	return Listed{Known: true, GUID: n.GUID, UIDValidity: n.UIDValidity, ModSeq: n.ModSeq, HasCounts: n.HasCounts, Messages: n.Messages, Unseen: n.Unseen, NextUID: n.NextUID}
}

// guidNode begins the key of a node that is found by its GUID: no name has a NUL in it.
const guidNode = "\x00"

// nameNodes notes where each mailbox is in the list index, by its storage name and by its GUID; of several the first.
func (acct *Account) nameNodes() {
	sep := "/"
	if acct.Account.Layout == store.Maildir && !acct.Account.FSLayout {
		sep = "."
	}
	acct.nodes = make(map[string]int, 2*len(acct.List.Nodes))
	note := func(key string, i int) {
		if _, ok := acct.nodes[key]; !ok {
			acct.nodes[key] = i
		}
	}
	for i := range acct.List.Nodes {
		note(guidNode+acct.List.Nodes[i].GUID.String(), i)
		if names, ok := acct.List.Path(i); ok {
			note(strings.Join(names, sep), i)
		}
	}
}
