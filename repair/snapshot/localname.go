package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"runtime"
	"strings"
	"unicode/utf8"

	"dovemend/repair/store"
)

// maxComponent is the longest name, in bytes, that every common file system can hold.
const maxComponent = 255

// naming maps host names to names the local file system can hold, component by component. A byte that cannot be is
// written "%" and two hex digits, as is "%" itself, so that the mapping can be read back. On a file system that does not tell
// case or the ways of writing an accent apart, so is everything that is not ASCII, and a name that would clash with
// another gets "%~2" and so on appended; one that is too long is cut
// and gets "%~h" and part of its hash. The manifest records every name that was changed. Not for concurrent use.
type naming struct {
	windows bool
	fold    bool                     // the file system takes different names for the same
	dirs    map[store.RelPath]string // host directory to local directory
	taken   map[string]store.RelPath // with fold: folded local name to host name
}

func newNaming(fold bool) *naming {
	return &naming{windows: runtime.GOOS == "windows", fold: fold, dirs: map[store.RelPath]string{".": "."}, taken: map[string]store.RelPath{}}
}

// reserve notes a mapping that exists already.
func (n *naming) reserve(p store.RelPath, local string) {
	for ; p != "." && local != "."; p, local = store.RelPath(path.Dir(string(p))), path.Dir(local) {
		if n.fold {
			n.taken[foldKey(local)] = p
		}
		if _, ok := n.dirs[p]; ok {
			return
		}
		n.dirs[p] = local
	}
}

// dir gives the local name of a directory.
func (n *naming) dir(p store.RelPath) string {
	if local, ok := n.dirs[p]; ok {
		return local
	}
	local := n.file(p)
	n.dirs[p] = local
	return local
}

// file gives the local name of a file. It is not remembered on file systems that tell all names apart.
func (n *naming) file(p store.RelPath) string {
	if local, ok := n.dirs[p]; ok {
		return local
	}
	parent := n.dir(store.RelPath(path.Dir(string(p))))
	name := n.component(path.Base(string(p)))
	local := path.Join(parent, name)
	if n.fold {
		for try := 2; ; try++ {
			owner, taken := n.taken[foldKey(local)]
			if !taken || owner == p {
				break
			}
			local = path.Join(parent, fmt.Sprintf("%s%%~%d", shorten(name, maxComponent-16), try))
		}
		n.taken[foldKey(local)] = p
	}
	return local
}

func foldKey(local string) string { return strings.ToLower(local) }

func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// component maps one name.
func (n *naming) component(name string) string {
	return holdable(name, n.windows, n.fold, maxComponent)
}

// PortableName maps any text to a name of at most limit bytes that every common file system can hold, Windows' among
// them, in the way snapshots name their files: a byte that is refused somewhere, or that a terminal would obey, is
// written "%" and two hex digits, as is "%" itself; a longer name is cut and gets "%~h" and part of its hash. Different
// texts have different names, but some may differ in case only. limit must be 60 or more.
func PortableName(text string, limit int) string {
	if text == "" {
		return "%"
	}
	return holdable(text, true, false, limit)
}

func holdable(name string, windows, fold bool, limit int) string {
	var out strings.Builder
	escape := func(s string) {
		for i := 0; i < len(s); i++ {
			fmt.Fprintf(&out, "%%%02X", s[i])
		}
	}
	for i := 0; i < len(name); {
		r, size := utf8.DecodeRuneInString(name[i:])
		c := name[i : i+size]
		last := i+size == len(name)
		switch {
		case r == utf8.RuneError && size == 1, r < 0x20, r >= 0x7f && r < 0xa0, r == '%', r == '/', fold && r >= 0x80:
			escape(c)
		case windows && (strings.ContainsRune(`<>:"|?*\~`, r) || last && (r == '.' || r == ' ')):
			escape(c)
		default:
			out.WriteString(c)
		}
		i += size
	}
	s := out.String()
	if windows && reservedOnWindows(s) {
		s = fmt.Sprintf("%%%02X", s[0]) + s[1:]
	}
	if len(s) > limit {
		sum := sha256.Sum256([]byte(name))
		s = shorten(s, min(180, limit-35)) + "%~h" + hex.EncodeToString(sum[:16])
	}
	return s
}

// reservedOnWindows reports whether a name means a device, with or without an ending.
func reservedOnWindows(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	switch base = strings.ToUpper(strings.TrimRight(base, " ")); base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	for _, device := range []string{"COM", "LPT"} {
		if rest, ok := strings.CutPrefix(base, device); ok && (len(rest) == 1 && rest[0] >= '0' && rest[0] <= '9' || rest == "¹" || rest == "²" || rest == "³") {
			return true
		}
	}
	return false
}

// folds finds out by trying whether the file system takes names for the same that differ in case or in the way an
// accent is written.
func folds(dst *os.Root, dir string) (bool, error) {
	for _, pair := range [][2]string{{"probe-Name", "PROBE-nAME"}, {"probe-\u00e9", "probe-e\u0301"}} {
		name := path.Join(dir, pair[0])
		f, err := dst.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return false, err
		}
		f.Close()
		_, err = dst.Lstat(path.Join(dir, pair[1]))
		if e := dst.Remove(name); e != nil {
			return false, e
		}
		if err == nil {
			return true, nil
		}
	}
	return false, nil
}
