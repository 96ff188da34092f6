package remote

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
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

// tar fetches with the host's tar what it can.
func (f *fetching) tar(links []*link) {
	var order []int
	for _, i := range f.left() {
		if f.host.bulk.tar != "busybox" || !strings.Contains(f.files[i].Name, "\n") {
			order = append(order, i)
		}
	}
	streams := streamsPerLink * len(links)
	if f.host.bulk.slowStart {
		streams = len(links)
	}
	b := newBatches(order, f.files, streams)
	if f.host.bulk.slowStart {
		b.even() // each command is dear
	}
	gauge := newGauge(f.host.cfg.Compress, f.host.bulk.pack)
	var wg sync.WaitGroup
	for s := range streams {
		wg.Go(func() {
			l := links[s%len(links)]
			for f.ctx.Err() == nil && !f.tarGivenUp() {
				part := b.next(gauge.limit())
				if len(part) == 0 || !f.batch(l, part, b, gauge) {
					return
				}
			}
		})
	}
	wg.Wait()
}

func (f *fetching) tarGivenUp() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tarOver
}

// batch fetches one portion. It reports whether the link is fit for another.
func (f *fetching) batch(l *link, part []int, b *batches, g *gauge) bool {
	t := &tarStream{fetching: f, part: part, packed: g.choose()}
	err := t.run(l)
	g.note(t.packed != "", t.begun, t.bytes)
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
		b.back(slices.DeleteFunc(part, func(i int) bool { return f.done[i] }))
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
		b.back(part)
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

// tarStream is one run of the host's tar.
type tarStream struct {
	*fetching
	part   []int
	packed string
	begun  time.Time // when its first bytes came
	bytes  int64     // of files
	given  []int
	passed int // entries that were passed over
}

func (t *tarStream) run(l *link) error {
	command := "tar " + tarArguments[t.host.bulk.tar]
	script := "cd " + quote(t.dir) + " || exit 1\nLC_ALL=C; export LC_ALL; COPYFILE_DISABLE=1; export COPYFILE_DISABLE\n"
	const said = "dovemend-tar-status="
	if t.packed == "" {
		script += "exec " + command
	} else { // the status of a pipe is that of its last command
		script += "{ " + command + "; echo \"" + said + "$?\" >&2; } | " + packCommands[t.packed]
	}
	c, err := l.command(t.ctx, script, false)
	if err != nil {
		return err
	}
	defer c.stop()
	errs := newBounded(noiseLimit)
	errs.drop = true
	c.errText = errs.bytes
	var quiet sync.WaitGroup
	quiet.Go(func() { io.Copy(errs, c.stderr) })
	go t.names(c.stdin)
	if err := c.skipNoise(t.ctx); err != nil {
		return err
	}
	if err := t.read(c.stdout); err != nil {
		return err
	}
	err = c.end(c.wait())
	quiet.Wait()
	if err == nil && t.packed != "" {
		if text := string(errs.bytes()); !strings.HasSuffix(text, "\n"+said+"0\n") { // the last line: a file's name may hold the same
			err = &ExitError{Status: 2, Stderr: c.stderrText()}
		}
	}
	return err
}

// names writes the list.
func (t *tarStream) names(to io.WriteCloser) {
	defer to.Close()
	end := byte(0)
	if t.host.bulk.tar == "busybox" {
		end = '\n'
	}
	w := bufio.NewWriterSize(to, 16<<10)
	for _, i := range t.part {
		w.WriteString("./")
		w.WriteString(t.files[i].Name)
		if w.WriteByte(end) != nil {
			return
		}
	}
	w.Flush()
}

// read takes the files out of the stream.
func (t *tarStream) read(from io.Reader) error {
	in, done, err := t.unpack(bufio.NewReaderSize(from, 64<<10))
	if err != nil {
		return err
	}
	defer done()
	asked := make(map[string]int, len(t.part))
	for _, i := range t.part {
		asked[t.files[i].Name] = i
	}
	r := tar.NewReader(in)
	for {
		head, err := r.Next()
		if t.begun.IsZero() {
			t.begun = time.Now()
		}
		switch {
		case err == io.EOF:
			// What follows the end is padding; reading it lets the command end.
			n, err := io.Copy(io.Discard, io.LimitReader(in, mostPadding))
			if n == mostPadding {
				return badTar("it goes on after its end")
			}
			return t.broken(err)
		case err != nil:
			return t.broken(err)
		}
		name := strings.TrimPrefix(head.Name, "./")
		if head.Typeflag == tar.TypeDir {
			name = strings.TrimSuffix(name, "/")
		}
		i, ok := asked[name]
		if !ok {
			return badTar("it sent %.100q, which was not asked for", head.Name)
		}
		delete(asked, t.files[i].Name)
		if head.Typeflag != tar.TypeReg || head.Size != t.files[i].Size {
			if head.Size > t.files[i].Size+mostGrowth {
				return badTar("it sends %d bytes of a file of %d", head.Size, t.files[i].Size)
			}
			t.passed++
			continue // it is another file now, or another kind of thing; the caller looks again
		}
		read, err := t.give(i, r)
		if err != nil {
			return err
		}
		if read != nil {
			return t.broken(read)
		}
		t.given = append(t.given, i)
		t.bytes += head.Size
	}
}

// mostPadding is what may follow the end of an archive, in bytes; GNU tar fills up 10 KiB.
const mostPadding = 1 << 20

// mostGrowth is how much longer than listed a file may have become and still be passed over in the stream, in bytes.
const mostGrowth = 64 << 20

// broken is the error of a stream that cannot be read: the connection's, where that was the reason.
func (t *tarStream) broken(err error) error {
	if err == nil || errors.Is(err, ErrDisconnected) || t.ctx.Err() != nil {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return nil // it ended early: the exit status says more
	}
	return badTar("%s", Safe(err.Error()))
}

// unpack decodes a compressed stream. done is to be called when it is read.
func (t *tarStream) unpack(from io.Reader) (in io.Reader, done func(), err error) {
	switch t.packed {
	case "zstd":
		z, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(16<<20), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nil, badTar("%s", Safe(err.Error()))
		}
		return z, z.Close, nil
	case "gzip":
		z, err := gzip.NewReader(from)
		if err != nil && t.broken(err) != nil {
			return nil, nil, t.broken(err)
		}
		if err != nil { // it ended before it began
			return strings.NewReader(""), func() {}, nil
		}
		return z, func() {}, nil
	}
	return from, func() {}, nil
}

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

// note takes in how long a stream took for its files.
func (g *gauge) note(packed bool, begun time.Time, bytes int64) {
	if begun.IsZero() || bytes == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	r := &g.plain
	if packed {
		r = &g.packed
	}
	r.bytes += bytes
	r.busy += time.Since(begun)
}
