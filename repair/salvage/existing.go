package salvage

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
)

// maxSidecar is the longest sidecar that is read: notes and keywords make it, not the message.
const maxSidecar = 4 << 20

// hashOf is the SHA-256 of a regular file; "" where there is none of that name, foreign where it is something else.
func (w *writer) hashOf(name string) (sum string, foreign bool, err error) {
	info, err := w.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil || !info.Mode().IsRegular() {
		return "", true, err
	}
	f, err := openRegular(w.root, name)
	if err != nil {
		return "", true, nil // not readable for us: not ours
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{f}, w.buf); err != nil {
		return "", false, err
	}
	return hex.EncodeToString(h.Sum(nil)), false, nil
}

// exists reports whether there is anything of that name.
func (w *writer) exists(name string) bool {
	_, err := w.root.Lstat(name)
	return err == nil
}

// sidecar reads a sidecar; nil with there true where the name belongs to something that is none of dovemend's.
func (w *writer) sidecar(name string) (e *Entry, raw []byte, there bool, err error) {
	info, err := w.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, false, nil
	}
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxSidecar {
		return nil, nil, true, err
	}
	f, err := openRegular(w.root, name)
	if err != nil {
		return nil, nil, true, nil
	}
	defer f.Close()
	if raw, err = io.ReadAll(io.LimitReader(f, maxSidecar)); err != nil {
		return nil, nil, true, err
	}
	e = &Entry{}
	if json.Unmarshal(raw, e) != nil || e.Writer != writerName {
		return nil, nil, true, nil
	}
	return e, raw, true, nil
}
