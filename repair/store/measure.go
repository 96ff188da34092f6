package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"dovemend/repair/dovecot"
)

// indexLimit bounds what is read of one index file, in bytes. A larger one cannot be told here.
const indexLimit = 64 << 20

// Measure tells how much mail there is: per mailbox, in the order of a.Mailboxes, and in all. Messages are counted from
// the index and its logs for mdbox, from the files u.N for sdbox, and from the files in cur and new for Maildir. The bytes
// of a mailbox are those of its own files; for mdbox, whose messages lie in the storage all mailboxes share, those of its
// messages as the map index tells them (a copied message counts in each mailbox). The bytes in all are those of every
// file beneath the mail root, things set aside left out.
func Measure(ctx context.Context, fsys fs.FS, a Account) (boxes []Size, all Size, err error) {
	r := newReader(fsys, mailReads)
	root := a.Root.inFS()
	boxes = make([]Size, len(a.Mailboxes))
	var sizes map[dovecot.UID]int64
	if a.Layout == MDBox {
		if sizes, err = r.mapSizes(ctx, root); err != nil {
			return nil, Size{}, fmt.Errorf("measure storage: %w", err)
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	for i, m := range a.Mailboxes {
		g.Go(func() error {
			s, err := r.measure(gctx, a, m, sizes)
			if err != nil && !r.lasting(gctx, err) {
				return fmt.Errorf("measure mailbox %q: %w", m.Name, err)
			}
			if err != nil {
				s = Size{-1, -1}
			}
			boxes[i] = s
			return nil
		})
	}
	g.Go(func() (err error) {
		all.Bytes, err = r.treeBytes(gctx, root)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, Size{}, err
	}
	for _, b := range boxes {
		if b.Messages < 0 {
			all.Messages = -1
			break
		}
		all.Messages += b.Messages
	}
	return boxes, all, nil
}

func (r *reader) measure(ctx context.Context, a Account, m Mailbox, sizes map[dovecot.UID]int64) (Size, error) {
	dir := path.Join(a.Root.inFS(), string(m.Dir))
	if a.Layout == MDBox {
		return r.measureMDBox(ctx, dir, sizes)
	}
	var s Size
	count := func(sub string, message func(string) bool) error {
		entries, err := r.readDir(ctx, path.Join(dir, sub))
		if errors.Is(err, fs.ErrNotExist) && sub != "" {
			return nil
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil || !info.Mode().IsRegular() {
				continue
			}
			if message(e.Name()) {
				s.Messages++
				s.Bytes += max(0, info.Size())
			} else if sub != "" || a.Layout == SDBox || ownMaildirFile(e.Name()) {
				s.Bytes += max(0, info.Size())
			}
		}
		return err
	}
	if a.Layout == SDBox {
		err := count("", messageFile.MatchString)
		return s, err
	}
	if err := count("", func(string) bool { return false }); err != nil {
		return s, err
	}
	for _, sub := range []string{"cur", "new"} {
		if err := count(sub, func(name string) bool { return name[0] != '.' }); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (r *reader) measureMDBox(ctx context.Context, dir string, sizes map[dovecot.UID]int64) (Size, error) {
	state, err := r.replay(ctx, dir, "dovecot.index")
	if state == nil || err != nil {
		return Size{-1, -1}, err
	}
	s := Size{Messages: len(state.Records)}
	for i := range state.Records {
		uid, _, ok := state.MapUID(&state.Records[i])
		if !ok || sizes == nil {
			s.Bytes = -1
			break
		}
		s.Bytes += sizes[dovecot.UID(uid)]
	}
	return s, nil
}

// mapSizes gives the bytes of each message in mdbox storage, or nil where there is no map index to tell.
func (r *reader) mapSizes(ctx context.Context, root string) (map[dovecot.UID]int64, error) {
	state, err := r.replay(ctx, path.Join(root, "storage"), "dovecot.map.index")
	if state == nil || err != nil {
		return nil, err
	}
	ext := state.Ext("map")
	sizes := make(map[dovecot.UID]int64, len(state.Records))
	for i := range state.Records {
		// struct mdbox_map_mail_index_record, 2.3: file_id, offset, size
		if v := state.Value(&state.Records[i], ext); len(v) >= 12 {
			sizes[state.Records[i].UID] = int64(binary.LittleEndian.Uint32(v[8:]))
		}
	}
	return sizes, nil
}

// replay reads an index and its logs. It gives nil where there is no index at all, or one too large to read here.
func (r *reader) replay(ctx context.Context, dir, prefix string) (*dovecot.State, error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	var files dovecot.Files
	found := false
	for _, f := range []struct {
		name string
		to   *[]byte
	}{
		{prefix, &files.Index}, {prefix + ".backup", &files.Backup}, {prefix + ".log", &files.Log}, {prefix + ".log.2", &files.Log2},
	} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b, err := r.head(path.Join(dir, f.name), indexLimit+1)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if !r.lasting(ctx, err) {
				return nil, err
			}
			return nil, nil
		}
		if len(b) > indexLimit {
			return nil, nil
		}
		*f.to, found = b, true
	}
	if !found {
		return nil, nil
	}
	state, _ := dovecot.Replay(files)
	return state, nil
}

// treeBytes adds up the sizes of all regular files beneath a directory.
func (r *reader) treeBytes(ctx context.Context, root string) (int64, error) {
	var sum atomic.Int64
	level := []string{root}
	for depth := 0; len(level) > 0 && depth < maxFolderDepth+4; depth++ {
		next := make([][]string, len(level))
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(parallelReads)
		for i, dir := range level {
			g.Go(func() error {
				entries, err := r.readDir(gctx, dir)
				if err != nil && !r.lasting(gctx, err) {
					return err
				}
				for _, e := range entries {
					if e.IsDir() {
						if dir != root || e.Name() != asideDir {
							next[i] = append(next[i], path.Join(dir, e.Name()))
						}
					} else if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
						sum.Add(max(0, info.Size()))
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return 0, err
		}
		level = nil
		for _, dirs := range next {
			level = append(level, dirs...)
		}
	}
	return sum.Load(), nil
}
