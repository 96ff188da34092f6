package rebuild

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"dovemend/repair/store"
)

func joinPath(dir store.RelPath, name string) string { return path.Join(string(dir), name) }

// isGUIDFolder reports whether a mailbox's folder is named by its GUID, as with LAYOUT=index.
func isGUIDFolder(m store.Mailbox) bool {
	return path.Base(string(m.Dir)) == m.Storage && len(m.Storage) == 32 && strings.Trim(m.Storage, "0123456789abcdef") == ""
}

// put writes a new file to the output and adds it to the work.
func (b *builder) put(f NewFile, write func(w io.Writer) error) error {
	b.n++
	f.Source = fmt.Sprintf("%04d-%s", b.n, strings.Map(plainName, path.Base(string(f.Path))))
	w, err := b.Out.Create(f.Source)
	if err != nil {
		return fmt.Errorf("make %s: %w", f.Path, err)
	}
	h := sha256.New()
	c := &counter{w: io.MultiWriter(w, h)}
	if err := errors.Join(write(c), w.Close()); err != nil {
		return fmt.Errorf("make %s: %w", f.Path, err)
	}
	f.Size, f.SHA256 = c.n, hex.EncodeToString(h.Sum(nil))
	b.w.Put = append(b.w.Put, f)
	return nil
}

// plainName keeps what every local file system takes in a name.
func plainName(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
		return r
	}
	return '_'
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// bytesOf is a write of bytes.
func bytesOf(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}
