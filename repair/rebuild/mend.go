package rebuild

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// broken says why a message on which Dovecot fails cannot be mended, or "": it can where its text is there from beginning to end.
func broken(m *reconstruct.Message) string {
	d := m.Body.Damage
	const lostHead = dovecot.DboxHeaderLost | dovecot.DboxSizeWrong
	switch {
	case m.Dbox == nil:
		return "nothing of it can be read"
	case d&dovecot.DboxBodyCut != 0:
		return "its end is missing"
	case d&dovecot.DboxMetadataLost != 0 && d&lostHead != 0:
		return "where it begins or ends cannot be made out"
	case d&dovecot.DboxHeaderLost != 0 && m.Dbox.BodyOffset != m.Dbox.Offset+messageHeader && m.Body.Altered:
		return "where it begins cannot be made out"
	case d&(dovecot.DboxMetadataLost|dovecot.DboxMetadataCut) != 0 && m.Body.Encoding != dovecot.Plain && m.Dbox.VirtualSize < 0:
		return "it is compressed, and how long it is when it is not is told no more"
	}
	return ""
}

// messageHeader is sizeof(struct dbox_message_header).
const messageHeader = 30

// metadata is what a mended message's metadata say: what they said, as far as it can be read, and what the others tell.
func (b *builder) metadata(m *reconstruct.Message, text io.Reader) (dovecot.DboxMetadata, error) {
	meta := m.Dbox.DboxMetadata
	if meta.GUIDText == "" {
		meta.GUID = m.GUID
		if m.GUID.IsZero() {
			meta.GUID = made(m)
		}
	}
	if meta.Received < 0 {
		meta.Received = b.Now.Unix()
		switch {
		case !m.Received.IsZero():
			meta.Received = m.Received.Unix()
		case !m.Saved.IsZero():
			meta.Received = m.Saved.Unix()
		}
	}
	if meta.PhysicalSize < 0 && m.Body.Encoding == dovecot.Plain {
		n, err := virtualSize(text)
		if err != nil {
			return meta, err
		}
		meta.VirtualSize = n
	}
	return meta, nil
}

// made is a GUID for a message whose own is told no more: the same one whenever it is asked for.
func made(m *reconstruct.Message) dovecot.GUID {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", m.File, m.Body.Offset, m.UID))
	return dovecot.GUID(sum[:16])
}

// virtualSize is how long a text is when each line ends in CR and LF.
func virtualSize(r io.Reader) (int64, error) {
	var size dovecot.SizeCounter
	_, err := io.Copy(&size, r)
	return size.Virtual, err
}

// section opens a part of a file of the copy.
func section(fsys fs.FS, name store.RelPath, from, n int64) (io.ReadCloser, error) {
	f, err := fsys.Open(string(name))
	if err != nil {
		return nil, err
	}
	at, err := reconstruct.ReaderAt(f, from+n)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &part{io.NewSectionReader(at, from, n), f}, nil
}

type part struct {
	*io.SectionReader
	f fs.File
}

func (p *part) Close() error { return p.f.Close() }

// messageFile writes a whole sdbox file with one message, its framing new, its text as it is.
func (b *builder) messageFile(m *reconstruct.Message, w io.Writer) error {
	text, err := section(b.texts, m.Body.File, m.Body.Offset, m.Body.Size)
	if err != nil {
		return err
	}
	meta, err := b.metadata(m, text)
	if closeErr := text.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	created := b.Now.Unix()
	if !m.Saved.IsZero() {
		created = m.Saved.Unix()
	}
	head, err := dovecot.AppendDboxFileHeader(nil, uint32(created), 0)
	if err != nil {
		return err
	}
	if _, err := w.Write(dovecot.AppendDboxMessageHeader(head, m.Body.Size)); err != nil {
		return err
	}
	if text, err = section(b.texts, m.Body.File, m.Body.Offset, m.Body.Size); err != nil {
		return err
	}
	defer text.Close()
	if n, err := io.Copy(w, text); err != nil || n != m.Body.Size {
		return fmt.Errorf("%d of %d bytes of the text: %w", n, m.Body.Size, err)
	}
	tail, err := dovecot.AppendDboxMetadata(nil, meta, 0)
	if err != nil {
		return err
	}
	_, err = w.Write(tail)
	return err
}
