package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"dovemend/repair/store"
)

const (
	maxListed  = 3_000_000 // entries of one listing
	maxRefused = 1000      // refusals that are recorded
	maxPathLen = 4096      // bytes of a path, as Linux has it
	maxDepth   = 64        // components of a path
)

// maxListedText bounds the names, link targets and errors of one listing together, in bytes: 170 for each of the most entries.
var maxListedText int64 = 512 << 20

// errListAgain: what was yielded does not count, and the source is to be asked again, once.
var errListAgain = errors.New("the list broke off")

// listing is what a source listed, gone through in order of paths.
type listing struct {
	*cursor
	refused []Refused // complete when all was gone through
	sorter  *sorter
}

func (l *listing) refuse(p store.RelPath, why string) {
	if len(l.refused) < maxRefused {
		l.refused = append(l.refused, Refused{p, why})
	}
}

func (l *listing) close() {
	l.sorter.close()
	l.cursor = nil
}

// list asks a source for its entries and keeps those that can be. What the host says is checked
// here: whatever passes is a clean path beneath what was asked for, there once, and beneath directories only (of two entries of one name, a directory is kept).
func (c *copier) list(ctx context.Context, src Source, paths []store.RelPath) (*listing, error) {
	l, err := c.listOnce(ctx, src, paths)
	if errors.Is(err, errListAgain) {
		l, err = c.listOnce(ctx, src, paths)
	}
	if err != nil {
		return nil, fmt.Errorf("list the host's files: %w", err)
	}
	return l, nil
}

func (c *copier) listOnce(ctx context.Context, src Source, paths []store.RelPath) (*listing, error) {
	l := &listing{sorter: &sorter{c: c}}
	aside := slices.ContainsFunc(paths, func(p store.RelPath) bool { return beneath([]store.RelPath{asideDir}, p) })
	seen, text := 0, int64(0)
	err := src.List(ctx, paths, func(e Entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		text += int64(len(e.Path) + len(e.Link) + len(e.Err))
		if seen++; seen > maxListed || text > maxListedText {
			return ErrTooMany
		}
		if why := impossible(&e); why != "" {
			l.refuse(e.Path[:min(len(e.Path), 512)], why)
			return nil
		}
		if !aside && beneath([]store.RelPath{asideDir}, e.Path) {
			return nil
		}
		if !beneath(paths, e.Path) {
			l.refuse(e.Path, "not asked for")
			return nil
		}
		return l.sorter.add(tidy(e))
	})
	if err != nil {
		l.close()
		return nil, err
	}
	l.cursor = treeOnly(l.sorter.cursor(), l.refuse)
	return l, nil
}

// impossible says why an entry cannot be, or "".
func impossible(e *Entry) string {
	p := string(e.Path)
	switch {
	case len(p) > maxPathLen:
		return "path too long"
	case !cleanPath(p):
		return "path leads elsewhere"
	case strings.Count(p, "/") >= maxDepth:
		return "path too deep"
	case e.Path == "." && e.Type != fs.ModeDir:
		return "mail root is not a directory"
	case e.Type == 0 && e.Size < 0:
		return "impossible size"
	}
	return ""
}

// tidy keeps of a listed entry what a listing can know.
func tidy(e Entry) Entry {
	e.Local, e.SHA256, e.Torn = "", "", false
	e.Mode &= fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
	if e.Type != 0 {
		e.Size = 0
	}
	if e.Type != fs.ModeSymlink {
		e.Link = ""
	}
	if y := e.MTime.UTC().Year(); y < 1 || y > 9999 {
		e.MTime = time.Time{}
	}
	e.MTime = e.MTime.UTC()
	e.UID, e.GID = max(e.UID, -1), max(e.GID, -1)
	e.Err = clip(e.Err)
	return e
}

// clip makes a text of the host short.
func clip(s string) string {
	if len(s) > 300 {
		s = s[:300]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// treeOnly leaves out of sorted entries what is there twice, or beneath something that is no directory.
func treeOnly(entries *cursor, refuse func(store.RelPath, string)) *cursor {
	var last Entry
	var leaves []store.RelPath // entries that are no directories, each with a name that begins with the one before, as does last's
	possible := func(e *Entry) bool {
		if last.Path == e.Path {
			if last.Type != e.Type || e.Type != fs.ModeDir {
				refuse(e.Path, "listed twice")
			}
			return false
		}
		for n := len(leaves); n > 0 && !strings.HasPrefix(string(e.Path), string(leaves[n-1])); n-- {
			leaves = leaves[:n-1]
		}
		if slices.ContainsFunc(leaves, func(p store.RelPath) bool { return e.Path[len(p)] == '/' }) {
			refuse(e.Path, "beneath something that is no directory")
			return false
		}
		if last = *e; e.Type != fs.ModeDir {
			leaves = append(leaves, e.Path)
		}
		return true
	}
	return &cursor{read: func() (int, *Entry, error) {
		for entries.next() {
			if possible(entries.e) {
				return 0, entries.e, nil
			}
		}
		return 0, nil, cmp.Or(entries.err, io.EOF)
	}}
}
