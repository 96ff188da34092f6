package remote

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// link is one SSH connection and what runs over it. It never heals: a lost one is replaced.
type link struct {
	client *ssh.Client
	addr   string
	key    string      // fingerprint of the host key
	hops   []io.Closer // connections of the jump hosts, nearest last
	done   chan struct{}
	begun  chan struct{} // closed when a first session was opened, or could not be
	slots  chan struct{} // one for each running command

	sftpTimeout time.Duration // how long SFTP may take to start

	once    sync.Once
	first   sync.Once
	mu      sync.Mutex
	cause   error
	hostile atomic.Bool // ended for what the host did: not to be made anew

	sftpMu sync.Mutex
	sftpc  *sftp.Client
	tap    *sftpTap // of sftpc

	aheadMu sync.Mutex
	ahead   *opening // the session that the next command or SFTP takes
	few     bool     // the host has refused a session: none is opened ahead
}

func newLink(client *ssh.Client, addr, key string, hops []io.Closer) *link {
	l := &link{client: client, addr: addr, key: key, hops: hops, done: make(chan struct{}), begun: make(chan struct{}), slots: make(chan struct{}, maxCommands), sftpTimeout: answerTimeout}
	go func() {
		err := client.Wait()
		if err == nil || ended(err) {
			err = errors.New("the host closed it")
		}
		l.close(fmt.Errorf("%w: %s", ErrDisconnected, Safe(err.Error())))
	}()
	return l
}

// begin notes that a first session was opened, or could not be.
func (l *link) begin() { l.first.Do(func() { close(l.begun) }) }

// close ends the connection; the first cause given is kept.
func (l *link) close(cause error) {
	l.once.Do(func() {
		l.mu.Lock()
		l.cause = cause
		l.mu.Unlock()
		close(l.done)
		go func() { // closing writes to the connection, which may be stuck
			l.client.Close()
			for i := len(l.hops) - 1; i >= 0; i-- {
				l.hops[i].Close()
			}
		}()
	})
}

// lost is the reason the connection has ended, nil while it stands.
func (l *link) lost() error {
	select {
	case <-l.done:
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.cause
	default:
		return nil
	}
}

// lostSoon is lost for when a channel has just ended without a word: where the whole connection went, that shows in a moment.
func (l *link) lostSoon() error {
	select {
	case <-l.done:
	case <-time.After(time.Second):
	}
	return l.lost()
}

// sftp gives the link's SFTP client, opening it the first time.
func (l *link) sftp(ctx context.Context) (*sftp.Client, error) {
	l.sftpMu.Lock()
	defer l.sftpMu.Unlock()
	if err := l.lost(); err != nil {
		return nil, err
	}
	if l.sftpc != nil {
		return l.sftpc, nil
	}
	s, err := l.openSFTP(ctx)
	if err != nil {
		return nil, err
	}
	c := s.Client
	l.sftpc, l.tap = c, s.tap
	go func() { // an SFTP server that ends leaves a connection which is of no more use
		err := c.Wait()
		if err == nil || errors.Is(err, io.EOF) {
			err = errors.New("the host ended the SFTP session")
		}
		l.close(fmt.Errorf("%w: %s", ErrDisconnected, Safe(err.Error())))
	}()
	return c, nil
}

// readDir lists a directory over the link's SFTP client.
func (l *link) readDir(ctx context.Context, c *sftp.Client, p string) ([]os.FileInfo, error) {
	// Not every SFTP server behind OpenSSH is its own.
	if _, own := c.HasExtension("fsync@openssh.com"); own && strings.HasPrefix(string(l.client.ServerVersion()), "SSH-2.0-OpenSSH") {
		return l.tap.readDir(ctx, p)
	}
	return c.ReadDirContext(ctx, p)
}

// sftpSession is an SFTP client and what stands between it and the host.
type sftpSession struct {
	*sftp.Client
	tap *sftpTap
}

// openSFTP starts SFTP. A host that takes the request and then never says a word does not hold the caller past l.sftpTimeout.
func (l *link) openSFTP(ctx context.Context) (*sftpSession, error) {
	outer := ctx
	ctx, cancel := context.WithTimeout(outer, l.sftpTimeout)
	defer cancel()
	c, err := l.tryOpenSFTP(ctx)
	if err != nil && ctx.Err() != nil && outer.Err() == nil && l.lost() == nil {
		err = fmt.Errorf("start SFTP: the host did not answer in %v: %w", l.sftpTimeout, os.ErrDeadlineExceeded)
	}
	return c, err
}

func (l *link) tryOpenSFTP(ctx context.Context) (*sftpSession, error) {
	c, err := l.sftpSession(ctx)
	if errors.Is(err, errStale) {
		c, err = l.sftpSession(ctx)
	}
	return c, err
}

// channelRead is how much is taken out of a channel at one time, in bytes.
const channelRead = 64 << 10

func (l *link) sftpSession(ctx context.Context) (*sftpSession, error) {
	sess, ahead, err := l.session(ctx)
	if err != nil {
		return nil, fmt.Errorf("start SFTP: %w", err)
	}
	type result struct {
		c   *sftpSession
		err error
	}
	ch := make(chan result, 1)
	go func() {
		in, err := sess.StdinPipe()
		if err != nil {
			ch <- result{nil, err}
			return
		}
		out, err := sess.StdoutPipe()
		if err != nil {
			ch <- result{nil, err}
			return
		}
		sess.Stderr = io.Discard
		if err := sess.RequestSubsystem("sftp"); err != nil {
			ch <- result{nil, err}
			return
		}
		tap := newSFTPTap(out, in, func(err error) {
			l.hostile.Store(true)
			l.close(fmt.Errorf("%w: ended for what the host did: %w", ErrDisconnected, err))
		}, func(error) { l.explain(sftp.ErrSSHFxConnectionLost) })
		// Each read from a channel that is behind sends a packet to widen its window, so that few and large ones are wanted.
		c, err := sftp.NewClientPipe(bufio.NewReaderSize(tap, channelRead), tap, sftp.MaxConcurrentRequestsPerFile(64), sftp.UseConcurrentReads(true))
		ch <- result{&sftpSession{c, tap}, err}
	}()
	select {
	case r := <-ch:
		if r.err == nil {
			return r.c, nil
		}
		sess.Close()
		if lost := l.lostSoon(); lost != nil {
			return nil, lost
		}
		if ahead && errors.Is(r.err, io.EOF) {
			return nil, l.stale()
		}
		return nil, fmt.Errorf("%w: %s", ErrNoSFTP, Safe(r.err.Error()))
	case <-ctx.Done():
		go sess.Close()
		return nil, fmt.Errorf("start SFTP: %w", ctx.Err())
	case <-l.done:
		return nil, l.lost()
	}
}
