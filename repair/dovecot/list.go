package dovecot

import "bytes"

// List is what a mailbox list index (dovecot.list.index) tells. In ordinary layouts it is a cache; with LAYOUT=index it
// is the only place where mailbox names are.
type List struct {
	Nodes []ListNode
	Stale bool // Dovecot has noted that it must be compared with the mailboxes, some of which came, left or were renamed
	byUID map[UID]int
}

// ListNode is a name in the tree of mailboxes: struct mailbox_list_index_record and its counters.
type ListNode struct {
	UID         UID // of the node in the list index
	Parent      UID // 0: a top-level name
	Name        string
	GUID        GUID // zero where it is no mailbox, or not known
	UIDValidity uint32
	Nonexistent bool
	NoSelect    bool
	NoInferiors bool
	NameBroken  bool

	HasCounts                bool // the following are told
	Messages, Unseen, Recent uint32
	NextUID                  UID
	ModSeq                   uint64 // highest; 0 where it is not told
}

// List reads the nodes of a mailbox list index. ok is false where this is none.
func (s *State) List() (l *List, list []Fault, ok bool) {
	e, msgs := s.Ext("list"), s.Ext("msgs")
	if e == nil {
		return nil, nil, false
	}
	fs := &faults{}
	names := listNames(e.Header, fs)
	l = &List{byUID: map[UID]int{}, Stale: len(e.Header) > 0 && e.Header[0] != 0}
	for i := range s.Records {
		r := &s.Records[i]
		v := s.Value(r, e)
		n := ListNode{UID: r.UID, Parent: UID(u32(v, 4)), UIDValidity: u32(v, 24),
			Nonexistent: r.Flags&FlagDeleted != 0, NoSelect: r.Flags&FlagDraft != 0, NoInferiors: r.Flags&FlagAnswered != 0, NameBroken: r.Flags&FlagSeen != 0}
		if len(v) >= 24 {
			n.GUID = GUID(v[8:24])
		}
		name, known := names[u32(v, 0)]
		if !known {
			fs.add(0, "list-name", "node %d has a name of number %d, which the header does not tell", r.UID, u32(v, 0))
		}
		n.Name = name
		if v := s.Value(r, msgs); len(v) >= 16 {
			n.HasCounts = true
			n.Messages, n.Unseen, n.Recent, n.NextUID = u32(v, 0), u32(v, 4), u32(v, 8), UID(u32(v, 12))
		}
		n.ModSeq, _ = s.number(r, "hmodseq")
		l.byUID[n.UID] = len(l.Nodes)
		l.Nodes = append(l.Nodes, n)
	}
	for i := range l.Nodes {
		if l.Nodes[i].Parent == 0 {
			continue
		}
		if _, known := l.byUID[l.Nodes[i].Parent]; !known {
			fs.add(0, "list-parent", "node %d has the parent %d, which does not exist", l.Nodes[i].UID, l.Nodes[i].Parent)
		}
	}
	return l, fs.all(), true
}

// listNames reads struct mailbox_list_index_header: a byte, then numbers with names until number 0.
func listNames(h []byte, fs *faults) map[uint32]string {
	names := map[uint32]string{}
	for at, last := 1, uint32(0); at+4 <= len(h); {
		id := u32(h, at)
		if id == 0 {
			break
		}
		end := bytes.IndexByte(h[at+4:], 0)
		if end < 0 || id <= last {
			fs.add(0, "list-header", "the names in the header end badly at byte %d", at)
			break
		}
		names[id], last = string(h[at+4:at+4+end]), id
		at += 4 + end + 1
	}
	return names
}

// Path is the name of a node with those above it, top level first. ok is false where a parent is missing or the nodes
// go round in a circle.
func (l *List) Path(i int) (path []string, ok bool) {
	for range 256 {
		n := l.Nodes[i]
		path = append(path, n.Name)
		if n.Parent == 0 {
			for a, b := 0, len(path)-1; a < b; a, b = a+1, b-1 {
				path[a], path[b] = path[b], path[a]
			}
			return path, true
		}
		if i, ok = l.byUID[n.Parent]; !ok {
			break
		}
	}
	return nil, false
}
