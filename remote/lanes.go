package remote

import (
	"context"
	"fmt"
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

// useLanes gives the connections bulk reading is to be spread over, the host's own first, and what is to be called after
// their use. Where the host refuses further ones, it is only the one.
func (h *Host) useLanes(ctx context.Context) ([]*link, func(), error) {
	main, err := h.readable(ctx)
	if err != nil {
		return nil, nil, err
	}
	s := &h.lanes
	s.mu.Lock()
	s.users++
	s.mu.Unlock()
	done := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.users--; s.users == 0 {
			s.rest()
		}
	}
	select {
	case <-h.dialLanes(ctx):
	case <-ctx.Done():
		done()
		return nil, nil, ctx.Err()
	}
	links := []*link{main}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.extra {
		if l.lost() == nil {
			links = append(links, l)
		}
	}
	return links, done, nil
}
