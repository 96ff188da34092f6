package dovecot

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"strconv"
)

// dboxMetaLimit bounds the length of one metadata block. A block of Dovecot's has some hundred bytes, more only where
// a mail has very many detached attachments.
const dboxMetaLimit = 256 << 10

// DboxMetadata is the block of lines behind a message in a dbox file: enum dbox_metadata_key.
type DboxMetadata struct {
	GUID          GUID   // as in indexes; zero if not told
	GUIDText      string // key G as written
	Received      int64  // Unix time, -1 if not told
	VirtualSize   int64  // with CRLF line ends, -1 if not told
	PhysicalSize  int64  // of the plain message where it is stored otherwise (compressed, parts detached); -1 if not told
	Mailbox       string // the mailbox it was first saved to, as a storage name; mdbox only
	POP3UIDL      string
	POP3Order     string
	Attachments   string // key X: parts that lie in files of their own
	Other         []byte // lines with other keys, each with its line feed
	complete      bool   // the block ended with its empty line
	virtualCheck  bool   // VirtualSize speaks of the stored bytes
	hasAnyContent bool
}

// GUID128 makes the 16-byte form of a message GUID: mail_generate_guid_128_hash. Texts of 32 hexadecimal digits are those
// bytes; any other text is the last 16 bytes of its SHA-1.
func GUID128(text string) GUID {
	var g GUID
	if len(text) == 32 {
		if n, err := hex.Decode(g[:], []byte(text)); err == nil && n == 16 {
			return g
		}
	}
	sum := sha1.Sum([]byte(text))
	return GUID(sum[4:])
}

// parseDboxMetadata reads the lines after a post-magic. It returns the length of the block with its empty line; ok is
// false where these are no such lines. Where b ends before the block does, what is there is given and complete is false.
func parseDboxMetadata(b []byte) (m DboxMetadata, length int, ok bool) {
	m = DboxMetadata{Received: -1, VirtualSize: -1, PhysicalSize: -1}
	at := 0
	for at < len(b) {
		end := bytes.IndexByte(b[at:], '\n')
		if end < 0 {
			break
		}
		line := b[at : at+end]
		if len(line) == 0 || line[0] == ' ' {
			m.complete = true
			at += end + 1
			break
		}
		if !m.line(line) {
			return m, at, false
		}
		at += end + 1
	}
	m.virtualCheck = m.VirtualSize >= 0 && m.PhysicalSize < 0
	return m, at, m.hasAnyContent
}

// line reads one line; false if it cannot be one of metadata.
func (m *DboxMetadata) line(line []byte) bool {
	key, value := line[0], line[1:]
	if key < 'A' || key > 'Z' {
		return false
	}
	for _, c := range value {
		if c < 0x20 && c != '\t' || c == 0x7f {
			return false
		}
	}
	m.hasAnyContent = true
	number := func(to *int64) bool {
		n, err := strconv.ParseUint(string(value), 16, 63)
		*to = int64(n)
		return err == nil
	}
	switch key {
	case 'R':
		return number(&m.Received)
	case 'V':
		return number(&m.VirtualSize)
	case 'Z':
		return number(&m.PhysicalSize)
	case 'G':
		m.GUIDText, m.GUID = string(value), GUID128(string(value))
		return len(value) > 0
	case 'B':
		m.Mailbox = string(value)
	case 'P':
		m.POP3UIDL = string(value)
	case 'O':
		m.POP3Order = string(value)
	case 'X':
		m.Attachments = string(value)
	default:
		m.Other = append(append(m.Other, line...), '\n')
	}
	return true
}
