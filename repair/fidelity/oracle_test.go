package fidelity

import (
	"bytes"
	"fmt"
	"path"
	"strconv"
	"strings"

	"dovemend/remote/remotetest/damage"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/mailgen"
	"dovemend/repair/dovecot"
)

// oracle knows of every fact about a store which bytes tell it. It is made from the sound files.
//
// It errs on the side of the repair. What only a comparison of many weak hints would tell is left out: which file of a Maildir
// had which UID by the order of both; the UID of a message whose index record is damaged by the neighbours of the record; keyword names by
// the order in which logs first use them; system flags by the counters of the list index; and a well-formed UIDVALIDITY in
// a uidlist that only the index contradicts. A log record or index record of which one byte is lost is taken to be lost as a whole, and so is
// the cache. Of what Dovecot itself wrote over the broken files when it looked at them, nothing is asked.
type oracle struct {
	messages map[string]map[int]*facts // by mailbox and number
	validity map[string]evidence       // of mailboxes
	alone    map[string]evidence       // that the mailbox holds nothing but its messages
	away     func(mailbox string, number int) evidence
}

// facts are what can be lost of a message.
type facts struct{ whole, flags, keywords, uid, date evidence }

// tells is the evidence of what was lost; nil where the oracle knows of none.
func (o *oracle) tells(l lost) evidence {
	switch l.what {
	case validity:
		return o.validity[l.mailbox]
	case single:
		return o.alone[l.mailbox]
	case dead:
		return o.away(l.mailbox, l.number)
	}
	f := o.messages[l.mailbox][l.number]
	if f == nil {
		return nil
	}
	return map[attribute]evidence{whole: f.whole, flags: f.flags, keywords: f.keywords, uid: f.uid, date: f.date}[l.what]
}

// newOracle reads a store.
func newOracle(layout string, layoutFS bool, b *base) oracle {
	o := oracle{messages: make(map[string]map[int]*facts), validity: make(map[string]evidence), alone: make(map[string]evidence)}
	folder := func(m *fill.Mailbox) string {
		dir := damage.Target{MailRoot: "/", Layout: layout, LayoutFS: layoutFS, Mailbox: fill.StorageName(m.Name)}.Folder()
		return strings.TrimPrefix(dir, "/")
	}
	list := listIndex(b)
	boxes := make(map[string]*indexEvidence)
	for name, m := range b.truth.Mailboxes {
		x := newIndexEvidence(b.files, path.Join(folder(m), "dovecot.index"))
		boxes[name] = x
		o.messages[name] = make(map[int]*facts)
		o.validity[name] = append(x.header(24, 28), list.validity(m)...)
		o.alone[name] = x.complete()
	}
	switch layout {
	case "mdbox":
		o.mdbox(b, boxes)
	case "sdbox":
		o.sdbox(b, boxes, folder)
	case "maildir":
		o.maildir(b, boxes, folder)
	}
	return o
}

// unknown are the facts about a sound store that the oracle does not know.
func (o *oracle) unknown(truth *fill.Truth) []string {
	var all []string
	ask := func(l lost) {
		if e := o.tells(l); e == nil || !e.told(&ruins{}) {
			all = append(all, fmt.Sprintf("%s of message %d in %s", l.what, l.number, l.mailbox))
		}
	}
	for name, m := range truth.Mailboxes {
		ask(lost{mailbox: name, number: -1, what: validity})
		ask(lost{mailbox: name, number: -1, what: single})
		for _, msg := range m.Messages {
			for _, a := range []attribute{whole, flags, keywords, uid, date} {
				ask(lost{mailbox: name, number: msg.Number, what: a})
			}
		}
	}
	return all
}

// listOf is what dovecot.list.index tells.
type listOf struct {
	all   evidence
	nodes map[string]uint32 // UIDVALIDITY by storage name
}

// listIndex reads the mailbox list index. It is believed as a whole or not at all.
func listIndex(b *base) listOf {
	const name = "dovecot.list.index"
	l := listOf{nodes: make(map[string]uint32)}
	s, _ := dovecot.Replay(filesOf(b.files, name))
	if s == nil {
		return l
	}
	list, _, ok := s.List()
	if !ok {
		return l
	}
	for i, n := range list.Nodes {
		if parts, ok := list.Path(i); ok {
			l.nodes[strings.Join(parts, "/")] = n.UIDValidity
		}
	}
	var all every
	for _, suffix := range []string{"", ".log", ".log.2"} {
		if data, ok := b.files[name+suffix]; ok {
			all = append(all, bytesOf{name + suffix, 0, int64(len(data))})
		}
	}
	l.all = all
	return l
}

func (l listOf) validity(m *fill.Mailbox) either {
	if v, ok := l.nodes[fill.StorageName(m.Name)]; ok && v == m.UIDValidity {
		return either{l.all}
	}
	return nil
}

// filesOf are the files of one index.
func filesOf(files map[string][]byte, prefix string) dovecot.Files {
	return dovecot.Files{Index: files[prefix], Backup: files[prefix+".backup"], Log: files[prefix+".log"], Log2: files[prefix+".log.2"]}
}

// numberIn finds the number of a message in its text; -1 where there is none.
func numberIn(text []byte) int {
	_, rest, ok := bytes.Cut(text, []byte(mailgen.NumberHeader+": "))
	if !ok {
		return -1
	}
	end := bytes.IndexAny(rest, "\r\n")
	n, err := strconv.Atoi(string(rest[:max(end, 0)]))
	if err != nil {
		return -1
	}
	return n
}
