package remote

import (
	"io"
	"sync"
	"time"
)

const (
	// mostGathered is how many bytes wait to be written at most; a writer of more waits.
	mostGathered = 256 << 10
	// enoughGathered is what is worth a packet of its own, in bytes.
	enoughGathered = packet
	// gatherFor is how long less than that is kept back at most where more is to come, and gatherStep how often it is looked at.
	gatherFor  = 2 * time.Millisecond
	gatherStep = gatherFor / 8
)

// gathering hands on what is written in larger pieces: what comes while one is on its way, or shortly before, goes together with the next.
// Requests of many goroutines, of which each is a few dozen bytes, become few SSH packets that way, and so do their answers. Write
// returns before its bytes are written; lost hears of what that fails with, once, and everything after it fails with that too.
type gathering struct {
	w    io.WriteCloser
	much func() bool // much more will be written at once
	lost func(error)

	mu     sync.Mutex
	room   *sync.Cond
	next   []byte
	spare  []byte
	busy   bool // a piece is on its way
	closed bool
	err    error
}

func newGathering(w io.WriteCloser, much func() bool, lost func(error)) *gathering {
	g := &gathering{w: w, much: much, lost: lost}
	g.room = sync.NewCond(&g.mu)
	return g
}

func (g *gathering) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.next) > 0 && len(g.next)+len(p) > mostGathered && g.err == nil {
		g.room.Wait()
	}
	switch {
	case g.err != nil:
		return 0, g.err
	case g.closed:
		return 0, io.ErrClosedPipe
	}
	g.next = append(g.next, p...)
	if !g.busy {
		g.busy = true
		go g.pass()
	}
	return len(p), nil
}

func (g *gathering) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.next)
}

// pass writes until nothing is left.
func (g *gathering) pass() {
	for {
		for waited := time.Duration(0); waited < gatherFor && g.much() && g.waiting() < enoughGathered; waited += gatherStep {
			time.Sleep(gatherStep)
		}
		g.mu.Lock()
		if len(g.next) == 0 {
			g.busy = false
			closed := g.closed
			g.mu.Unlock()
			if closed {
				g.w.Close()
			}
			return
		}
		piece := g.next
		g.next, g.spare = g.spare[:0], piece
		g.room.Broadcast()
		g.mu.Unlock()
		if _, err := g.w.Write(piece); err != nil {
			g.mu.Lock()
			g.err, g.next, g.busy = err, nil, false
			g.room.Broadcast()
			g.mu.Unlock()
			g.lost(err)
			return
		}
	}
}

// Close closes the writer beneath when all is written. It does not wait for that.
func (g *gathering) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	if g.busy {
		return nil
	}
	return g.w.Close()
}
