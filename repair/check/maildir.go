package check

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// maildir compares each file with the size its name promises, where the file is not compressed.
func (x *examiner) maildir() error {
	more := 0
	for _, m := range x.State.Messages {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		want := dovecot.ParseMaildirName(path.Base(string(m.File))).Size
		if want < 0 || m.Size < 0 || want == m.Size {
			continue
		}
		packed, err := x.packed(m.File)
		if err != nil {
			return err
		}
		if packed {
			continue // S= is the size before compression
		}
		if len(x.Findings) >= maxMessageFindings {
			more++
			continue
		}
		x.find(Finding{Severity: Broken, Rule: "maildir-size", File: m.File, Offset: -1, Cure: CureClear,
			Text:   fmt.Sprintf("the name promises %d bytes, the file has %d", want, m.Size),
			Effect: "Dovecot ends the connection each time this message is read", Advice: advised})
	}
	x.rest(more)
	return nil
}

// packed reports whether a message file is compressed or encrypted, by its first bytes.
func (x *examiner) packed(file store.RelPath) (bool, error) {
	head, err := reconstruct.ReadFile(x.fsys, string(file), dovecot.EncodingSize)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // nothing can be said of it
	}
	if err != nil {
		return false, err
	}
	return dovecot.DetectEncoding(head) != dovecot.Plain, nil
}
