package snapshot

import (
	"fmt"
	"time"

	"dovemend/repair/store"
)

// Kind is how an entry differs between two lists.
type Kind string

// The kinds of change.
const (
	Added   Kind = "added"
	Gone    Kind = "gone"
	Content Kind = "content" // type, size, time, inode, link target or hash differ
	Attr    Kind = "attr"    // the same bytes with other mode, owner or time
)

// Change is one difference between two lists. Old is zero for what was added, New for what is gone.
type Change struct {
	Path     store.RelPath
	Kind     Kind
	Old, New Entry
}

// String names the change; the path is quoted.
func (c Change) String() string {
	text := map[Kind]string{Added: "is new", Gone: "is gone", Content: "has changed", Attr: "has another mode, owner or time"}[c.Kind]
	return fmt.Sprintf("%q %s", c.Path, text)
}

// Compare gives the differences between two lists of entries, each sorted by path, in order of path. What one of them does not
// know (owner, inode, hash) is not compared; nor are sizes and times of directories, which follow from what is in them.
func Compare(old, new []Entry) []Change {
	var out []Change
	for i, j := 0, 0; i < len(old) || j < len(new); {
		switch {
		case j == len(new) || i < len(old) && old[i].Path < new[j].Path:
			out = append(out, Change{Path: old[i].Path, Kind: Gone, Old: old[i]})
			i++
		case i == len(old) || new[j].Path < old[i].Path:
			out = append(out, Change{Path: new[j].Path, Kind: Added, New: new[j]})
			j++
		default:
			if kind := difference(&old[i], &new[j]); kind != "" {
				out = append(out, Change{old[i].Path, kind, old[i], new[j]})
			}
			i, j = i+1, j+1
		}
	}
	return out
}

func difference(a, b *Entry) Kind {
	if a.Type != b.Type || a.Link != b.Link {
		return Content
	}
	attr := a.Mode != b.Mode || a.UID >= 0 && b.UID >= 0 && a.UID != b.UID || a.GID >= 0 && b.GID >= 0 && a.GID != b.GID
	if a.Type == 0 {
		same := sameFile(a, b)
		switch {
		case a.SHA256 != "" && b.SHA256 != "":
			if a.SHA256 != b.SHA256 {
				return Content
			}
			attr = attr || !same
		case !same:
			return Content
		}
	}
	if attr {
		return Attr
	}
	return ""
}

// sameFile reports whether two looks at a regular file saw nothing that tells of a change.
func sameFile(a, b *Entry) bool {
	return a.Type == b.Type && a.Size == b.Size && sameTime(a.MTime, b.MTime) && (a.Inode == 0 || b.Inode == 0 || a.Inode == b.Inode)
}

// sameTime compares whole seconds where one of the times has no more.
func sameTime(a, b time.Time) bool {
	if a.Nanosecond() == 0 || b.Nanosecond() == 0 {
		return a.Unix() == b.Unix()
	}
	return a.Equal(b)
}
