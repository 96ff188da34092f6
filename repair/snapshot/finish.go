package snapshot

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
)

const (
	manifestName = "manifest.json"
	nextName     = "manifest.next.json"
	finishName   = "finish.json"
)

// move is one change within the snapshot's own directory. Moves are noted in finish.json before the first is made, and
// each can be made again after a crash without harm.
type move struct {
	Do   string `json:"do"` // "keep" From in before/, "place" From incoming/, "mkdir" To, "rmdir" From
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// finish puts what was fetched into files/, moves what it replaces to before/, and writes the manifest. Once finish.json is
// written, a crash leaves a snapshot that [Open] brings to its end; before that, one that is as it was.
func (w *work) finish(ctx context.Context, keepOld bool) (*Stored, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	moves, err := w.moves(keepOld)
	if err != nil {
		return nil, err
	}
	s := &Stored{root: w.dst}
	if err := s.count(w.list.cursor()); err != nil {
		return nil, err
	}
	w.m.Incomplete = len(w.m.Refused) > 0 || s.stats.Missing > 0
	if s.sum, err = writeFile(w.dst, nextName, func(out io.Writer) (string, error) { return w.m.write(out, w.list.cursor()) }); err != nil {
		return nil, err
	}
	s.m, s.stats.Gone = *w.m, len(w.m.Earlier)
	var listErr error
	if err := syncAll(w.dst, w.unsynced(&listErr)); err != nil || listErr != nil {
		return nil, cmp.Or(listErr, local(err))
	}
	temp := path.Join(incomingDir, "finish")
	if _, err := writeFile(w.dst, temp, func(out io.Writer) (string, error) {
		return "", json.NewEncoder(out).Encode(moves)
	}); err != nil {
		return nil, err
	}
	if err := w.dst.Rename(temp, finishName); err != nil {
		return nil, local(err)
	}
	syncDir(w.dst, ".")
	return s, rollForward(w.dst)
}

// unsynced gives the files that may not be on the disk yet. Where their list cannot be read, err says so afterwards.
func (w *work) unsynced(err *error) iter.Seq[string] {
	return func(yield func(string) bool) {
		c := w.orig.cursor()
		for c.next() {
			if c.e.fresh && !yield(filePath(c.e)) {
				return
			}
		}
		*err = c.err
		for _, name := range append(w.synced, nextName) {
			if !yield(name) {
				return
			}
		}
	}
}

// moves works out what has to change in files/.
func (w *work) moves(keepOld bool) ([]move, error) {
	number, err := nextBefore(w.dst)
	if err != nil {
		return nil, err
	}
	if w.list == w.orig && len(w.list.later) == 0 {
		return nil, nil // as it was
	}
	var keep, rmdir, mkdir, place []move
	was, now := w.orig.cursor(), w.list.cursor()
	for was.next() {
		o := was.e
		var n *Entry
		if now.meet(o.Path, nil) {
			n = now.e
		}
		switch {
		case o.Type == fs.ModeDir && o.Path != "." && (n == nil || n.Type != fs.ModeDir):
			rmdir = append(rmdir, move{Do: "rmdir", From: filePath(o)})
		case o.hasBytes() && (n == nil || !n.hasBytes() || keepOld && w.temps[o.Path] != ""):
			e := *o
			e.Local = path.Join(number, o.local())
			w.m.Earlier = append(w.m.Earlier, e)
			keep = append(keep, move{"keep", filePath(o), path.Join(beforeDir, e.Local)})
		}
	}
	slices.SortStableFunc(rmdir, func(a, b move) int { return strings.Count(b.From, "/") - strings.Count(a.From, "/") })
	if err := cmp.Or(was.err, now.err); err != nil {
		return nil, err
	}
	was, now = w.orig.cursor(), w.list.cursor()
	for now.next() {
		n := now.e
		if temp := w.temps[n.Path]; temp != "" {
			place = append(place, move{"place", temp, filePath(n)})
		}
		if n.Type == fs.ModeDir && (!was.meet(n.Path, nil) || was.e.Type != fs.ModeDir) {
			mkdir = append(mkdir, move{Do: "mkdir", To: filePath(n)})
		}
	}
	return slices.Concat(keep, rmdir, mkdir, place), cmp.Or(was.err, now.err)
}

// writeFile writes and syncs a file of the snapshot's own bookkeeping.
func writeFile(dst *os.Root, name string, write func(io.Writer) (string, error)) (string, error) {
	f, err := dst.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", local(err)
	}
	digest, err := write(f)
	if err == nil {
		err = f.Sync()
	}
	return digest, local(errors.Join(err, f.Close()))
}

// rollForward makes the moves of a finish.json, if there is one, and puts the next manifest in place.
func rollForward(dst *os.Root) error {
	b, err := dst.ReadFile(finishName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return local(err)
	}
	var moves []move
	if err := json.Unmarshal(b, &moves); err != nil {
		return fmt.Errorf("read %s: %w", finishName, err)
	}
	var placed []string
	for _, m := range moves {
		if m.From != "" && !cleanPath(m.From) || m.To != "" && !cleanPath(m.To) {
			return fmt.Errorf("read %s: unclean path", finishName)
		}
		if err := m.make(dst); err != nil {
			return local(err)
		}
		if m.Do == "place" || m.Do == "keep" {
			placed = append(placed, m.To)
		}
	}
	if len(moves) > 0 {
		if err := syncAll(dst, slices.Values(placed)); err != nil {
			return local(err)
		}
	}
	if err := dst.Rename(nextName, manifestName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return local(err)
	}
	syncDir(dst, ".")
	if err := dst.Remove(finishName); err != nil {
		return local(err)
	}
	return nil
}

func (m move) make(dst *os.Root) error {
	there := func(name string) bool {
		_, err := dst.Lstat(name)
		return err == nil
	}
	switch m.Do {
	case "keep": // before/N is new with each finish: if the name is there, this move was made
		if there(m.To) || !there(m.From) {
			return nil
		}
	case "place":
		if !there(m.From) {
			return nil
		}
	case "mkdir":
		return dst.MkdirAll(m.To, 0o700)
	case "rmdir":
		if info, err := dst.Lstat(m.From); err != nil || !info.IsDir() {
			return nil
		}
		// A directory that holds something the manifest does not know stays.
		_ = dst.Remove(m.From)
		return nil
	default:
		return fmt.Errorf("unknown move %q", m.Do)
	}
	if err := dst.MkdirAll(path.Dir(m.To), 0o700); err != nil {
		return err
	}
	return dst.Rename(m.From, m.To)
}
