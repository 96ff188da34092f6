package snapshot

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"dovemend/repair/store"
)

const manifestVersion = 1

// entryJSON is how an Entry is written. Text that is not UTF-8 goes into the base64 twin of its field.
type entryJSON struct {
	Path   string    `json:"path,omitempty"`
	Path64 []byte    `json:"path64,omitempty"`
	Local  string    `json:"local,omitempty"`
	Type   string    `json:"type"`
	Mode   string    `json:"mode,omitempty"`
	Size   int64     `json:"size,omitempty"`
	MTime  time.Time `json:"mtime,omitzero"`
	UID    *int      `json:"uid,omitempty"`
	GID    *int      `json:"gid,omitempty"`
	Inode  uint64    `json:"inode,omitempty"`
	Link   string    `json:"link,omitempty"`
	Link64 []byte    `json:"link64,omitempty"`
	SHA256 string    `json:"sha256,omitempty"`
	Torn   bool      `json:"torn,omitempty"`
	Err    string    `json:"error,omitempty"`
}

type headJSON struct {
	Version    int          `json:"version"`
	Taken      time.Time    `json:"taken"`
	Root       string       `json:"root,omitempty"`
	Root64     []byte       `json:"root64,omitempty"`
	Address    string       `json:"address,omitempty"`
	Layout     store.Layout `json:"layout,omitempty"`
	Paths      []string     `json:"paths,omitempty"`
	Paths64    [][]byte     `json:"paths64,omitempty"`
	Verified   string       `json:"verified,omitempty"`
	Incomplete bool         `json:"incomplete,omitempty"`
	Refused    []refusedRow `json:"refused,omitempty"`
}

type refusedRow struct {
	Path   string `json:"path,omitempty"`
	Path64 []byte `json:"path64,omitempty"`
	Why    string `json:"why"`
}

type typeNamed struct {
	mode fs.FileMode
	name string
}

var typeNames = []typeNamed{
	{0, "file"}, {fs.ModeDir, "dir"}, {fs.ModeSymlink, "link"}, {fs.ModeNamedPipe, "fifo"}, {fs.ModeSocket, "socket"},
	{fs.ModeDevice | fs.ModeCharDevice, "chardevice"}, {fs.ModeDevice, "device"}, {fs.ModeIrregular, "irregular"},
}

func split(s string) (text string, raw []byte) {
	if utf8.ValidString(s) {
		return s, nil
	}
	return "", []byte(s)
}

func join(text string, raw []byte) string {
	if raw != nil {
		return string(raw)
	}
	return text
}

// MarshalJSON writes the entry as the manifest has it.
func (e Entry) MarshalJSON() ([]byte, error) { return appendRow(nil, &e) }

func (e *Entry) row() *entryJSON {
	j := &entryJSON{
		Local: e.Local, Type: typeName(e.Type), Size: e.Size, MTime: e.MTime, Inode: e.Inode,
		SHA256: e.SHA256, Torn: e.Torn, Err: strings.ToValidUTF8(e.Err, "\uFFFD"),
	}
	j.Path, j.Path64 = split(string(e.Path))
	j.Link, j.Link64 = split(e.Link)
	j.Mode = fmt.Sprintf("%04o", unixMode(e.Mode))
	if e.UID >= 0 {
		j.UID = &e.UID
	}
	if e.GID >= 0 {
		j.GID = &e.GID
	}
	return j
}

// UnmarshalJSON reads an entry of a manifest.
func (e *Entry) UnmarshalJSON(b []byte) error { return readRow(b, e) }

func (e *Entry) take(j *entryJSON) error {
	*e = Entry{
		Path: store.RelPath(join(j.Path, j.Path64)), Local: j.Local, Size: j.Size, MTime: j.MTime, Inode: j.Inode,
		Link: join(j.Link, j.Link64), SHA256: j.SHA256, Torn: j.Torn, Err: j.Err, UID: -1, GID: -1,
	}
	known := false
	for _, t := range typeNames {
		if j.Type == t.name {
			e.Type, known = t.mode, true
		}
	}
	mode, err := strconv.ParseUint(cmp.Or(j.Mode, "0"), 8, 12)
	switch {
	case !known:
		return fmt.Errorf("unknown type %q", j.Type)
	case err != nil:
		return fmt.Errorf("mode %q: %w", j.Mode, err)
	case !cleanPath(string(e.Path)) || e.Local != "" && !cleanPath(e.Local):
		return fmt.Errorf("path %q is not clean", e.Path)
	case e.SHA256 != "" && !isSum(e.SHA256):
		return fmt.Errorf("%q is no SHA-256", e.SHA256)
	case e.Size < 0:
		return fmt.Errorf("size %d", e.Size)
	}
	e.Mode = goMode(uint32(mode))
	if j.UID != nil {
		e.UID = *j.UID
	}
	if j.GID != nil {
		e.GID = *j.GID
	}
	return nil
}

func isSum(s string) bool {
	_, err := hex.Decode(make([]byte, sha256.Size), []byte(s))
	return err == nil && len(s) == 2*sha256.Size
}

func unixMode(m fs.FileMode) uint32 {
	u := uint32(m.Perm())
	for bit, mode := range specialBits {
		if m&mode != 0 {
			u |= bit
		}
	}
	return u
}

func goMode(u uint32) fs.FileMode {
	m := fs.FileMode(u & 0o777)
	for bit, mode := range specialBits {
		if u&bit != 0 {
			m |= mode
		}
	}
	return m
}

var specialBits = map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky}

// cleanPath reports whether p is a relative slash path that leads nowhere else: "." or components other than "", "."
// and "..", without NUL.
func cleanPath(p string) bool {
	return p == "." || p != "" && p[0] != '/' && path.Clean(p) == p && p != ".." && !strings.HasPrefix(p, "../") && !strings.ContainsRune(p, 0)
}

func (m *Manifest) head() headJSON {
	h := headJSON{Version: m.Version, Taken: m.Taken, Address: m.Address, Layout: m.Layout, Verified: m.Verified, Incomplete: m.Incomplete}
	h.Root, h.Root64 = split(string(m.Root))
	for _, p := range m.Paths {
		if text, raw := split(string(p)); raw != nil {
			h.Paths64 = append(h.Paths64, raw)
		} else {
			h.Paths = append(h.Paths, text)
		}
	}
	for _, r := range m.Refused {
		row := refusedRow{Why: r.Why}
		row.Path, row.Path64 = split(string(r.Path))
		h.Refused = append(h.Refused, row)
	}
	return h
}

func (h *headJSON) manifest() Manifest {
	m := Manifest{Version: h.Version, Taken: h.Taken, Address: h.Address, Layout: h.Layout, Verified: h.Verified, Incomplete: h.Incomplete}
	m.Root = store.HostPath(join(h.Root, h.Root64))
	for _, p := range h.Paths {
		m.Paths = append(m.Paths, store.RelPath(p))
	}
	for _, p := range h.Paths64 {
		m.Paths = append(m.Paths, store.RelPath(p))
	}
	slices.Sort(m.Paths)
	for _, r := range h.Refused {
		m.Refused = append(m.Refused, Refused{store.RelPath(join(r.Path, r.Path64)), r.Why})
	}
	return m
}

func byPath(a, b Entry) int { return strings.Compare(string(a.Path), string(b.Path)) }
