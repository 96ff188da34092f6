package fidelity

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"dovemend/remote/remotetest/fill"
	"dovemend/repair/dovecot"
)

// stored is a message in a dbox file.
type stored struct {
	file string
	dovecot.DboxMessage
	number int
}

// read finds the messages of a dbox file.
func readDbox(files map[string][]byte, name string) []stored {
	data, ok := files[name]
	if !ok {
		return nil
	}
	f, _, err := dovecot.ParseDbox(bytes.NewReader(data), int64(len(data)), nil)
	if err != nil {
		return nil
	}
	var all []stored
	for _, m := range f.Messages {
		all = append(all, stored{name, m, numberIn(data[m.BodyOffset : m.BodyOffset+m.BodySize])})
	}
	return all
}

func (s *stored) header() bytesOf { return bytesOf{s.file, s.Offset, s.BodyOffset} }

func (s *stored) metadata() bytesOf { return bytesOf{s.file, s.BodyOffset + s.BodySize, s.End} }

// text is the message's bytes, with a way to know where they end: its header tells the size, or metadata follows.
func (s *stored) text(ends ...evidence) every {
	return every{bytesOf{s.file, s.BodyOffset, s.BodyOffset + s.BodySize}, append(either{s.header()}, ends...)}
}

// received is when the message was received: metadata tells it, or the cache.
func (s *stored) received(x *indexEvidence, uid dovecot.UID) either {
	e := either{s.metadata()}
	if c := x.cached(uid, func(v map[string][]byte) bool { return len(v["date.received"]) == 4 }); c != nil {
		e = append(e, c)
	}
	return e
}

// sdbox: a message is in the mailbox whose folder holds its file, under the UID in the file's name.
func (o *oracle) sdbox(b *base, boxes map[string]*indexEvidence, folder func(*fill.Mailbox) string) {
	for name, m := range b.truth.Mailboxes {
		x := boxes[name]
		for _, msg := range m.Messages {
			file := path.Join(folder(m), fmt.Sprint("u.", msg.UID))
			u := dovecot.UID(msg.UID)
			found := readDbox(b.files, file)
			if len(found) != 1 {
				continue
			}
			s := &found[0]
			o.messages[name][msg.Number] = &facts{whole: every{nameOf(file), s.text(s.metadata())}, uid: nameOf(file),
				flags: x.flags(u), keywords: x.keywords(u), date: s.received(x, u)}
		}
	}
	o.away = func(box string, number int) evidence {
		if number < 0 {
			return every{} // a row without a file: that there is none can be seen
		}
		return o.alone[box]
	}
}

// mdbox: a message is in the mailboxes whose indexes refer to it, by its number in the map index or by its GUID; and one that no
// index refers to any more was first in the mailbox that its metadata names.
func (o *oracle) mdbox(b *base, boxes map[string]*indexEvidence) {
	storage := newIndexEvidence(b.files, "storage/dovecot.map.index")
	places := make(map[[2]string]*stored) // by file and offset
	for file := range b.files {
		if strings.HasPrefix(file, "storage/m.") {
			for _, s := range readDbox(b.files, file) {
				places[[2]string{file, fmt.Sprint(s.Offset)}] = &s
			}
		}
	}
	byMapUID := make(map[dovecot.UID]*stored)
	refs := make(map[dovecot.UID]int)
	entries, _ := storage.state.MapRecords()
	for _, r := range entries {
		byMapUID[r.MapUID] = places[[2]string{fmt.Sprint("storage/m.", r.FileID), fmt.Sprint(r.Offset)}]
		refs[r.MapUID] = int(r.Refs)
	}
	type holder struct {
		box string
		uid dovecot.UID
	}
	holders := make(map[dovecot.UID][]holder)
	for name, x := range boxes {
		for i := range x.state.Records {
			if p, _, ok := x.state.MapUID(&x.state.Records[i]); ok {
				holders[p] = append(holders[p], holder{name, x.state.Records[i].UID})
			}
		}
	}
	for p, s := range byMapUID {
		if s == nil {
			continue
		}
		entry := storage.latest(p, "map")
		text := s.text(every{entry, s.metadata()}, every{s.metadata()})
		for _, h := range holders[p] {
			x := boxes[h.box]
			refers := either{
				every{x.constant(h.uid, "mdbox"), entry},
				every{x.constant(h.uid, "guid"), s.metadata()},
			}
			member := refers
			if s.Mailbox == fill.StorageName(h.box) {
				// Where other mailboxes hold it too, only the number of references tells that this one does.
				first := every{s.metadata()}
				if len(holders[p]) > 1 {
					first = append(first, storage.sum(p, "ref"))
				}
				member = append(member, first)
			}
			o.messages[h.box][s.number] = &facts{whole: every{member, text}, uid: refers, flags: every{refers, x.flags(h.uid)},
				keywords: every{refers, x.keywords(h.uid)}, date: s.received(x, h.uid)}
		}
	}
	o.away = func(box string, number int) evidence {
		if number < 0 {
			return nil // it may be what Dovecot made of a damaged message
		}
		// It is dead here if it is known to be dead everywhere, or to live on elsewhere. Of a message that somebody still refers to,
		// and nobody knows who, it is no loss if it comes back to where it was first.
		others := every{o.alone[box]}
		for name, x := range boxes {
			if name != box {
				others = append(others, x.complete())
			}
		}
		e := either{others}
		for p, s := range byMapUID {
			if s == nil || s.number != number {
				continue
			}
			var elsewhere every
			for _, h := range holders[p] {
				if h.box != box {
					elsewhere = append(elsewhere, either{boxes[h.box].constant(h.uid, "mdbox"), boxes[h.box].constant(h.uid, "guid")})
				}
			}
			if len(elsewhere) == refs[p] {
				e = append(e, append(every{storage.sum(p, "ref")}, elsewhere...))
			}
			if len(elsewhere) > 0 {
				e = append(e, append(every{o.alone[box]}, elsewhere...))
			}
		}
		return e
	}
}
