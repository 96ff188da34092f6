package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"sync"
)

// Engine is a way to bring many files over.
type Engine string

// The engines. The zero value leaves the choice to what the host has.
const (
	EngineTar  Engine = "tar"  // the host's own tar, given the exact list of files, over several connections
	EngineSFTP Engine = "sftp" // many SFTP requests in flight, over several connections
)

// Compression says whether the host is to compress what its tar brings.
type Compression string

// The zero value measures: where the line is slower than the host compresses, it is used.
const (
	CompressOn  Compression = "on"
	CompressOff Compression = "off"
)

// Wanted is a regular file to be fetched, as it was listed.
type Wanted struct {
	Name string // relative to the directory given to Fetch
	Size int64  // bytes
}

// Fetched says how [Host.Fetch] went.
type Fetched struct {
	Engine      Engine // that it was begun with
	Connections int    // that were in use
	Compressed  int64  // bytes of files that came compressed
	// Doubtful are files whose bytes the host's tar may have made up: it reported an error in a stream that held them, and
	// fills with zeros what it could not read.
	Doubtful []int
	Notes    []string // what the user should know: an engine that had to be given up. Safe to print
}

// errNotWhole ends a reader whose file the host did not give as it was listed.
var errNotWhole = errors.New("the host does not give the file as it was listed")

// Fetch reads many regular files beneath dir, an absolute path, in no certain order. take is called with what comes of one file,
// from several goroutines, never for two readers of the same file at a time; it must read to the end of r or to an error,
// and keep the bytes only where it came to the end. An error that take returns ends the fetching and is returned, unless it
// wraps one that r gave. A file that cannot be had this way, or is not as long as listed, is not given to take, or r ends with an
// error: what became of it is for the caller to find out. Fetch fails only for ctx and a lost connection.
//
// The host is not trusted: what it sends under a name that was not asked for, or twice, ends the use of its tar, and nothing of it
// reaches take.
func (h *Host) Fetch(ctx context.Context, dir string, files []Wanted, take func(i int, r io.Reader) error) (Fetched, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if !path.IsAbs(dir) || !validRemote(dir) {
		return Fetched{}, fmt.Errorf("fetch files in %s: the path is not absolute", Safe(dir))
	}
	f := &fetching{host: h, ctx: ctx, cancel: cancel, dir: path.Clean(dir), files: files, take: take, done: make([]bool, len(files))}
	for i := range files {
		if _, err := remotePath("fetch", files[i].Name); err != nil || files[i].Size < 0 || files[i].Name == "." {
			f.done[i] = true // it cannot be asked for
		}
	}
	way, err := h.openRoad(ctx, f.much())
	if err != nil {
		return Fetched{}, fmt.Errorf("fetch files: %w", err)
	}
	defer way.close()
	f.out.Engine = h.engine(len(files))
	if h.cfg.Engine == EngineTar && f.out.Engine != EngineTar {
		f.out.Notes = append(f.out.Notes, "the host has no tar that can be used for copying; the files are read over SFTP instead")
	}
	if f.out.Engine == EngineTar {
		f.tar(way)
	}
	left := f.left()
	if ctx.Err() == nil && len(left) > 0 {
		f.sftp(way.all(ctx), left)
	}
	f.out.Connections = way.used()
	h.log.Info("files fetched", "engine", f.out.Engine, "connections", f.out.Connections, "files", len(files), "over_sftp", len(left), "compressed_bytes", f.out.Compressed)
	if err := context.Cause(ctx); err != nil {
		return f.out, fmt.Errorf("fetch files: %w", err)
	}
	return f.out, nil
}

// fewFiles is up to how many files a command on the host is not worth its start.
const fewFiles = 8

// muchFiles and muchBytes are from where further connections pay.
const (
	muchFiles = 200
	muchBytes = 8 << 20
)

// engine chooses how n files are fetched.
func (h *Host) engine(n int) Engine {
	switch {
	case h.cfg.Engine == EngineSFTP || h.bulk.tarTool() == "" || h.Info().HashTool == "":
		return EngineSFTP // without hashes nothing could tell what a tar has made up
	case h.cfg.Engine == "" && n <= fewFiles:
		return EngineSFTP
	}
	return EngineTar
}

// fetching is one call of Fetch in progress.
type fetching struct {
	host   *Host
	ctx    context.Context
	cancel context.CancelCauseFunc
	dir    string
	files  []Wanted
	take   func(int, io.Reader) error

	mu      sync.Mutex
	done    []bool // given to take as a whole, or given up
	out     Fetched
	tarGave bool // a file came by tar
	tarOver bool // tar is of no use on this host, what is left is for SFTP
}

// much says whether further connections pay.
func (f *fetching) much() bool {
	var bytes int64
	for i := range f.files {
		if bytes += f.files[i].Size; much(i+1, bytes) {
			return true
		}
	}
	return false
}

func much(files int, bytes int64) bool {
	return files >= muchFiles || bytes >= muchBytes || bytes < 0 // a host can tell sizes that no sum can hold
}

// left gives the files that were not fetched yet.
func (f *fetching) left() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	var left []int
	for i, done := range f.done {
		if !done {
			left = append(left, i)
		}
	}
	return left
}

// give hands one file to take. read is why its bytes did not come whole, nil where they did; err is an error of take's own, which
// ends the fetching.
func (f *fetching) give(i int, r io.Reader) (read, err error) {
	in := &incoming{r: r, left: f.files[i].Size}
	var from io.Reader = in
	if _, ok := r.(io.WriterTo); ok {
		from = writing{in}
	}
	if err := f.take(i, from); err != nil && (in.err == nil || !errors.Is(err, in.err)) {
		f.cancel(err)
		return nil, err
	}
	switch in.err {
	case io.EOF:
		f.mu.Lock()
		f.done[i] = true
		f.mu.Unlock()
		return nil, nil
	case nil:
		return errNotWhole, nil // take did not read to the end
	}
	return in.err, nil
}

// incoming reads a file that must end where it was listed to end, and keeps what its reading ended with.
type incoming struct {
	r    io.Reader
	left int64
	err  error
}

func (in *incoming) Read(p []byte) (int, error) {
	if in.err != nil {
		return 0, in.err
	}
	n, err := in.r.Read(p)
	in.left -= int64(n)
	if in.left < 0 || err == io.EOF && in.left > 0 {
		n, err = 0, errNotWhole
	}
	in.err = err
	return n, err
}

// writing is one whose reader has buffers of its own, which can be written as they come.
type writing struct{ *incoming }

func (in writing) WriteTo(w io.Writer) (int64, error) {
	out := &watchedWriter{w: w, left: in.left}
	n, err := in.r.(io.WriterTo).WriteTo(out)
	switch {
	case err == nil && n < in.left:
		in.err = errNotWhole
	case err == nil:
		in.err = io.EOF
	case out.err != nil:
		return n, out.err // not the reading
	default:
		in.err = err
	}
	if in.err == io.EOF {
		return n, nil
	}
	return n, in.err
}

// watchedWriter keeps the error its writer gave, and takes no more than left bytes.
type watchedWriter struct {
	w    io.Writer
	left int64
	err  error
}

func (w *watchedWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > w.left {
		return 0, errNotWhole
	}
	n, err := w.w.Write(p)
	w.left -= int64(n)
	w.err = err
	return n, err
}

// batches hands out the files in portions, the first ones large and the last ones small, so that all connections end at about
// the same time.
type batches struct {
	mu      sync.Mutex
	order   []int
	weight  func(i int) int64
	left    int64
	streams int64
	least   int64
}

const (
	fileWeight = 16 << 10 // bytes that a file costs beside its own
	leastBatch = 2 << 20  // bytes
	mostBatch  = 1 << 30
	batchFiles = 8192
)

func newBatches(order []int, files []Wanted, streams int) *batches {
	b := &batches{order: order, streams: int64(max(streams, 1)), least: leastBatch, weight: func(i int) int64 {
		return min(files[i].Size, 1<<40) + fileWeight // a host can tell any size
	}}
	for _, i := range order {
		b.left += b.weight(i)
	}
	return b
}

// some gives the next files, of at most so many bytes in weight if it is more than one; none when all have been given.
func (b *batches) some(most int64) []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.take(most)
}

// share is what is left for one stream of those that share it, in bytes of weight.
func (b *batches) share() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left / b.streams
}

// even makes all portions as large as it takes for one to each stream.
func (b *batches) even() { b.least = b.left/b.streams + fileWeight }

// back takes files back that were not fetched.
func (b *batches) back(part []int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.order = append(slices.Clip(part), b.order...)
	for _, i := range part {
		b.left += b.weight(i)
	}
}

// next gives the files of the next portion, of at most so many bytes if it is more than one file; none when all have been given.
func (b *batches) next(most int64) []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.take(max(min(b.left/(2*b.streams), most), b.least))
}

// take gives files up to a limit. b.mu is held.
func (b *batches) take(limit int64) []int {
	n, sum := 0, int64(0)
	for n < len(b.order) && n < batchFiles && (n == 0 || sum+b.weight(b.order[n]) <= limit) {
		sum += b.weight(b.order[n])
		n++
	}
	part := b.order[:n:n]
	b.order = b.order[n:]
	b.left -= sum
	return part
}
