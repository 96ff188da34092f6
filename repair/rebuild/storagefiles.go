package rebuild

import (
	"cmp"
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
}

// patch is some bytes of a file that become others.
type patch struct {
	at int64
	b  []byte
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
		if file.ID == 0 || file.Why != nil || !f.wanted(of[i]) {
			continue
		}
		if err := f.file(i, of[i]); err != nil {
			return fmt.Errorf("%s: %w", file.Name, err)
		}
	}
	return nil
}

// wanted reports whether a file holds a damaged message that some mailbox refers to.
func (f *files) wanted(list []*reconstruct.Stored) bool {
	return slices.ContainsFunc(list, func(st *reconstruct.Stored) bool { return st.Claims > 0 && st.Damage&^dovecot.DboxAltered != 0 })
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
	for i, st := range list {
		if d := st.Damage &^ (dovecot.DboxAltered | dovecot.DboxFileHeaderLost); d != 0 {
			next := file.Size
			if i+1 < len(list) {
				next = list[i+1].Offset
			}
			if err := f.message(p, st, next); err != nil {
				return err
			}
		}
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

// message mends the framing of one message that ends where the next one begins, or decides that it cannot stay.
func (f *files) message(p *patched, st *reconstruct.Stored, next int64) error {
	m := f.claimed(st)
	if why := broken(m); why != "" {
		f.fate[st] = why
		return f.bury(p, st, next)
	}
	text := io.NewSectionReader(p.base, st.BodyOffset, st.BodySize)
	meta, err := f.b.metadata(m, text)
	if err != nil {
		return err
	}
	end := st.BodyOffset + st.BodySize
	last := next == p.size
	lines, err := dovecot.AppendDboxMetadata(nil, meta, next-end)
	if err != nil && last { // there is room behind the file's end
		lines, err = dovecot.AppendDboxMetadata(nil, meta, 0)
		next = end + int64(len(lines))
	}
	if err != nil { // without what can be missed
		meta.Mailbox, meta.POP3Order, meta.Other = "", "", nil
		if lines, err = dovecot.AppendDboxMetadata(nil, meta, next-end); err != nil {
			f.fate[st] = "there is no room where its framing stood"
			return f.bury(p, st, next)
		}
	}
	if st.BodyOffset != st.Offset+messageHeader {
		f.fate[st] = "where it begins cannot be made out"
		return f.bury(p, st, next)
	}
	p.patch(st.Offset, dovecot.AppendDboxMessageHeader(nil, st.BodySize))
	p.patch(end, lines)
	f.ends[st] = next
	if last {
		p.size = next
	}
	return nil
}

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

// bury makes the place of a message that cannot stay a message of its own, with no name that anything refers to: Dovecot reads
// such a file to its end, and purges what is expunged. At the file's end the place is cut off.
func (f *files) bury(p *patched, st *reconstruct.Stored, next int64) error {
	if next == p.size {
		p.size = st.Offset
		f.cut[st] = true
		return nil
	}
	meta := dovecot.DboxMetadata{GUID: made(&reconstruct.Message{File: f.t.Files[st.File].Name, Body: reconstruct.Body{Offset: st.Offset}}), PhysicalSize: -1}
	lines, err := dovecot.AppendDboxMetadata(nil, meta, 0)
	if err != nil {
		return err
	}
	room := int64(len(lines)) + 10 // for a size of more than one digit
	size := next - st.Offset - messageHeader - room
	if size < 0 {
		return nil // too short for a message: it stays as it is, and nothing refers to it
	}
	text := st.Offset + messageHeader
	if meta.VirtualSize, err = virtualSize(io.NewSectionReader(p.base, text, size)); err != nil {
		return err
	}
	if lines, err = dovecot.AppendDboxMetadata(nil, meta, room); err != nil {
		return err
	}
	p.patch(st.Offset, dovecot.AppendDboxMessageHeader(nil, size))
	p.patch(text+size, lines)
	f.ends[st] = next
	return nil
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

// patched is a file with some bytes replaced, and perhaps its end cut off, or something behind it.
type patched struct {
	base    io.ReaderAt
	given   int64   // how long that is
	size    int64   // how long it will be
	patches []patch // ascending, not overlapping
}

func (p *patched) patch(at int64, b []byte) {
	i, _ := slices.BinarySearchFunc(p.patches, at, func(x patch, at int64) int { return cmp.Compare(x.at, at) })
	p.patches = slices.Insert(p.patches, i, patch{at, b})
}

// ReadAt reads the file as it will be.
func (p *patched) ReadAt(b []byte, off int64) (int, error) {
	if off >= p.size {
		return 0, io.EOF
	}
	want := b[:min(int64(len(b)), p.size-off)]
	n, err := p.base.ReadAt(want, off)
	if n < len(want) && errors.Is(err, io.EOF) && off+int64(n) >= p.given { // behind the file's end are patches alone
		n = len(want)
	}
	if n < len(want) {
		return n, err
	}
	i := sort.Search(len(p.patches), func(i int) bool { return p.patches[i].at+int64(len(p.patches[i].b)) > off })
	for ; i < len(p.patches) && p.patches[i].at < off+int64(n); i++ {
		from := p.patches[i].at - off
		if from < 0 {
			copy(want, p.patches[i].b[-from:])
		} else {
			copy(want[from:], p.patches[i].b)
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}
