package remote

import (
	"encoding/binary"
	"fmt"
)

// sieve goes through what the host sends, has the answers to the library checked, and takes those to our own requests out.
type sieve struct {
	tap   *sftpTap
	begun []byte // of a packet: not enough to tell whose it is

	left int  // bytes of the packet still to come
	mine bool // it answers a request of our own
	kind byte
	skip int // bytes of the head still to come
	want int // how much of its body is wanted
	body []byte
}

const (
	packetHead = 9         // length, type and id
	maxAnswer  = 256 << 10 // bytes of a packet: more the library does not take either
)

// sift leaves in p what is for the library, and gives how much that is.
func (s *sieve) sift(p []byte) (kept int, err error) {
	s.begun = s.begun[:0]
	for at := 0; at < len(p); {
		if s.left == 0 {
			if err := s.begin(p[at:]); err != nil {
				return kept, err
			}
			if s.left == 0 {
				s.begun = append(s.begun, p[at:]...)
				return kept, nil
			}
		}
		part := p[at:min(at+s.left, len(p))]
		if err := s.pass(part); err != nil {
			return kept, err
		}
		if !s.mine {
			if kept != at {
				copy(p[kept:], part)
			}
			kept += len(part)
		}
		at += len(part)
	}
	return kept, nil
}

// begin looks at the head of a packet. Where there is not enough of it, left stays 0.
func (s *sieve) begin(p []byte) error {
	if len(p) < 4 {
		return nil
	}
	length := binary.BigEndian.Uint32(p)
	s.body, s.want, s.skip, s.mine = s.body[:0], 0, 0, false
	if length < packetHead-4 { // no answer is that short: the library refuses it
		s.left = 4 + int(length)
		return nil
	}
	if len(p) < packetHead {
		return nil
	}
	if length > maxAnswer {
		return fmt.Errorf("the host's SFTP server sends a packet of %d bytes", length)
	}
	s.left, s.kind, s.skip = 4+int(length), p[4], 5
	id := binary.BigEndian.Uint32(p[5:])
	s.want = 8
	if s.mine = s.tap.mine(id); s.mine || s.kind == fxpName {
		s.want = int(length)
	}
	s.want = min(s.want, int(length)-1)
	return nil
}

// pass keeps of a piece of a packet what is wanted of its body, and has that looked at when it is whole.
func (s *sieve) pass(part []byte) error {
	s.left -= len(part)
	if s.skip > 0 { // the first piece is never shorter
		part, s.skip = part[s.skip:], 0
	}
	n := min(s.want-len(s.body), len(part))
	if n <= 0 {
		return nil
	}
	s.body = append(s.body, part[:n]...)
	switch {
	case len(s.body) < s.want:
		return nil
	case s.mine:
		return s.tap.answer(s.kind, s.body)
	}
	return s.tap.reply(s.kind, s.body)
}
