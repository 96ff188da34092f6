package dovecot

import (
	"errors"
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"
)

// Attachment is a part of a message that lies in a file of its own (mail_attachment_dir): struct mail_attachment_extref.
type Attachment struct {
	Start int64  // where it belongs in the plain message, in bytes, line ends being LF
	Size  int64  // bytes of the plain message that it makes
	Line  int    // the file holds decoded bytes: base64 characters in each line; 0: the file holds the part as it is
	CRLF  bool   // those lines end in CR and LF
	Path  string // of the file below mail_attachment_dir: "aa/bb/HASH-GUID"; from the host, untrusted
}

// ErrAttachments: the attachments that metadata names cannot be read.
var ErrAttachments = errors.New("damaged list of attachments")

// ParseAttachments reads [DboxMetadata].Attachments: index_attachment_parse_extrefs. What stands before damage is given
// beside an error that is an [ErrAttachments].
func ParseAttachments(text string) ([]Attachment, error) {
	if text == "" {
		return nil, nil
	}
	words := strings.Split(text, " ")
	var out []Attachment
	end := int64(0)
	for i := 0; i < len(words); i += 4 {
		bad := func(why string) ([]Attachment, error) {
			return out, fmt.Errorf("%w: number %d: %s", ErrAttachments, i/4+1, why)
		}
		if len(words)-i < 4 {
			return bad("it is cut")
		}
		a := Attachment{Path: words[i+3]}
		var err1, err2 error
		a.Start, err1 = strconv.ParseInt(words[i], 10, 64)
		a.Size, err2 = strconv.ParseInt(words[i+1], 10, 64)
		switch {
		case err1 != nil || err2 != nil || a.Size < 0 || a.Size > math.MaxInt64-max(a.Start, 0):
			return bad("place or size is no number")
		case a.Start < end:
			return bad("it begins before the one before it ends")
		case !a.options(words[i+2]):
			return bad(fmt.Sprintf("unknown options %q", words[i+2]))
		case a.Path == "":
			return bad("it has no name")
		}
		end = a.Start + a.Size
		out = append(out, a)
	}
	return out, nil
}

// options reads "-", or letters: "B76" for base64, "C" for CRLF.
func (a *Attachment) options(s string) bool {
	if s == "-" {
		return true
	}
	for s != "" {
		switch s[0] {
		case 'B':
			n := len(s[1:]) - len(strings.TrimLeft(s[1:], "0123456789"))
			line, err := strconv.ParseInt(s[1:1+n], 10, 32)
			if err != nil || line <= 0 || line%4 != 0 {
				return false
			}
			a.Line, s = int(line), s[1+n:]
		case 'C':
			a.CRLF, s = true, s[1:]
		default:
			return false
		}
	}
	return true
}

// SDBoxSuffix is what the names of an sdbox message's attachment files end with, behind their [Attachment].Path. Those of
// mdbox end with nothing more.
func SDBoxSuffix(mailbox GUID, uid UID) string { return fmt.Sprintf("-%s-%d", mailbox, uid) }

// hashPath names another link to the same bytes, which Dovecot makes to find equal attachments (fs-sis): "aa/bb/hashes/HASH".
func (a Attachment) hashPath() string {
	dir, name := path.Split(a.Path)
	hash, _, _ := strings.Cut(name, "-")
	return dir + "hashes/" + hash
}

// fits reports whether a file of this many bytes makes a part of the right size.
func (a Attachment) fits(raw int64) bool {
	if a.Line == 0 {
		return raw == a.Size
	}
	if raw < 0 || raw > a.Size {
		return false
	}
	chars := (raw + 2) / 3 * 4
	ends := max(chars-1, 0) / int64(a.Line)
	if a.CRLF {
		ends *= 2
	}
	return chars+ends == a.Size
}
