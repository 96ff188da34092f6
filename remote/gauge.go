package remote

import (
	"sync"
	"time"
)

// gauge decides by measuring whether the host is to compress: on a slow line what comes compressed comes faster.
type gauge struct {
	mu     sync.Mutex
	tool   string
	fixed  bool
	pack   bool
	plain  rate
	packed rate
}

// rate is how fast bytes of files came, added up over streams.
type rate struct {
	bytes int64
	busy  time.Duration
}

func (r rate) perSecond() float64 { return float64(r.bytes) / max(r.busy.Seconds(), 1e-3) }

// fewest is how long streams must have been measured, all together, before anything is decided by it.
const fewest = 300 * time.Millisecond

// slowLine is up to which rate of one stream compression is tried, in bytes a second: a host's processor compresses several
// times as fast, and has others to serve.
const slowLine = 4 << 20

func newGauge(c Compression, tool string) *gauge {
	g := &gauge{tool: tool, fixed: c != "" || tool == "", pack: c == CompressOn && tool != ""}
	return g
}

// choose gives the tool that the next stream is to be compressed with, or "".
func (g *gauge) choose() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.fixed {
		switch {
		case g.packed.busy >= fewest:
			g.pack = g.packed.perSecond() > g.plain.perSecond()
		case g.plain.busy >= fewest:
			g.pack = g.plain.perSecond() < slowLine
		}
	}
	if g.pack {
		return g.tool
	}
	return ""
}

// limit is how much the next portion may be, in bytes, while nothing is decided: not much, for on a slow line it takes its time.
func (g *gauge) limit() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fixed || g.plain.busy >= fewest && (g.packed.busy >= fewest || g.plain.perSecond() >= slowLine) {
		return mostBatch
	}
	return firstBatch
}

// firstBatch bounds the portions that are measured, in bytes.
const firstBatch = 8 << 20

// decided reports whether it is settled whether the next stream is compressed, at least until those that are have been measured.
func (g *gauge) decided() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.fixed || g.plain.busy >= fewest
}

// note takes in how long a stream took for some bytes of its files.
func (g *gauge) note(packed bool, took time.Duration, bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := &g.plain
	if packed {
		r = &g.packed
	}
	r.bytes += bytes
	r.busy += took
}
