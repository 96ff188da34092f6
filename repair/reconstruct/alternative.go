package reconstruct

import (
	"io/fs"

	"dovemend/repair/dovecot"
	"dovemend/repair/store"
)

// Alternative says where the account's alternative storage is on its host, as the link in the mail root tells; "" where there is none.
// The copy does not hold it.
func Alternative(fsys fs.FS) string {
	to, err := fs.ReadLink(fsys, AltLink)
	if err != nil {
		return ""
	}
	return to
}

// Away reports whether a message lies in the alternative storage, as far as can be told: it is not gone, and the copy lacks it.
func (s *State) Away(m *Message) bool {
	switch {
	case m.Lost || m.Body.File != "" || m.Body.Why != nil:
		return false
	case s.Layout == store.SDBox:
		return m.Flags&dovecot.FlagBackend != 0
	case s.Layout == store.MDBox && s.Storage != nil:
		_, there := s.Storage.Sizes[m.Stored.FileID]
		return s.Storage.AltLink && !there
	}
	return false
}
