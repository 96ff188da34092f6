package dovecot

import (
	"bytes"
	"sort"
)

// recover makes a message of what stands at an offset where none is whole, and returns where to go on. It always
// advances.
func (p *dboxParser) recover(at int64, problem string) int64 {
	p.fs.add(int(at), "dbox-message", "%s", problem)
	if p.d.budget < 0 {
		p.fs.add(int(at), "dbox-resync-given-up", "too much looks almost like a message; the rest of the file is not read")
		return p.f.Size
	}
	size, header := p.messageHeader(at)
	if header == "" {
		return p.recoverBody(at, size)
	}
	return p.recoverHeader(at)
}

// nextAnchor is what comes first from an offset on: metadata (post < next) or a message (post == next; the file's end if
// there is neither). It looks for both in step, so that a file that lacks one of them throughout is not read again and again.
func (p *dboxParser) nextAnchor(from int64) (next, post int64) {
	for lo := from; lo < p.f.Size && p.d.err == nil && p.d.budget >= 0; lo += dboxMetaLimit {
		hi := min(lo+dboxMetaLimit, p.f.Size)
		next = p.nextMessage(lo, hi)
		if post = p.nextMetadata(lo, next); post < next || next < hi {
			return next, post
		}
	}
	return p.f.Size, p.f.Size
}

// nextMessage is the first place in [from, limit) where a message begins, or limit.
func (p *dboxParser) nextMessage(from, limit int64) int64 {
	for i := sort.Search(len(p.known), func(i int) bool { return p.known[i].Offset >= from }); i < len(p.known); i++ {
		if off := p.known[i].Offset; off < limit && off > 0 && bytes.Equal(p.d.at(off-1, 1), []byte{'\n'}) {
			limit = off
			break
		}
	}
	return p.d.find(from, limit, dboxMagicPre, func(off int64) bool {
		p.d.budget -= dboxMessageHeaderSize
		if before := p.d.at(off-1, 1); off > 0 && (len(before) == 0 || before[0] != '\n') {
			_, problem := p.message(off) // what stands before it may be damaged
			return problem == ""
		}
		h := p.d.at(off, 13)
		_, problem := p.messageHeader(off)
		return problem == "" && len(h) == 13 && len(bytes.TrimLeft(h[4:], " ")) == 0
	})
}

// nextMetadata is the first place in [from, to) where metadata with a GUID stands, or to.
func (p *dboxParser) nextMetadata(from, to int64) int64 {
	return p.d.find(from, to, dboxMagicPost, func(off int64) bool {
		m, _, ok := p.metadata(off)
		return ok && m.GUIDText != ""
	})
}

// recoverBody recovers a message whose header is good, but whose size does not lead to metadata.
func (p *dboxParser) recoverBody(at, size int64) int64 {
	m := DboxMessage{Offset: at, BodyOffset: at + int64(p.f.MessageHeaderSize)}
	end := p.f.Size + 1 // where the header says the body ends
	if size <= p.f.Size-m.BodyOffset {
		end = m.BodyOffset + size
		if meta, after, ok := p.lines(end + int64(len(dboxMagicPost))); ok && meta.GUIDText != "" {
			m.BodySize, m.DboxMetadata, m.End, m.Damage = size, meta, after, DboxBoundaryLost
			if !meta.complete {
				m.Damage |= DboxMetadataCut
			}
			if bytes.Equal(p.d.at(end, len(dboxMagicPost)), dboxMagicPost) {
				m.Damage &^= DboxBoundaryLost
			}
			p.accept(m)
			return m.End
		}
	}
	next, post := p.nextAnchor(m.BodyOffset)
	if post < next {
		meta, after, _ := p.metadata(post)
		exact := meta.virtualCheck && post-m.BodyOffset+p.d.lineFeeds(m.BodyOffset, post) == meta.VirtualSize
		if exact || post < end {
			m.BodySize, m.DboxMetadata, m.End, m.Damage = post-m.BodyOffset, meta, after, DboxSizeWrong
			if !meta.complete {
				m.Damage |= DboxMetadataCut
			}
			p.accept(m)
			return m.End
		}
	}
	m.DboxMetadata, _, _ = parseDboxMetadata(nil)
	switch {
	case end <= min(next, post): // the size is right, the metadata is not
		m.BodySize, m.Damage = size, DboxMetadataLost
		m.End = end
		if next < p.f.Size && post == next && next-end <= 2*1024 || post == next && p.f.Size-end <= 1024 {
			m.End = next // what is left of the metadata
		}
	case next < p.f.Size:
		m.BodySize, m.Damage, m.End = next-m.BodyOffset, DboxSizeWrong|DboxMetadataLost, next
		p.trimMetadata(&m)
	default:
		m.BodySize, m.Damage, m.End = p.f.Size-m.BodyOffset, DboxBodyCut|DboxMetadataLost, p.f.Size
	}
	p.accept(m)
	return m.End
}

// trimMetadata takes lines that look like metadata from a body's end: their post-magic is gone.
func (p *dboxParser) trimMetadata(m *DboxMessage) {
	tail := p.d.at(max(m.BodyOffset, m.End-1024), int(min(1024, m.End-m.BodyOffset)))
	for i := 0; i < len(tail); {
		if meta, n, ok := parseDboxMetadata(tail[i:]); ok && meta.complete && i+n == len(tail) && meta.GUIDText != "" {
			m.BodySize -= int64(len(tail) - i)
			m.DboxMetadata = meta
			m.Damage = m.Damage&^DboxMetadataLost | DboxBoundaryLost
			return
		}
		j := bytes.IndexByte(tail[i:], '\n')
		if j < 0 {
			return
		}
		i += j + 1
	}
}

// recoverHeader recovers a message whose header is unreadable.
func (p *dboxParser) recoverHeader(at int64) int64 {
	next, post := p.nextAnchor(at + 1)
	if p.nextMetadata(at, at+1) == at { // of a body that is gone altogether
		post = at
	}
	m := DboxMessage{Offset: at, BodyOffset: p.bodyStart(at, post), Damage: DboxHeaderLost}
	if post < next {
		meta, after, _ := p.metadata(post)
		if meta.virtualCheck {
			if start, ok := p.startBySize(at, post, meta.VirtualSize); ok {
				m.BodyOffset = start
			}
		}
		m.BodySize, m.DboxMetadata, m.End = post-m.BodyOffset, meta, after
		if !meta.complete {
			m.Damage |= DboxMetadataCut
		}
		p.accept(m)
		return m.End
	}
	m.DboxMetadata, _, _ = parseDboxMetadata(nil)
	m.BodySize, m.End = next-m.BodyOffset, next
	m.Damage |= DboxMetadataLost
	if m.BodySize <= 0 || p.d.allZero(m.BodyOffset, next) {
		p.fs.add(int(at), "dbox-stretch", "%d bytes belong to no message that can be made out", next-at)
		return next
	}
	p.trimMetadata(&m)
	p.accept(m)
	return m.End
}

// bodyStart is where a body begins behind an unreadable header: at its known place, or after what is left of the header's line.
func (p *dboxParser) bodyStart(at, to int64) int64 {
	head := int64(p.f.MessageHeaderSize)
	i := sort.Search(len(p.known), func(i int) bool { return p.known[i].Offset >= at })
	if i < len(p.known) && p.known[i].Offset == at {
		return min(at+head, to)
	}
	if n := bytes.IndexByte(p.d.at(at, int(head)+16), '\n'); n >= 0 {
		return min(at+int64(n)+1, to)
	}
	return at
}

// startBySize goes back from a body's end to where a line begins, or where a header would end, from which on the body
// has the virtual size.
func (p *dboxParser) startBySize(from, end, virtual int64) (int64, bool) {
	head := int64(p.f.MessageHeaderSize)
	var size int64
	for off := end; off > from && size <= virtual; {
		n := min(dboxMetaLimit, off-from)
		b := p.d.at(off-n, int(n))
		if len(b) == 0 {
			return 0, false
		}
		for i := len(b) - 1; i >= 0 && size <= virtual; i-- {
			start := off - n + int64(i) + 1
			if size == virtual && start > from && (b[i] == '\n' || start == from+head) {
				return start, true
			}
			size++
			if b[i] == '\n' && (i == 0 || b[i-1] != '\r') {
				size++
			}
		}
		off -= n
	}
	return 0, false
}
