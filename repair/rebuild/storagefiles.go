package rebuild

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
)

// maxMend is how long a file of the storage may be to be written anew, in bytes: it has to go over the line whole.
const maxMend = 1 << 30

// files mends the files of an mdbox storage. Where they lie, messages stay; only their framing is written anew.
type files struct {
	b    *builder
	t    *reconstruct.Storage
	fate map[*reconstruct.Stored]string // why a message cannot stay
	ends map[*reconstruct.Stored]int64  // where a message ends in the mended file
	cut  map[*reconstruct.Stored]bool   // it is no longer in the mended file
	of   map[*reconstruct.Stored]*reconstruct.Message

	holes []hole // those at whose beginning the map index knows no message
}

func (f *files) mend(ctx context.Context) error {
	f.ends, f.cut = map[*reconstruct.Stored]int64{}, map[*reconstruct.Stored]bool{}
	of := map[int][]*reconstruct.Stored{}
	for i := range f.t.Stored {
		st := &f.t.Stored[i]
		of[st.File] = append(of[st.File], st)
	}
	for i := range f.t.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		file := &f.t.Files[i]
		if file.ID == 0 || file.Why != nil || !f.wanted(i, of[i]) {
			continue
		}
		if err := f.file(i, of[i]); err != nil {
			return fmt.Errorf("%s: %w", file.Name, err)
		}
	}
	return nil
}

// wanted reports whether a file has to be mended: Dovecot reads all of it when it purges it, up to what is damaged.
func (f *files) wanted(n int, list []*reconstruct.Stored) bool {
	amid, tail := f.t.Holed(n)
	return amid || tail || slices.ContainsFunc(list, func(st *reconstruct.Stored) bool { return st.Claims > 0 && framing(st) != 0 })
}

// framing is the damage that keeps Dovecot from reading on.
func framing(st *reconstruct.Stored) dovecot.DboxDamage {
	return st.Damage &^ (dovecot.DboxAltered | dovecot.DboxFileHeaderLost)
}

// file mends one file.
func (f *files) file(n int, list []*reconstruct.Stored) error {
	file := &f.t.Files[n]
	if file.Size > maxMend {
		for _, st := range list {
			if st.Damage&^dovecot.DboxAltered != 0 {
				f.fate[st] = "the file it is in is too long to be written anew"
			}
		}
		return nil
	}
	src, err := f.b.texts.Open(string(file.Name))
	if err != nil {
		return err
	}
	defer src.Close()
	base, err := reconstruct.ReaderAt(src, file.Size)
	if err != nil {
		return err
	}
	p := &patched{base: base, given: file.Size, size: file.Size}
	if err := f.head(file, list, p); err != nil {
		return err
	}
	if err := f.tile(file, p, list); err != nil {
		return err
	}
	if err := f.prove(p, list); err != nil {
		return err
	}
	f.b.take(TakeOut{Path: file.Name, Why: "replaced by the same file with the framing of its messages mended"})
	return f.b.put(NewFile{Path: file.Name, Mode: f.b.modeOf(file.Name), MTime: file.MTime, Why: "a file of the storage, the framing of its messages mended"}, func(w io.Writer) error {
		_, err := io.Copy(w, io.NewSectionReader(p, 0, p.size))
		return err
	})
}

// head writes the file's first line anew where it cannot be read.
func (f *files) head(file *reconstruct.File, list []*reconstruct.Stored, p *patched) error {
	if file.Header != 0 || len(list) == 0 {
		return nil
	}
	created := uint32(f.b.Now.Unix())
	if !file.MTime.IsZero() {
		created = uint32(file.MTime.Unix())
	}
	line, err := dovecot.AppendDboxFileHeader(nil, created, list[0].Offset)
	if err != nil {
		return err
	}
	p.patch(0, line)
	return nil
}

// tile makes a file one message behind the other, from its head to its end: Dovecot reads it so. What cannot stay, and what is no message,
// becomes a message that nothing refers to, or room behind the metadata of the one before it; at the file's end it is cut off.
func (f *files) tile(file *reconstruct.File, p *patched, list []*reconstruct.Stored) error {
	var stay []*reconstruct.Stored
	for _, st := range list {
		if why := f.unfit(st); why != "" {
			f.fate[st] = why
			continue
		}
		stay = append(stay, st)
	}
	for i := 0; i < len(stay); i++ { // those without room for their metadata cannot stay either
		if framing(stay[i]) == 0 || i+1 == len(stay) {
			continue
		}
		if _, err := f.lines(p, stay[i], 0, stay[i+1].Offset-textEnd(stay[i])); err != nil {
			f.fate[stay[i]] = "there is no room where its framing stood"
			stay = slices.Delete(stay, i, i+1)
			i = max(i-2, -1) // the one before has more room now
		}
	}
	at := file.Header
	if at == 0 && len(list) > 0 {
		at = list[0].Offset
	}
	if len(stay) > 0 && at < stay[0].Offset && stay[0].Offset-at >= leastTile {
		if err := f.bury(p, file, list, at, stay[0].Offset); err != nil {
			return err
		}
	}
	for i, st := range stay {
		next := int64(-1) // nothing follows
		if i+1 < len(stay) {
			next = stay[i+1].Offset
		}
		end, err := f.message(p, st, f.room(list, st, next), next)
		if err != nil {
			return err
		}
		at = end
		if next > end {
			if err := f.bury(p, file, list, end, next); err != nil {
				return err
			}
		}
	}
	for _, st := range list {
		if f.fate[st] != "" && f.ends[st] == 0 {
			f.cut[st] = true
		}
	}
	p.size = at
	return nil
}

// leastTile is how long a message is at least that fills a hole, in bytes.
const leastTile = 160

// textEnd is where a message's text ends.
func textEnd(st *reconstruct.Stored) int64 { return st.BodyOffset + st.BodySize }

// unfit says why a message cannot stay where it is; "" where it can.
func (f *files) unfit(st *reconstruct.Stored) string {
	if framing(st) == 0 {
		return ""
	}
	if why := broken(f.claimed(st)); why != "" {
		return why
	}
	if st.BodyOffset != st.Offset+messageHeader {
		return "where it begins cannot be made out"
	}
	return ""
}

// room is up to where a message's metadata may reach without taking anything from a hole: to what comes next in the file.
func (f *files) room(list []*reconstruct.Stored, st *reconstruct.Stored, next int64) int64 {
	i := slices.Index(list, st)
	if i+1 < len(list) {
		return list[i+1].Offset
	}
	return next
}

// message leaves a message that stays as it is, or mends its framing. Its metadata end at first where they fit, else behind that, and
// at next where what is left is too short for a message. -1 is the end of the file.
func (f *files) message(p *patched, st *reconstruct.Stored, first, next int64) (end int64, err error) {
	from := textEnd(st)
	whole := framing(st) == 0
	if whole && next >= 0 && next < st.End {
		return 0, unproven("two messages overlap at %d", next)
	}
	if whole && (next < 0 || st.End == next || next-st.End >= leastTile) {
		return st.End, nil
	}
	var lines []byte
	switch {
	case next < 0:
		lines, err = f.lines(p, st, 0, unlimited)
	case whole:
		lines, err = f.lines(p, st, next-from, next-from)
	default:
		if lines, err = f.lines(p, st, first-from, first-from); err != nil || first != next && next-first < leastTile {
			if lines, err = f.lines(p, st, 0, next-from); err == nil && next-from-int64(len(lines)) < leastTile {
				lines, err = f.lines(p, st, next-from, next-from)
			}
		}
	}
	if err != nil {
		return 0, unproven("the message at %d: %v", st.Offset, err)
	}
	if !whole {
		p.patch(st.Offset, dovecot.AppendDboxMessageHeader(nil, st.BodySize))
	}
	p.patch(from, lines)
	f.ends[st] = from + int64(len(lines))
	return f.ends[st], nil
}

// unlimited is the room at a file's end.
const unlimited = 1 << 62

// lines are a message's metadata: of a length, 0 for what they need, and not longer than a limit.
func (f *files) lines(p *patched, st *reconstruct.Stored, length, limit int64) ([]byte, error) {
	if limit <= 0 {
		return nil, errNoRoom
	}
	meta, err := f.b.metadata(f.claimed(st), io.NewSectionReader(p.base, st.BodyOffset, st.BodySize))
	if err != nil {
		return nil, err
	}
	fit := func() ([]byte, error) {
		lines, err := dovecot.AppendDboxMetadata(nil, meta, length)
		if err == nil && int64(len(lines)) > limit {
			err = errNoRoom
		}
		return lines, err
	}
	lines, err := fit()
	if err != nil { // without what can be missed
		meta.Mailbox, meta.POP3Order, meta.Other = "", "", nil
		lines, err = fit()
	}
	return lines, err
}

var errNoRoom = errors.New("there is no room for its metadata")

// claimed is the message as the first mailbox that refers to it knows it.
func (f *files) claimed(st *reconstruct.Stored) *reconstruct.Message {
	if f.of == nil {
		f.of = map[*reconstruct.Stored]*reconstruct.Message{}
		for _, s := range f.b.Account.All() {
			for i := range s.Messages {
				if m := &s.Messages[i]; m.Place() != nil && f.of[m.Place()] == nil {
					f.of[m.Place()] = m
				}
			}
		}
	}
	if m := f.of[st]; m != nil {
		return m
	}
	return reconstruct.MessageOf(f.t, st)
}

// bury makes a hole a message of its own, with no name that anything refers to: Dovecot reads such a file to its end, and purges what is
// expunged.
func (f *files) bury(p *patched, file *reconstruct.File, list []*reconstruct.Stored, from, to int64) error {
	meta := dovecot.DboxMetadata{GUID: made(&reconstruct.Message{File: file.Name, Body: reconstruct.Body{Offset: from}}), PhysicalSize: -1}
	lines, err := dovecot.AppendDboxMetadata(nil, meta, 0)
	if err != nil {
		return err
	}
	room := int64(len(lines)) + 10 // for a size of more than one digit
	text := from + messageHeader
	size := to - text - room
	if size < 0 {
		return unproven("a hole of %d bytes at %d is too short for a message", to-from, from)
	}
	if meta.VirtualSize, err = virtualSize(io.NewSectionReader(p.base, text, size)); err != nil {
		return err
	}
	if lines, err = dovecot.AppendDboxMetadata(nil, meta, room); err != nil {
		return err
	}
	p.patch(from, dovecot.AppendDboxMessageHeader(nil, size))
	p.patch(text+size, lines)
	i := slices.IndexFunc(list, func(st *reconstruct.Stored) bool { return st.Offset == from && f.fate[st] != "" })
	if i < 0 {
		f.holes = append(f.holes, hole{file.ID, from, to})
		return nil
	}
	f.ends[list[i]] = to
	return nil
}

// hole is a stretch of a file that was no message, and is one now.
type hole struct {
	file     uint32
	from, to int64
}

// prove reads the mended file: every message that stays must be whole in it.
func (f *files) prove(p *patched, list []*reconstruct.Stored) error {
	var known []dovecot.DboxExtent
	for _, st := range list {
		known = append(known, dovecot.DboxExtent{Offset: st.Offset})
	}
	box, _, err := dovecot.ParseDbox(p, p.size, known)
	if err != nil {
		return err
	}
	if box.Version == 0 {
		return unproven("its head is not mended")
	}
	at := box.FirstMessage
	for _, m := range box.Messages {
		if m.Offset != at {
			return unproven("after %d comes no message", at)
		}
		at = m.End
	}
	if at != p.size && len(box.Messages) > 0 {
		return unproven("it goes on behind %d", at)
	}
	for _, st := range list {
		if f.fate[st] != "" {
			continue
		}
		i := sort.Search(len(box.Messages), func(i int) bool { return box.Messages[i].Offset >= st.Offset })
		if i == len(box.Messages) || box.Messages[i].Offset != st.Offset || box.Messages[i].Damage&^dovecot.DboxAltered != 0 || box.Messages[i].BodySize != st.BodySize {
			return unproven("the message at %d is not mended", st.Offset)
		}
	}
	return nil
}

// end is where a message ends.
func (f *files) end(st *reconstruct.Stored) int64 {
	if end, ok := f.ends[st]; ok {
		return end
	}
	return st.End
}

// moved reports whether a message no longer ends where the map index says.
func (f *files) moved(st *reconstruct.Stored) bool {
	r, ok := f.t.Mapped(st.MapUID)
	return f.cut[st] || ok && r.Size != 0 && int64(r.Size) != f.end(st)-st.Offset
}

// dropped reports whether a message is in no file any more.
func (f *files) dropped(st *reconstruct.Stored) bool { return f.cut[st] }
