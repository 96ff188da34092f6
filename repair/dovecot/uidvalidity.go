package dovecot

import (
	"strconv"
	"strings"
)

// uidValidityName is the name of the file in which an account keeps the last UIDVALIDITY it gave a mailbox.
const uidValidityName = "dovecot-uidvalidity"

// ParseUIDValidity reads the two kinds of file that keep the last UIDVALIDITY which was given to a mailbox
// (mailbox-uidvalidity.c): dovecot-uidvalidity tells it in its content, dovecot-uidvalidity.<8 hexadecimal digits> in its
// name, and is empty. ok is false where the number cannot be read.
func ParseUIDValidity(name string, b []byte) (value uint32, ok bool, list []Fault) {
	fs := &faults{}
	digits, named := strings.CutPrefix(name, uidValidityName+".")
	if !named {
		digits = strings.TrimRight(string(b[:min(len(b), 64)]), "\n")
		if len(b) > 9 {
			fs.add(8, "uidvalidity-text", "the file has %d bytes, the number 8", len(b))
		}
	} else if len(b) > 0 {
		fs.add(0, "uidvalidity-text", "the file has %d bytes, where only its name counts", len(b))
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || len(digits) != 8 {
		fs.add(0, "uidvalidity-text", "%q is not a number of 8 hexadecimal digits", digits[:min(len(digits), 16)])
		return uint32(n), false, fs.all()
	}
	return uint32(n), true, fs.all()
}
