package remote

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// bulkFacts is what the host has for work on many files, as found at login, and what turned out to be of no use.
type bulkFacts struct {
	tar       string // "gnu", "bsd", "busybox", or ""
	find      string // how files are listed: "gnu" where find knows -printf, or the name of a stat in statFormats, or ""
	pack      string // "zstd", "gzip" or ""
	xargs     bool   // xargs knows -0
	slowStart bool   // a command takes long to begin
	sameHome  bool   // commands and SFTP see the same home directory
	noTar     atomic.Bool
	noLay     atomic.Bool // its tar writes nothing that can be used
	tarEager  atomic.Bool // it wants all names before it begins
	noFind    atomic.Bool
}

func (b *bulkFacts) tarTool() string {
	if b.noTar.Load() {
		return ""
	}
	return b.tar
}

// tarArguments make a tar read names from standard input, ended by NUL, or by a newline where it knows nothing else. All names
// begin with "./", so that none can be an option. Which of them a host's tar takes is tried at login.
var tarArguments = map[string]string{
	"gnu":     "-cf - --format=gnu --no-recursion --hard-dereference --null -T -",
	"bsd":     "-cf - --format=gnutar -n --null -T -",
	"busybox": "-cf - --no-recursion -T -",
}

// packCommands compress a stream as fast as they can.
var packCommands = map[string]string{"zstd": "zstd -1 -q -c", "gzip": "gzip -1 -c"}

// streamsPerLink is how many tars run on one connection: while one of them starts or ends, the other fills the line.
const streamsPerLink = 2

// tarError says why what the host's tar sends is not to be used. It is safe to print.
type tarError struct{ why string }

func (e *tarError) Error() string { return e.why }

func badTar(format string, args ...any) error { return &tarError{fmt.Sprintf(format, args...)} }

// tar fetches with the host's tar what it can: over the connections there are, and those that come while it does.
func (f *fetching) tar(way *road) {
	var order []int
	for _, i := range f.left() {
		if f.host.bulk.tar != "busybox" || !strings.Contains(f.files[i].Name, "\n") {
			order = append(order, i)
		}
	}
	perLink, links := streamsPerLink, 1
	if f.host.bulk.slowStart {
		perLink = 1
	}
	if way.more {
		links = f.host.wantedLanes()
	}
	b := newBatches(order, f.files, perLink*links)
	if f.host.bulk.slowStart {
		b.even() // each command is dear
	}
	gauge := newGauge(f.host.cfg.Compress, f.host.bulk.pack)
	ended := make(chan struct{}, perLink*MaxConnections)
	begun, running := 0, 0
	for {
		for _, l := range way.from(begun) {
			begun++
			for range perLink {
				running++
				go func() {
					f.stream(l, b, gauge)
					ended <- struct{}{}
				}()
			}
		}
		select {
		case <-way.joined:
		case <-ended:
			if running--; running == 0 {
				return
			}
		}
	}
}

// stream fetches over one connection, a command after the other, until nothing is left.
func (f *fetching) stream(l *link, b *batches, g *gauge) {
	for f.ctx.Err() == nil && !f.tarGivenUp() {
		t := &tarStream{fetching: f, batches: b, gauge: g, packed: g.choose()}
		t.moved = sync.NewCond(&t.at)
		// What is compressed is kept back on its way, so that nothing tells when the host wants more names.
		t.fed = f.host.bulk.tar == "gnu" && t.packed == "" && !f.host.bulk.tarEager.Load()
		if t.fed {
			t.take(b.some(t.window()))
		} else {
			t.take(b.next(g.limit()))
		}
		if len(t.part) == 0 || !f.batch(l, t) {
			return
		}
	}
}

func (f *fetching) tarGivenUp() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tarOver
}

// batch fetches one portion. It reports whether the link is fit for another.
func (f *fetching) batch(l *link, t *tarStream) bool {
	err := t.run(l)
	t.measure()
	part := t.close()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tarGave = f.tarGave || len(t.given) > 0
	if t.packed != "" {
		f.out.Compressed += t.bytes
	}
	var exit *ExitError
	var bad *tarError
	if err == nil && len(t.given) == 0 && t.passed == 0 {
		err = badTar("it sent nothing")
	}
	switch {
	case err == nil:
		f.answered(part)
		return true
	case f.ctx.Err() != nil:
		return false
	case l.lost() != nil:
		f.host.log.Info("a connection was lost while files came over it", "reason", l.lost())
		t.batches.back(slices.DeleteFunc(part, func(i int) bool { return f.done[i] }))
		return false
	case errors.As(err, &exit):
		// A file changed or could not be read: the others are what they are.
		f.host.log.Debug("the host's tar reports an error", "status", exit.Status, "stderr", exit.Stderr)
		f.out.Doubtful = append(f.out.Doubtful, t.given...)
		if f.tarGave {
			f.answered(part)
			return true
		}
	case errors.As(err, &bad):
		f.out.Doubtful = append(f.out.Doubtful, t.given...)
	default: // no further session on this connection
		f.host.log.Info("a further command is refused", "reason", err)
		t.batches.back(part)
		return false
	}
	if !f.tarOver {
		f.tarOver = true
		f.host.bulk.noTar.Store(true)
		f.out.Notes = append(f.out.Notes, "the host's tar cannot be used ("+Safe(err.Error())+"); the files are read over SFTP instead")
	}
	return false
}

// answered notes that nothing more is to be had of these files in bulk: what did not come is no regular file now, or not as long as
// listed, or cannot be read. f.mu is held.
func (f *fetching) answered(part []int) {
	for _, i := range part {
		f.done[i] = true
	}
}
