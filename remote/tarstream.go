package remote

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
)

// tarStream is one run of the host's tar. GNU tar reads the list of names as it goes, so that it is given more of them while it sends: one
// command then brings all that its connection can carry, and no round trip is waited for between files. Others are given all at once.
type tarStream struct {
	*fetching
	batches *batches
	gauge   *gauge
	packed  string
	fed     bool // names are given bit by bit

	given  []int
	passed int   // entries that were passed over
	bytes  int64 // of files that came

	measured time.Time // up to when the gauge has been told how fast they came; zero before the first byte
	told     int64     // bytes of which it has been told

	at    sync.Mutex
	moved *sync.Cond     // something came, or it is over
	part  []int          // files that the host was asked for, in this order
	asked map[string]int // places in part of those that have not come
	upTo  []int64        // weight of the files in part up to each of them
	place int            // in part, of the file that comes
	come  int64          // bytes of it
	begun bool           // something came
	still bool           // nothing has come for stallTime
	over  bool           // no more names
}

const (
	// feedLeast and feedMost are how much a host's tar may be ahead of what has come, in bytes of weight: enough for it to go on while what it
	// sends is on its way, little enough for all streams to end at about the same time. A file that was read ahead whole counts as not
	// come until it is begun, so that half of it has to be more than channelRead.
	feedLeast = 512 << 10
	feedMost  = 8 << 20
	// feedFirst is the same while it is not decided whether to compress.
	feedFirst = 1 << 20
)

// stallTime is after which silence a tar is taken for one that wants the end of the list before it begins.
var stallTime = 4 * time.Second

// window is how much the host may be ahead of what has come.
func (t *tarStream) window() int64 {
	if !t.gauge.decided() {
		return feedFirst
	}
	return max(min(t.batches.share(), feedMost), feedLeast)
}

// take adds files to those that are asked for. t.at is held, or nobody else knows t.
func (t *tarStream) take(part []int) {
	if t.asked == nil {
		t.asked = make(map[string]int, len(part))
	}
	sum := t.weight()
	for _, i := range part {
		t.asked[t.files[i].Name] = len(t.part)
		sum += t.batches.weight(i)
		t.part, t.upTo = append(t.part, i), append(t.upTo, sum)
	}
}

// weight is that of all files that were asked for.
func (t *tarStream) weight() int64 {
	if len(t.upTo) == 0 {
		return 0
	}
	return t.upTo[len(t.upTo)-1]
}

// ahead is how much was asked for and has not come yet.
func (t *tarStream) ahead() int64 {
	return t.weight() - t.upTo[t.place] + t.weightOf(t.place) - t.come
}

// weightOf is what the file at a place counts.
func (t *tarStream) weightOf(place int) int64 {
	if place == 0 {
		return t.upTo[0]
	}
	return t.upTo[place] - t.upTo[place-1]
}

// close ends the giving of names, and tells what was asked for.
func (t *tarStream) close() []int {
	t.at.Lock()
	defer t.at.Unlock()
	t.over = true
	t.moved.Broadcast()
	return t.part
}

// more waits until the host needs further names, and gives those of the files that it is to send then; none when that is all.
func (t *tarStream) more() []int {
	t.at.Lock()
	defer t.at.Unlock()
	clock := time.AfterFunc(stallTime, func() {
		t.at.Lock()
		defer t.at.Unlock()
		t.still = true
		t.moved.Broadcast()
	})
	defer clock.Stop()
	place, come := t.place, t.come
	for {
		switch {
		case t.over, !t.fed, len(t.part) >= batchFiles, t.weight() >= mostBatch, t.batches.share() == 0, t.gauge.choose() != "":
			return nil
		case t.still:
			if !t.begun {
				t.host.log.Debug("the host's tar wants the whole list before it begins")
				t.host.bulk.tarEager.Store(true)
			}
			return nil
		}
		if window := t.window(); t.ahead() <= window/2 {
			had := len(t.part)
			t.take(t.batches.some(window - t.ahead()))
			return slices.Clone(t.part[had:]) // what was asked for may be given back while it is written
		}
		t.moved.Wait()
		if t.place != place || t.come != come {
			place, come = t.place, t.come
			clock.Reset(stallTime)
		}
	}
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
	go t.names(c.stdin, slices.Clone(t.part))
	if err := c.skipNoise(t.ctx); err != nil {
		return err
	}
	if err := t.read(&arriving{r: c.stdout, t: t}); err != nil {
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
func (t *tarStream) names(to io.WriteCloser, first []int) {
	defer to.Close()
	end := byte(0)
	if t.host.bulk.tar == "busybox" {
		end = '\n'
	}
	w := bufio.NewWriterSize(to, 16<<10)
	for part := first; len(part) > 0; part = t.more() {
		for _, i := range part {
			w.WriteString("./")
			w.WriteString(t.files[i].Name)
			if w.WriteByte(end) != nil {
				return
			}
		}
		if w.Flush() != nil {
			return
		}
	}
}

// arriving tells, as bytes come, that they have.
type arriving struct {
	r      io.Reader
	t      *tarStream
	untold int64
}

// tellEvery is after how many bytes the one who gives names is told that they have come.
const tellEvery = 32 << 10

func (a *arriving) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if a.untold += int64(n); a.untold >= tellEvery {
		a.t.came(a.untold)
		a.untold = 0
	}
	return n, err
}

// came notes that so many bytes of a file have come.
func (t *tarStream) came(n int64) {
	t.at.Lock()
	defer t.at.Unlock()
	t.come, t.begun = min(t.come+n, t.weightOf(t.place)), true
	t.moved.Signal()
}

// next finds the file that a header of the stream is of, and notes that those before it have come.
func (t *tarStream) next(name string) (i int, ok bool) {
	t.at.Lock()
	defer t.at.Unlock()
	place, ok := t.asked[name]
	if !ok {
		return 0, false
	}
	delete(t.asked, name)
	t.place, t.come, t.begun = place, 0, true
	t.moved.Signal()
	return t.part[place], true
}

// measure tells the gauge how fast files come.
func (t *tarStream) measure() {
	if now := time.Now(); !t.measured.IsZero() && t.bytes > t.told {
		t.gauge.note(t.packed != "", now.Sub(t.measured), t.bytes-t.told)
		t.measured, t.told = now, t.bytes
	}
}

// measureEvery is how often that is done.
const measureEvery = 20 * time.Millisecond

// read takes the files out of the stream.
func (t *tarStream) read(from io.Reader) error {
	in, done, err := t.unpack(bufio.NewReaderSize(from, channelRead))
	if err != nil {
		return err
	}
	defer done()
	r := tar.NewReader(in)
	for {
		head, err := r.Next()
		if t.measured.IsZero() {
			t.measured = time.Now()
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
		i, ok := t.next(name)
		if !ok {
			return badTar("it sent %.100q, which was not asked for", head.Name)
		}
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
		if time.Since(t.measured) >= measureEvery {
			t.measure()
		}
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
