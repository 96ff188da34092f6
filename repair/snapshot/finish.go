package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
func (w *work) finish(ctx context.Context, keepOld bool) (digest string, err error) {
	if err := ctx.Err(); err != nil {
		return "", context.Cause(ctx)
	}
	w.m.Incomplete = w.m.incomplete()
	moves, err := w.moves(keepOld)
	if err != nil {
		return "", err
	}
	if digest, err = writeFile(w.dst, nextName, w.m.write); err != nil {
		return "", err
	}
	if err := syncAll(w.dst, append(w.synced, nextName)); err != nil {
		return "", local(err)
	}
	temp := path.Join(incomingDir, "finish")
	if _, err := writeFile(w.dst, temp, func(out io.Writer) (string, error) {
		return "", json.NewEncoder(out).Encode(moves)
	}); err != nil {
		return "", err
	}
	if err := w.dst.Rename(temp, finishName); err != nil {
		return "", local(err)
	}
	syncDir(w.dst, ".")
	return digest, rollForward(w.dst)
}

// moves works out what has to change in files/.
func (w *work) moves(keepOld bool) ([]move, error) {
	number, err := nextBefore(w.dst)
	if err != nil {
		return nil, err
	}
	var keep, rmdir, mkdir, place []move
	for i := range w.orig {
		o := &w.orig[i]
		var n *Entry
		if k := find(w.m.Entries, o.Path); k >= 0 {
			n = &w.m.Entries[k]
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
	for i := range w.m.Entries {
		n := &w.m.Entries[i]
		if temp := w.temps[n.Path]; temp != "" {
			place = append(place, move{"place", temp, filePath(n)})
		}
		if n.Type == fs.ModeDir {
			if k := find(w.orig, n.Path); k < 0 || w.orig[k].Type != fs.ModeDir {
				mkdir = append(mkdir, move{Do: "mkdir", To: filePath(n)})
			}
		}
	}
	return slices.Concat(keep, rmdir, mkdir, place), nil
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
		if err := syncAll(dst, placed); err != nil {
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
