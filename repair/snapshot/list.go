package snapshot

import (
	"context"
	"errors"
	"fmt"
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

// list asks the source for its entries and keeps those that can be, sorted by path. What the host says is checked
// here: whatever passes is a clean path beneath what was asked for, there once, and beneath directories only (of two entries of one name, a directory is kept).
func list(ctx context.Context, src Source, paths []store.RelPath) (entries []Entry, refused []Refused, err error) {
	refuse := func(p store.RelPath, why string) {
		if len(refused) < maxRefused {
			refused = append(refused, Refused{p, why})
		}
	}
	aside := slices.ContainsFunc(paths, func(p store.RelPath) bool { return beneath([]store.RelPath{asideDir}, p) })
	seen, text := 0, int64(0)
	take := func(e Entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		text += int64(len(e.Path) + len(e.Link) + len(e.Err))
		if seen++; seen > maxListed || text > maxListedText {
			return ErrTooMany
		}
		if why := impossible(&e); why != "" {
			refuse(e.Path[:min(len(e.Path), 512)], why)
			return nil
		}
		if !aside && beneath([]store.RelPath{asideDir}, e.Path) {
			return nil
		}
		if !beneath(paths, e.Path) {
			refuse(e.Path, "not asked for")
			return nil
		}
		entries = append(entries, tidy(e))
		return nil
	}
	err = src.List(ctx, paths, take)
	if errors.Is(err, errListAgain) {
		entries, refused, seen, text = nil, nil, 0, 0
		err = src.List(ctx, paths, take)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list the host's files: %w", err)
	}
	slices.SortStableFunc(entries, inTreeOrder)
	entries = treeOnly(entries, refuse)
	slices.SortFunc(entries, byPath)
	return entries, refused, nil
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

// inTreeOrder puts what is beneath a directory right after it, and of one name the directory first.
func inTreeOrder(a, b Entry) int {
	x, y := string(a.Path), string(b.Path)
	if x == "." || y == "." {
		return boolCompare(y == ".", x == ".")
	}
	n := min(len(x), len(y))
	for i := range n {
		if cx, cy := x[i], y[i]; cx != cy {
			if cx == '/' {
				return -1
			}
			if cy == '/' {
				return 1
			}
			return int(cx) - int(cy)
		}
	}
	if len(x) == len(y) {
		return boolCompare(a.Type != fs.ModeDir, b.Type != fs.ModeDir)
	}
	return len(x) - len(y)
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// treeOnly takes out of entries in tree order what is there twice, or beneath something that is no directory.
func treeOnly(entries []Entry, refuse func(store.RelPath, string)) []Entry {
	out := entries[:0]
	var leaf store.RelPath // the last entry that is no directory
	for _, e := range entries {
		if n := len(out); n > 0 && out[n-1].Path == e.Path {
			if out[n-1].Type != e.Type || e.Type != fs.ModeDir {
				refuse(e.Path, "listed twice")
			}
			continue
		}
		if leaf != "" && strings.HasPrefix(string(e.Path), string(leaf)+"/") {
			refuse(e.Path, "beneath something that is no directory")
			continue
		}
		if e.Type != fs.ModeDir {
			leaf = e.Path
		}
		out = append(out, e)
	}
	return out
}
