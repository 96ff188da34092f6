package remote

import (
	"fmt"
	"path"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

const (
	// openFiles is how many files of one connection are read at one time, and openFilesAll of all: a file costs two round trips.
	openFiles    = 160
	openFilesAll = 512
	// aheadBytes bounds what is asked for and not yet taken, of all files together.
	aheadBytes = 24 << 20
)

// sftp fetches files with many SFTP requests in flight.
func (f *fetching) sftp(links []*link, left []int) {
	var next atomic.Int64
	room := semaphore.NewWeighted(aheadBytes)
	var wg sync.WaitGroup
	for w := range min(len(left), openFiles*len(links), openFilesAll) {
		wg.Go(func() {
			for f.ctx.Err() == nil {
				k := int(next.Add(1)) - 1
				if k >= len(left) {
					return
				}
				i := left[k]
				want := min(f.files[i].Size, chunkSize*maxAhead) + probeSize
				if room.Acquire(f.ctx, want) != nil {
					return
				}
				err := f.over(links[(w+k)%len(links)], i)
				room.Release(want)
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
}

// over fetches one file on a link, or where that is lost on the host's own. An error is one that ends the fetching.
func (f *fetching) over(l *link, i int) error {
	name := path.Join(f.dir, f.files[i].Name)[1:]
	in := &file{fs: f.host.FS(f.ctx), name: name, path: "/" + name, window: maxAhead,
		info: &fileInfo{name: path.Base(name), size: f.files[i].Size, stat: Stat{UID: -1, GID: -1}}}
	err := fmt.Errorf("%w: not tried", ErrDisconnected)
	if l.lost() == nil {
		err = in.open(l)
	}
	if err != nil && (l.lost() != nil || f.ctx.Err() != nil) {
		err = f.host.reading(f.ctx, in.open)
	}
	if err != nil {
		if f.ctx.Err() == nil && f.host.isLost() {
			f.cancel(err)
			return err
		}
		return nil // the caller finds out why
	}
	defer in.Close()
	_, err = f.give(i, in)
	return err
}

// isLost says whether the host's own connection is gone for good.
func (h *Host) isLost() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed || h.dead != nil || h.now.hostile.Load()
}
