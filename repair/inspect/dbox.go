package inspect

import (
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"dovemend/repair/dovecot"
)

// Dbox is an sdbox u.N or an mdbox m.N.
type Dbox struct {
	Version           int   `json:"version"` // 0: the first line cannot be read
	MessageHeaderSize int   `json:"msg_header_size"`
	Created           Stamp `json:"create_stamp"`

	Messages     iter.Seq[DboxMessage] `json:"messages,omitempty"`
	MessageCount int                   `json:"message_count"`
	DamagedCount int                   `json:"damaged_count"`
}

// DboxMessage is a message in a dbox file.
type DboxMessage struct {
	Offset       int64        `json:"offset"`        // of the message header: where a map index points to
	DeclaredSize Maybe        `json:"declared_size"` // of the body, by the message header
	BodyOffset   int64        `json:"body_offset"`
	BodySize     int64        `json:"body_size"`
	End          int64        `json:"end"` // behind the metadata; less offset the size that a map index tells
	Encoding     Word         `json:"encoding,omitempty"`
	Damage       []Word       `json:"damage,omitempty"`
	GUID         dovecot.GUID `json:"guid"`                // as in indexes
	GUIDText     string       `json:"guid_text,omitempty"` // as it stands in the file
	Received     Moment       `json:"received"`
	VirtualSize  Maybe        `json:"virtual_size"`  // with CRLF line ends
	PhysicalSize Maybe        `json:"physical_size"` // of the plain message, where it is stored otherwise
	Mailbox      string       `json:"orig_mailbox,omitempty"`
	POP3UIDL     string       `json:"pop3_uidl,omitempty"`
	POP3Order    string       `json:"pop3_order,omitempty"`
	Attachments  string       `json:"ext_ref,omitempty"`
	Other        []string     `json:"other,omitempty"` // lines with other keys, as they stand in the file
}

// dbox dumps a dbox file through a window of bounded length. known is what a map index tells of it, or nil.
func (w *walker) dbox(d *Dump, r io.ReaderAt, size int64, known []dovecot.DboxExtent) {
	x := &Dbox{}
	d.Dbox = x
	if size == 0 {
		known = nil
	}
	walk := func(yield func(DboxMessage) bool) {
		f, list, err := dovecot.WalkDbox(r, size, known, x.begin, func(m dovecot.DboxMessage) bool {
			x.MessageCount++
			if m.Damage != 0 {
				x.DamagedCount++
			}
			return w.ctx.Err() == nil && yield(dboxMessage(r, x.MessageHeaderSize, &m))
		})
		x.begin(f)
		d.wrong(list)
		if err != nil {
			w.unreadable(d, fmt.Errorf("read %s: %w", d.Path, err))
		}
	}
	if w.o.Summary {
		walk(func(DboxMessage) bool { return true })
		return
	}
	// What the first line tells is wanted before the messages are read.
	if f, _, err := dovecot.WalkDbox(r, min(size, 1024), nil, nil, func(dovecot.DboxMessage) bool { return false }); err == nil {
		x.begin(f)
	}
	x.Messages = walk
}

func (x *Dbox) begin(f *dovecot.DboxFile) {
	x.Version, x.MessageHeaderSize, x.Created = f.Version, f.MessageHeaderSize, Stamp(f.Created)
}

func dboxMessage(r io.ReaderAt, head int, m *dovecot.DboxMessage) DboxMessage {
	out := DboxMessage{Offset: m.Offset, DeclaredSize: declaredSize(r, head, m.Offset), BodyOffset: m.BodyOffset, BodySize: m.BodySize, End: m.End,
		Encoding: Word(m.Encoding), GUID: m.GUID, GUIDText: m.GUIDText, Received: Moment(m.Received), VirtualSize: Maybe(m.VirtualSize),
		PhysicalSize: Maybe(m.PhysicalSize), Mailbox: m.Mailbox, POP3UIDL: m.POP3UIDL, POP3Order: m.POP3Order, Attachments: m.Attachments}
	if m.Damage != 0 {
		for _, s := range strings.Split(m.Damage.String(), ",") {
			out.Damage = append(out.Damage, Word(s))
		}
	}
	for _, line := range strings.Split(string(m.Other), "\n") {
		if line != "" {
			out.Other = append(out.Other, line)
		}
	}
	if m.GUIDText == m.GUID.String() {
		out.GUIDText = ""
	}
	return out
}

// declaredSize reads the size in struct dbox_message_header, if there is one.
func declaredSize(r io.ReaderAt, head int, at int64) Maybe {
	b := make([]byte, head)
	if n, _ := r.ReadAt(b, at); n < len(b) || len(b) < 30 || b[0] != 1 || b[1] != 2 {
		return -1
	}
	n, err := strconv.ParseUint(string(b[13:29]), 16, 63)
	if err != nil {
		return -1
	}
	return Maybe(n)
}
