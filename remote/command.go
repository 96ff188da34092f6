package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/ssh"
)

// command is one running command of the host, on its own channel.
type command struct {
	link    *link
	marks   markers
	stdin   io.WriteCloser
	stdout  io.Reader
	stderr  io.Reader
	wait    func() error
	stop    func() // closes the channel at once; safe to call twice
	errText func() []byte
}

// maxCommands bounds the commands running at one time; OpenSSH allows ten sessions on a connection, and SFTP needs one.
const maxCommands = 6

// command starts a script. Its channel is closed when ctx ends.
func (l *link) command(ctx context.Context, script string, framed bool) (*command, error) {
	c, err := l.tryCommand(ctx, script, framed)
	if errors.Is(err, errStale) {
		c, err = l.tryCommand(ctx, script, framed)
	}
	return c, err
}

func (l *link) tryCommand(ctx context.Context, script string, framed bool) (*command, error) {
	m, err := newMarkers()
	if err != nil {
		return nil, err
	}
	line, err := commandLine(script, m, framed)
	if err != nil {
		return nil, err
	}
	select {
	case l.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.done:
		return nil, l.lost()
	}
	sess, ahead, err := l.session(ctx)
	if err != nil {
		<-l.slots
		return nil, err
	}
	c := &command{link: l, marks: m}
	var once sync.Once
	var ended atomic.Bool
	stopped := make(chan struct{})
	c.stop = func() {
		once.Do(func() {
			close(stopped)
			<-l.slots
			go func() { // a stuck connection must not hold the caller
				if !ended.Load() {
					sess.Signal(ssh.SIGTERM)
				}
				sess.Close()
			}()
		})
	}
	if c.stdin, err = sess.StdinPipe(); err == nil {
		if c.stdout, err = sess.StdoutPipe(); err == nil {
			c.stderr, err = sess.StderrPipe()
		}
	}
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("run command on the host: %w", err)
	}
	go func() {
		select {
		case <-ctx.Done():
			c.stop()
		case <-stopped:
		}
	}()
	started := make(chan error, 1)
	go func() { started <- sess.Start(line) }()
	select {
	case err = <-started:
	case <-ctx.Done():
		err = ctx.Err()
	case <-l.done:
		err = l.lost()
	}
	if err != nil {
		c.stop()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if errors.Is(err, io.EOF) || errors.Is(err, ErrDisconnected) {
			if lost := l.lostSoon(); lost != nil {
				return nil, lost
			}
			if ahead && errors.Is(err, io.EOF) {
				return nil, l.stale()
			}
		}
		return nil, fmt.Errorf("%w: the host refuses to run commands", ErrNoShell)
	}
	c.stdout = &ctxReader{r: c.stdout, ctx: ctx, done: l.done, lost: l.lost}
	c.wait = func() error {
		result := make(chan error, 1)
		go func() { result <- sess.Wait() }()
		select {
		case err := <-result:
			ended.Store(true)
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return c, nil
}

// keepErrors reads what comes on stderr, to the end, and keeps the beginning of it.
func (c *command) keepErrors() {
	errs := newBounded(noiseLimit)
	errs.drop = true
	c.errText = errs.bytes
	go io.Copy(errs, c.stderr)
}

// skipNoise reads stdout up to and with the begin marker.
func (c *command) skipNoise(ctx context.Context) error {
	want := []byte(c.marks.begin[0] + c.marks.begin[1] + "\n")
	var seen []byte
	one := make([]byte, 1)
	for len(seen) < noiseLimit {
		n, err := c.stdout.Read(one)
		seen = append(seen, one[:n]...)
		if bytes.HasSuffix(seen, want) {
			return nil
		}
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return c.noShell(seen, err)
		}
	}
	return fmt.Errorf("run command on the host: the login shell printed more than %d KiB before it", noiseLimit>>10)
}

var errTooMuch = errors.New("too much output")

// bounded keeps what is written up to a limit; past it, it refuses, or drops the rest.
type bounded struct {
	limit int
	drop  bool

	mu   sync.Mutex
	buf  []byte
	full bool
}

func newBounded(limit int) *bounded { return &bounded{limit: limit} }

// bytes gives what is kept so far; it must not be changed.
func (b *bounded) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf[:len(b.buf):len(b.buf)]
}

func (b *bounded) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	room := b.limit - len(b.buf)
	if len(p) <= room {
		b.buf = append(b.buf, p...)
		return len(p), nil
	}
	b.full = true
	b.buf = append(b.buf, p[:room]...)
	if b.drop {
		return len(p), nil
	}
	return room, errTooMuch
}

// ctxReader says why a stream ended when that was not the command's doing.
type ctxReader struct {
	r    io.Reader
	ctx  context.Context
	done <-chan struct{}
	lost func() error
}

func (r *ctxReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err == nil {
		return n, nil
	}
	if ctxErr := r.ctx.Err(); ctxErr != nil {
		return n, ctxErr
	}
	if lost := r.lost(); lost != nil {
		return n, lost
	}
	return n, err
}
