// Package proxy is a TCP proxy on loopback that makes a connection as bad as those people have: slow, far away, cut in
// the middle, or silent.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Options say how bad the way is. The zero value only passes on.
type Options struct {
	Delay          time.Duration // one way, both ways each
	BytesPerSecond int64         // in each direction, of all connections together; 0 for no limit
	CutAfter       int64         // cut everything when that many bytes have passed in all, both ways together; 0 for never
	CutWithin      int64         // as CutAfter, at a random place below this
	Seed           uint64        // of that random place
}

// Proxy is a running proxy.
type Proxy struct {
	target   string
	opt      Options
	listener net.Listener
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	passed   atomic.Int64
	cutAt    atomic.Int64
	up, down line
	began    time.Time

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	thawed chan struct{} // closed while bytes may pass
}

// chunk is what is passed on at once, queue how many chunks can be on their way: 64 MiB. What arrives within one tick leaves together,
// which saves timers: the processors are those of the programs that are tested.
const (
	chunk, queue = 64 << 10, 1024
	tick         = time.Millisecond
)

var chunks = sync.Pool{New: func() any { b := make([]byte, chunk); return &b }}

// Start starts a proxy to target on a free loopback port.
func Start(target string, o Options) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start proxy: %w", err)
	}
	p := &Proxy{target: target, opt: o, listener: l, conns: make(map[net.Conn]struct{}), thawed: make(chan struct{}), began: time.Now()}
	close(p.thawed)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.cutAt.Store(o.CutAfter)
	if o.CutWithin > 0 {
		p.cutAt.Store(rand.New(rand.NewPCG(o.Seed, 0x637574)).Int64N(o.CutWithin) + 1)
	}
	p.up.rate, p.down.rate = o.BytesPerSecond, o.BytesPerSecond
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Passed is how many bytes have passed in all, both ways together.
func (p *Proxy) Passed() int64 { return p.passed.Load() }

// Cut cuts all connections now, with a reset. New ones are accepted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if t, ok := c.(*net.TCPConn); ok {
			t.SetLinger(0)
		}
		c.Close()
	}
}

// CutAfter cuts all connections when n more bytes have passed; 0 disarms it.
func (p *Proxy) CutAfter(n int64) {
	if n > 0 {
		n += p.passed.Load()
	}
	p.cutAt.Store(n)
}

// Freeze lets nothing pass any more, in silence, until Thaw: as when a laptop sleeps or a network goes away.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.thawed:
		p.thawed = make(chan struct{})
	default:
	}
}

// Thaw lets bytes pass again.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.thawed:
	default:
		close(p.thawed)
	}
}

// Close cuts everything, waits and frees the port.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	p.cancel()
	p.Cut()
	p.wg.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(c) })
	}
}

// keep notes an open connection, so that Cut finds it.
func (p *Proxy) keep(c net.Conn) (forget func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		c.Close()
		return nil, false
	}
	p.conns[c] = struct{}{}
	return func() {
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
		c.Close()
	}, true
}

func (p *Proxy) serve(c net.Conn) {
	forget, ok := p.keep(c)
	if !ok {
		return
	}
	defer forget()
	var d net.Dialer
	to, err := d.DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		return
	}
	forgetTo, ok := p.keep(to)
	if !ok {
		return
	}
	defer forgetTo()
	var wg sync.WaitGroup
	wg.Go(func() { p.pass(c, to, &p.up) })
	wg.Go(func() { p.pass(to, c, &p.down) })
	wg.Wait()
}

type parcel struct {
	buf *[]byte // of chunks
	n   int
	due time.Time
}

// line is what the bytes of one direction share.
type line struct {
	rate int64 // bytes a second; 0 for no limit
	mu   sync.Mutex
	free time.Time
}

// take gives when n bytes that are due at a time have passed.
func (l *line) take(n int, due time.Time) time.Time {
	if l.rate == 0 {
		return due
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free.Before(due) {
		l.free = due
	}
	l.free = l.free.Add(time.Duration(int64(n) * int64(time.Second) / l.rate))
	return l.free
}

// pass carries one direction of a connection: what was read leaves after the delay, at the rate of the line.
func (p *Proxy) pass(from, to net.Conn, l *line) {
	parcels := make(chan parcel, queue)
	done := make(chan struct{})
	go func() {
		defer close(parcels)
		for {
			buf := chunks.Get().(*[]byte)
			n, err := from.Read(*buf)
			if n > 0 {
				due := time.Now().Add(p.opt.Delay)
				if p.opt.Delay > 0 {
					due = due.Add(tick - due.Sub(p.began)%tick)
				}
				select {
				case parcels <- parcel{buf, n, due}:
				case <-done:
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	defer func() {
		close(done)
		for range parcels { // lets the reader end
		}
	}()
	for q := range parcels {
		if !p.wait(time.Until(l.take(q.n, q.due))) {
			from.Close()
			return
		}
		data, cut := p.count((*q.buf)[:q.n])
		if _, err := to.Write(data); err != nil {
			from.Close()
			return
		}
		chunks.Put(q.buf)
		if cut {
			p.Cut()
			return
		}
	}
	if t, ok := to.(interface{ CloseWrite() error }); ok {
		t.CloseWrite()
	}
}

// count counts bytes that are about to pass, and shortens them to where the cut is.
func (p *Proxy) count(b []byte) ([]byte, bool) {
	passed, at := p.passed.Add(int64(len(b))), p.cutAt.Load()
	if at == 0 || passed < at || !p.cutAt.CompareAndSwap(at, 0) {
		return b, false
	}
	return b[:max(0, int64(len(b))-(passed-at))], true
}

// wait waits for a time and for thaw; false when the proxy is closed.
func (p *Proxy) wait(d time.Duration) bool {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-p.ctx.Done():
			return false
		}
	}
	p.mu.Lock()
	thawed := p.thawed
	p.mu.Unlock()
	select {
	case <-thawed:
		return true
	case <-p.ctx.Done():
		return false
	}
}
