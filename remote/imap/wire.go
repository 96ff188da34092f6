package imap

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// commandLimit bounds one command in time, however busily the server answers.
const commandLimit = time.Hour

var errSilence = errors.New("nothing came from the server")

// wire is the stream between the server and the library. It scans what comes in, ends the connection when a command
// gets no byte for too long, and remembers why it ended. The library's own deadlines are not heeded.
type wire struct {
	under io.ReadWriteCloser
	in    chan []byte   // from the pump
	done  chan struct{} // closed by abort
	shut  chan struct{} // closed when the stream beneath is closed
	rest  []byte        // read and scanned, not yet taken
	more  []byte        // read, not yet scanned

	mu      sync.Mutex
	scan    scanner
	err     error // why it ended, if that was our doing
	readErr error // how reading ended
	silence time.Duration
	tap     *tap        // who reads instead of the library; nil for nobody
	timer   *time.Timer // silence; nil between commands
	total   *time.Timer
}

// newWire begins to read from under. greeting is put before what the server sends; it is for STARTTLS, after which
// there is no greeting.
func newWire(under io.ReadWriteCloser, silence time.Duration, greeting string) *wire {
	w := &wire{under: under, in: make(chan []byte), done: make(chan struct{}), shut: make(chan struct{}), silence: silence, rest: []byte(greeting)}
	go w.pump()
	return w
}

// pump reads, so that a reader can be let go although the stream beneath hangs.
func (w *wire) pump() {
	defer close(w.in)
	buf := [2][]byte{make([]byte, 32<<10), make([]byte, 32<<10)}
	for i := 0; ; i++ {
		b := buf[i%2]
		n, err := w.under.Read(b)
		if n > 0 {
			select {
			case w.in <- b[:n]:
			case <-w.done:
				return
			}
		}
		if err != nil {
			w.mu.Lock()
			w.readErr = err
			w.mu.Unlock()
			return
		}
	}
}

// Read gives what the server sent, scanned. A chunk's buffer is filled again only after the next one was taken, for
// the pump hands over each before it reads into the other.
func (w *wire) Read(p []byte) (int, error) {
	for len(w.rest) == 0 {
		select {
		case <-w.done:
			return 0, w.reason()
		default:
		}
		if len(w.more) == 0 {
			select {
			case b, ok := <-w.in:
				if !ok {
					return 0, io.EOF
				}
				w.more = b
			case <-w.done:
				return 0, w.reason()
			}
		}
		if err := w.follow(); err != nil {
			w.abort(err)
			return 0, err
		}
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// follow scans what came, and lets the library or the tap have it.
func (w *wire) follow() error {
	w.mu.Lock()
	t, b := w.tap, w.more
	if t != nil {
		t.active = t.active || w.scan.between()
		b = w.scan.piece(b)
	}
	w.more = w.more[len(b):]
	inLiteral := w.scan.literal > 0
	asking := w.scan.ask
	pass, err := w.scan.feed(b)
	between := w.scan.between()
	if w.timer != nil {
		w.timer.Reset(w.silence)
	}
	w.mu.Unlock()
	asking.tell()
	switch {
	case err != nil:
		return err
	case t != nil && t.active:
		t.take(b, inLiteral, between, w.done)
	default:
		w.rest = pass
	}
	return nil
}

func (w *wire) Write(p []byte) (int, error) {
	select {
	case <-w.done:
		return 0, w.reason()
	default:
	}
	n, err := w.under.Write(p)
	if n > 0 {
		w.mu.Lock()
		if w.timer != nil { // a long text on a slow line: the server has nothing to say meanwhile
			w.timer.Reset(w.silence)
		}
		w.mu.Unlock()
	}
	return n, err
}

// abort ends the connection for the given reason; the first one counts. It never waits for the stream beneath.
func (w *wire) abort(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	w.err = err
	close(w.done)
	go func() {
		defer close(w.shut)
		w.under.Close()
	}()
}

func (w *wire) reason() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// begin starts the clocks and the budget of one command, which ends early with ctx; the returned function stops them.
func (w *wire) begin(ctx context.Context, budget int64, want ...string) (end func()) {
	w.mu.Lock()
	w.scan.begin(budget, want...)
	w.timer = time.AfterFunc(w.silence, func() { w.abort(errSilence) })
	w.total = time.AfterFunc(commandLimit, func() { w.abort(errSilence) })
	w.mu.Unlock()
	unhook := context.AfterFunc(ctx, func() { w.abort(ctx.Err()) })
	return func() {
		unhook()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.timer.Stop()
		w.total.Stop()
		w.timer = nil
	}
}

// Close ends the connection and does not wait for it.
func (w *wire) Close() error {
	w.abort(net.ErrClosed)
	return nil
}

type wireAddr struct{}

func (wireAddr) Network() string { return "imap" }
func (wireAddr) String() string  { return "server" }

func (w *wire) LocalAddr() net.Addr              { return wireAddr{} }
func (w *wire) RemoteAddr() net.Addr             { return wireAddr{} }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
