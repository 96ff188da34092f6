package dovecot

import (
	"bytes"
	"io"
	"strconv"
	"strings"
)

// dboxMessageHeaderSize is sizeof(struct dbox_message_header). Files tell their own; this is for those that cannot.
const dboxMessageHeaderSize = 30

var (
	dboxMagicPre  = []byte{1, 2, 'N', ' '}   // and the start of struct dbox_message_header
	dboxMagicPost = []byte{'\n', 1, 3, '\n'} // of struct dbox_message_header's counterpart behind the body
)

// DboxFile is an sdbox u.<uid> or an mdbox m.<id>, whole, broken or cut.
type DboxFile struct {
	Version           int
	MessageHeaderSize int
	Created           uint32 // Unix time, 0 if not told
	FirstMessage      int64  // length of the file header line, 0 if it is unreadable
	Size              int64
	Messages          []DboxMessage
}

// DboxMessage is a message in a dbox file. Its bytes stay in the file: BodySize bytes at BodyOffset.
type DboxMessage struct {
	Offset     int64 // of the message header, or of what is left of it: where a map index points to
	BodyOffset int64
	BodySize   int64
	End        int64 // after the metadata: Offset+map size
	Encoding   Encoding
	DboxMetadata

	Damage DboxDamage
}

// DboxDamage is a set of what is wrong with a message in a dbox file.
type DboxDamage uint8

// What can be wrong with a message.
const (
	DboxHeaderLost     DboxDamage = 1 << iota // the header is unreadable: the body's beginning may be wrong
	DboxSizeWrong                             // the header's size is not that of the body
	DboxBodyCut                               // the body's end is missing
	DboxMetadataLost                          // there is no metadata
	DboxMetadataCut                           // the metadata's end is missing
	DboxBoundaryLost                          // only sizes tell where body and metadata meet
	DboxAltered                               // the framing is whole, but the body is not the one that was stored: its lines are others
	DboxFileHeaderLost                        // the line at the head of its file, with which Dovecot begins to read
)

// String names the damages, separated by commas.
func (d DboxDamage) String() string {
	var out []string
	for i, s := range [...]string{"header-lost", "size-wrong", "body-cut", "metadata-lost", "metadata-cut", "boundary-lost", "altered", "file-header-lost"} {
		if d&(1<<i) != 0 {
			out = append(out, s)
		}
	}
	return strings.Join(out, ",")
}

// DboxExtent is where a map index says that a message lies.
type DboxExtent struct{ Offset, Size int64 }

// ParseDbox reads a dbox file of the given size through a window of bounded length. It goes on after damage: behind it,
// a message begins where a header stands whose size leads to metadata, where known says so, or where the body before
// ends with metadata. known may be nil and need not be true; it must be sorted by offset. The error is r's: what was read
// before it is returned.
func ParseDbox(r io.ReaderAt, size int64, known []DboxExtent) (*DboxFile, []Fault, error) {
	var all []DboxMessage
	f, list, err := WalkDbox(r, size, known, nil, func(m DboxMessage) bool {
		all = append(all, m)
		return true
	})
	f.Messages = all
	return f, list, err
}

// WalkDbox is [ParseDbox] for files of any length: it keeps no message, but hands each to yield as soon as it is read, and
// ends early where yield says false. begin, if not nil, is called before the first one with what the file header tells.
func WalkDbox(r io.ReaderAt, size int64, known []DboxExtent, begin func(*DboxFile), yield func(DboxMessage) bool) (*DboxFile, []Fault, error) {
	p := &dboxParser{f: &DboxFile{Size: size}, known: known, yield: yield}
	p.d = &dboxReader{r: r, size: size, budget: 64<<20 + 16*size}
	defer p.d.close()
	p.header()
	if begin != nil {
		begin(p.f)
	}
	at := p.f.FirstMessage
	if p.f.Version == 0 { // where it ends when Dovecot writes it
		at = min(DboxFirstMessage, size)
	}
	for at < size && p.d.err == nil && !p.stopped {
		m, problem := p.message(at)
		if problem == "" {
			if m.virtualCheck && m.BodySize+p.d.lineFeeds(m.BodyOffset, m.BodyOffset+m.BodySize) != m.VirtualSize {
				m.Damage = DboxAltered
				p.fs.add(int(at), "dbox-altered", "the message has other lines than when it was stored: its size with full line ends was %d", m.VirtualSize)
			}
			p.accept(m)
			at = m.End
			continue
		}
		if p.d.allZero(at, size) {
			if p.count == 0 {
				p.fs.add(int(at), "dbox-no-message", "only NUL bytes follow the file header")
			}
			break // preallocated space
		}
		at = p.recover(at, problem)
	}
	if p.count == 0 && at >= size && len(p.fs.list) == 0 && p.d.err == nil {
		p.fs.add(int(size), "dbox-no-message", "the file holds no message")
	}
	return p.f, p.fs.all(), p.d.err
}

type dboxParser struct {
	f     *DboxFile
	d     *dboxReader
	fs    faults
	known []DboxExtent

	yield   func(DboxMessage) bool
	count   int // messages so far
	stopped bool
}

// header reads the file header line: "2 M1e C6b042af8".
func (p *dboxParser) header() {
	f := p.f
	f.MessageHeaderSize = dboxMessageHeaderSize
	b := p.d.at(0, 1024)
	line, _, ok := bytes.Cut(b, []byte{'\n'})
	if !ok || len(line) == 0 {
		p.fs.add(0, "dbox-file-header", "the first line is missing")
		return
	}
	fields := strings.Split(string(line), " ")
	version, err := strconv.Atoi(fields[0])
	if err != nil || version < 1 || version > 2 {
		p.fs.add(0, "dbox-file-header", "the first line is not that of a dbox file")
		return
	}
	size := int64(0)
	for _, field := range fields[1:] {
		if field == "" {
			continue
		}
		n, err := strconv.ParseUint(field[1:], 16, 32)
		switch {
		case err != nil:
		case field[0] == 'M':
			size = int64(n)
		case field[0] == 'C':
			f.Created = uint32(n)
		}
	}
	f.Version, f.FirstMessage = version, int64(len(line)+1)
	if size < dboxMessageHeaderSize || size > 1024 {
		p.fs.add(0, "dbox-file-header", "it gives the size of message headers as %d", size)
		return
	}
	f.MessageHeaderSize = int(size)
}

// messageHeader reads struct dbox_message_header.
func (p *dboxParser) messageHeader(at int64) (size int64, problem string) {
	h := p.d.at(at, p.f.MessageHeaderSize)
	switch {
	case len(h) < p.f.MessageHeaderSize:
		return 0, "the file ends inside a message header"
	case !bytes.HasPrefix(h, dboxMagicPre[:2]):
		return 0, "no message header"
	case h[2] != 'N' || h[len(h)-1] != '\n':
		return 0, "a damaged message header"
	}
	n, err := strconv.ParseUint(string(h[13:29]), 16, 63)
	if err != nil {
		return 0, "a message header without a readable size"
	}
	return int64(n), ""
}

// message reads a message that is whole.
func (p *dboxParser) message(at int64) (DboxMessage, string) {
	size, problem := p.messageHeader(at)
	if problem != "" {
		return DboxMessage{}, problem
	}
	m := DboxMessage{Offset: at, BodyOffset: at + int64(p.f.MessageHeaderSize), BodySize: size}
	if size > p.f.Size-m.BodyOffset {
		return m, "the message is longer than the file"
	}
	meta, end, ok := p.metadata(m.BodyOffset + size)
	if !ok || !meta.complete {
		return m, "no metadata behind the message"
	}
	m.DboxMetadata, m.End = meta, end
	return m, ""
}

// metadata reads post-magic and metadata at an offset.
func (p *dboxParser) metadata(at int64) (m DboxMetadata, end int64, ok bool) {
	if !bytes.Equal(p.d.at(at, len(dboxMagicPost)), dboxMagicPost) {
		return m, at, false
	}
	return p.lines(at + int64(len(dboxMagicPost)))
}

func (p *dboxParser) lines(at int64) (m DboxMetadata, end int64, ok bool) {
	b := p.d.at(at, 1024)
	m, n, ok := parseDboxMetadata(b)
	if ok && !m.complete && len(b) == 1024 {
		b = p.d.at(at, dboxMetaLimit)
		m, n, ok = parseDboxMetadata(b)
	}
	p.d.budget -= int64(n)
	if !m.complete && at+int64(len(b)) < p.d.size {
		return m, at + int64(n), false // longer than metadata can be
	}
	return m, at + int64(n), ok
}

func (p *dboxParser) accept(m DboxMessage) {
	m.Encoding = DetectEncoding(p.d.at(m.BodyOffset, int(min(EncodingSize, m.BodySize))))
	p.count++
	p.stopped = p.stopped || !p.yield(m)
}
