package remote

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// MaxConnections bounds [Config].Connections: OpenSSH drops logins at random past ten at a time (MaxStartups 10:30:100).
	MaxConnections = 8
	// farConnections is how many connections bulk reading uses by default. One SSH channel carries about 2 MiB a round trip,
	// so that over 40 ms one connection brings 46 MB/s at most and four bring 154; eight bring little more.
	farConnections = 4
	// nearConnections is the same for a host that is near, where the processors are the limit.
	nearConnections = 2
	// near is the round trip below which a host is near.
	near = 5 * time.Millisecond
	// farLogin is how long logging in takes at least where a host is far: several round trips, and the host's work. loginTrips is how many.
	farLogin   = 200 * time.Millisecond
	loginTrips = 9
	// lanesIdle is how long connections for bulk reading stay open after they were last used.
	lanesIdle = 20 * time.Second
)

// lanes are the connections beside the first one that bulk reading is spread over. They are made when they are first wanted,
// never heal, and are closed when they have not been used for a while. A host that refuses one is not asked again.
type lanes struct {
	mu     sync.Mutex
	extra  []*link
	ready  chan struct{} // closed when dialling has ended; nil while there is none
	users  int
	roads  []*road
	refuse bool
	idle   *time.Timer
}

// wantedLanes is how many connections bulk reading is to use in all.
func (h *Host) wantedLanes() int {
	h.mu.Lock()
	rtt := h.rtt
	h.mu.Unlock()
	switch n := h.cfg.Connections; {
	case n > 0:
		return min(n, MaxConnections)
	case h.creds.wantsTouch(): // nobody is to be asked to touch a key four times
		return 1
	case rtt < near:
		return nearConnections
	}
	return farConnections
}

// Prepare is told how much there will be to fetch, as far as is known. From where it is worth it, it begins to make the connections
// that [Host.Fetch] will use. It returns at once.
func (h *Host) Prepare(ctx context.Context, files int, bytes int64) {
	if much(files, bytes) {
		h.dialLanes(ctx)
	}
}

// dialLanes begins to make further connections, where none are there, and gives a channel that is closed when that has ended.
func (h *Host) dialLanes(ctx context.Context) <-chan struct{} {
	s := &h.lanes
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready != nil {
		return s.ready
	}
	ready := make(chan struct{})
	s.ready = ready
	n := h.wantedLanes() - 1
	if s.refuse || n <= 0 {
		close(ready)
		return ready
	}
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			l, err := h.connectOnce(ctx, nil)
			if err != nil {
				if ctx.Err() == nil {
					h.log.Info("the host gives no further connection", "reason", err)
					s.mu.Lock()
					s.refuse = true
					s.mu.Unlock()
				}
				return
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.ready != ready { // given up meanwhile
				l.close(fmt.Errorf("%w: closed", ErrDisconnected))
				return
			}
			s.extra = append(s.extra, l)
			for _, w := range s.roads {
				w.add(l)
			}
		})
	}
	go func() {
		wg.Wait()
		close(ready)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.ready == ready && s.users == 0 {
			s.rest()
		}
	}()
	return ready
}

// rest closes the connections in a while, unless they are used again. s.mu is held.
func (s *lanes) rest() {
	if s.idle != nil {
		s.idle.Stop()
	}
	s.idle = time.AfterFunc(lanesIdle, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.users == 0 {
			s.closeAll()
		}
	})
}

// closeAll gives up the connections. s.mu is held.
func (s *lanes) closeAll() {
	for _, l := range s.extra {
		l.close(fmt.Errorf("%w: closed", ErrDisconnected))
	}
	s.extra, s.ready = nil, nil
}

// road is the connections that one bulk reading goes over: the host's own, and those that are made meanwhile.
type road struct {
	host  *Host
	more  bool            // further connections are being made, or there
	ready <-chan struct{} // closed when no more will come

	mu     sync.Mutex
	links  []*link
	joined chan struct{} // one place: a connection was added
}

// openRoad gives a road, which is to be closed after its use. With more, it waits for no connection but the host's own.
func (h *Host) openRoad(ctx context.Context, more bool) (*road, error) {
	main, err := h.readable(ctx)
	if err != nil {
		return nil, err
	}
	w := &road{host: h, more: more, links: []*link{main}, joined: make(chan struct{}, 1)}
	if !more {
		return w, nil
	}
	s := &h.lanes
	s.mu.Lock()
	s.users++
	s.roads = append(s.roads, w)
	s.mu.Unlock()
	w.ready = h.dialLanes(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.extra {
		w.add(l)
	}
	return w, nil
}

// add adds a connection, once.
func (w *road) add(l *link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.lost() != nil || slices.Contains(w.links, l) {
		return
	}
	w.links = append(w.links, l)
	select {
	case w.joined <- struct{}{}:
	default:
	}
}

// from gives the connections from the n-th on.
func (w *road) from(n int) []*link {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.links[n:])
}

// used is how many connections there are.
func (w *road) used() int { return len(w.from(0)) }

// all waits until no more connections come, and gives them.
func (w *road) all(ctx context.Context) []*link {
	if w.more {
		select {
		case <-w.ready:
		case <-ctx.Done():
		}
	}
	return w.from(0)
}

func (w *road) close() {
	if !w.more {
		return
	}
	s := &w.host.lanes
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roads = slices.DeleteFunc(s.roads, func(r *road) bool { return r == w })
	if s.users--; s.users == 0 {
		s.rest()
	}
}
