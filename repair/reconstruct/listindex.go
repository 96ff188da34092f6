package reconstruct

import (
	"io/fs"
	"path"
	"slices"
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
	if GUIDNamed(m) {
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

// GUIDNamed reports whether a mailbox's folder is named by its GUID, as with LAYOUT=index: its name is in the list index alone.
func GUIDNamed(m store.Mailbox) bool {
	return path.Base(string(m.Dir)) == m.Storage && len(m.Storage) == 32
}

// Named is a mailbox by what the list index tells of it.
type Named struct {
	Name     string // for people
	Messages uint32
}

// Gone lists the mailboxes that the list index names and whose folders do not exist. Nothing is told where the list may be older
// than the folders, or where it does not know those that are there: then it may be the names that differ.
func (acct *Account) Gone() []Named {
	a := acct.Account
	if acct.List == nil || acct.List.Stale || len(acct.ListFaults) > 0 || a.Partial || len(a.Unreadable) > 0 || len(a.Mailboxes) == 0 {
		return nil
	}
	if acct.nodes == nil {
		acct.nameNodes()
	}
	byGUID := slices.ContainsFunc(a.Mailboxes, GUIDNamed)
	there := map[int]bool{}
	for _, m := range a.Mailboxes {
		name := m.Storage
		if byGUID {
			name = guidNode + name
		}
		i, ok := acct.nodes[name]
		if !ok && !strings.EqualFold(m.Name, "INBOX") {
			return nil
		}
		there[i] = there[i] || ok
	}
	guids := map[dovecot.GUID]bool{}
	for _, s := range acct.All() {
		guids[s.GUID] = true // renamed, perhaps
	}
	sep := acct.separator()
	var gone []Named
	for i := range acct.List.Nodes {
		n := &acct.List.Nodes[i]
		names, ok := acct.List.Path(i)
		if there[i] || !ok || n.Nonexistent || n.NoSelect || n.NameBroken || n.GUID.IsZero() || n.UIDValidity == 0 || guids[n.GUID] {
			continue
		}
		if name := strings.Join(names, sep); !strings.EqualFold(name, "INBOX") {
			for k := range names {
				names[k] = store.DecodeName(names[k])
			}
			gone = append(gone, Named{strings.Join(names, "/"), n.Messages})
		}
	}
	return gone
}

func (acct *Account) separator() string {
	if acct.Account.Layout == store.Maildir && !acct.Account.FSLayout {
		return "."
	}
	return "/"
}

// guidNode begins the key of a node that is found by its GUID: no name has a NUL in it.
const guidNode = "\x00"

// nameNodes notes where each mailbox is in the list index, by its storage name and by its GUID; of several the first.
func (acct *Account) nameNodes() {
	sep := acct.separator()
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
