package remote

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

const (
	// outputLimit bounds what one command may print, in bytes.
	outputLimit = 64 << 20
	// noiseLimit bounds what a login shell may print before our own command, and what is kept of stderr.
	noiseLimit = 256 << 10
	// lineLimit bounds a command line, in bytes: Linux takes no argument of 128 KiB (MAX_ARG_STRLEN), and the login shell
	// gets the line as one.
	lineLimit = 120 << 10
)

// ExitError is a command on the host that ended with a status other than 0.
type ExitError struct {
	Status int    // exit status; -1 where it was ended by a signal
	Stderr string // what it wrote to standard error, at most 4 KiB, safe to print
}

func (e *ExitError) Error() string {
	if e.Stderr == "" {
		return "command on the host ended with status " + strconv.Itoa(e.Status)
	}
	return fmt.Sprintf("command on the host ended with status %d: %s", e.Status, e.Stderr)
}

// run runs a POSIX script on the host through sh, whatever the login shell is and prints, and returns what the script
// wrote to standard output, at most 64 MiB. A status other than 0 is an [*ExitError], beside the output. It never
// connects anew and never repeats: use it for what changes things, and [Host.query] for what only reads.
// When ctx ends the command's channel is closed at once. stdin may be nil.
func (h *Host) run(ctx context.Context, script string, stdin io.Reader) ([]byte, error) {
	l, err := h.current()
	if err != nil {
		return nil, err
	}
	if !h.Info().Shell {
		return nil, ErrNoShell
	}
	return l.run(ctx, script, stdin)
}

// query runs a script that only reads. When the connection is lost meanwhile it is made anew and the script run again,
// once.
func (h *Host) query(ctx context.Context, script string, stdin []byte) (out []byte, err error) {
	if !h.Info().Shell {
		return nil, ErrNoShell
	}
	err = h.reading(ctx, func(l *link) error {
		out, err = l.run(ctx, script, bytes.NewReader(stdin))
		return err
	})
	return out, err
}

// start starts a script and gives its streams. Both outputs must be read, or the command stalls; stdout begins after
// anything the login shell printed. wait returns when the command has ended and its outputs have been read to the
// end, with an [*ExitError] for a status other than 0. stop ends it at once and may be called at any time; the end of
// ctx does the same. It never connects anew.
func (h *Host) start(ctx context.Context, script string) (stdin io.WriteCloser, stdout, stderr io.Reader, wait func() error, stop func(), err error) {
	l, err := h.current()
	if err == nil && !h.Info().Shell {
		err = ErrNoShell
	}
	if err != nil {
		return nil, nil, nil, nil, nil, err
	}
	c, err := l.command(ctx, script, false)
	if err != nil {
		return nil, nil, nil, nil, nil, err
	}
	if err := c.skipNoise(ctx); err != nil {
		c.stop()
		return nil, nil, nil, nil, nil, err
	}
	wait = sync.OnceValue(func() error {
		defer c.stop()
		return c.end(c.wait())
	})
	return c.stdin, c.stdout, c.stderr, wait, c.stop, nil
}

// markers frame what a script prints, so that banners, motd and what shell start-up files print are told apart from
// it. Each goes over the line in two halves: a host which echoes the command does not produce them.
type markers struct{ begin, end [2]string }

func newMarkers() (markers, error) {
	var b [32]byte
	if _, err := rand.Read(b[:]); err != nil {
		return markers{}, fmt.Errorf("make markers: %w", err)
	}
	s := hex.EncodeToString(b[:])
	return markers{begin: [2]string{"dovemend-" + s[:16], s[16:32]}, end: [2]string{"dovemend-" + s[32:48], s[48:]}}, nil
}

// commandLine is what is sent to the login shell. Its first word is a constant program in characters that mean the same to
// sh, csh and fish in single quotes; the script follows in words for printf %b.
func commandLine(script string, m markers, framed bool) (string, error) {
	if strings.IndexByte(script, 0) >= 0 {
		return "", errors.New("script holds a NUL byte")
	}
	const begin = `printf "%%s%%s\n" %[1]s %[2]s; printf "%%s%%s\n" %[1]s %[2]s >&2; `
	const load = `s=$(printf %%b "$@"); set --; eval "$s"`
	var boot string
	if framed {
		boot = fmt.Sprintf(begin+`( `+load+` ); printf "%%s%%s %%d\n" %[3]s %[4]s "$?"`, m.begin[0], m.begin[1], m.end[0], m.end[1])
	} else {
		boot = fmt.Sprintf(begin+load, m.begin[0], m.begin[1])
	}
	line := "sh -c '" + boot + "' sh " + strings.Join(portableWords(script), " ")
	if len(line) > lineLimit {
		return "", fmt.Errorf("script takes %d bytes on the line, past the limit of %d", len(line), lineLimit)
	}
	return line, nil
}

// run runs a framed script to its end.
func (l *link) run(ctx context.Context, script string, stdin io.Reader) ([]byte, error) {
	c, err := l.command(ctx, script, true)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	if stdin != nil {
		go func() {
			io.Copy(c.stdin, stdin)
			c.stdin.Close()
		}()
	} else {
		c.stdin.Close()
	}
	out := newBounded(outputLimit + noiseLimit)
	errs := newBounded(2 * noiseLimit)
	errs.drop = true
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := io.Copy(out, c.stdout); errors.Is(err, errTooMuch) {
			c.stop()
		}
	})
	wg.Go(func() { io.Copy(errs, c.stderr) })
	wg.Wait()
	waitErr := c.wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("run command on the host: %w", err)
	}
	if out.full {
		return nil, fmt.Errorf("run command on the host: it printed more than %d MiB", outputLimit>>20)
	}
	c.errText = errs.bytes
	return c.framed(out.buf, waitErr)
}

// framed takes the output between the markers and the status behind the second.
func (c *command) framed(out []byte, waitErr error) ([]byte, error) {
	begin := []byte(c.marks.begin[0] + c.marks.begin[1] + "\n")
	i := bytes.Index(out, begin)
	if i < 0 {
		return nil, c.noShell(out, waitErr)
	}
	out = out[i+len(begin):]
	end := []byte(c.marks.end[0] + c.marks.end[1] + " ")
	j := bytes.LastIndex(out, end)
	if j < 0 {
		if err := c.end(waitErr); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("run command on the host: its output ends early")
	}
	word, _, _ := bytes.Cut(out[j+len(end):], []byte("\n"))
	status, err := strconv.Atoi(string(word))
	if err != nil {
		return nil, fmt.Errorf("run command on the host: it ended with status %q", Safe(string(word)))
	}
	if status != 0 {
		return out[:j:j], &ExitError{Status: status, Stderr: c.stderrText()}
	}
	return out[:j:j], nil
}

// end turns what the channel said at its end into an error of ours.
func (c *command) end(err error) error {
	var exit *ssh.ExitError
	var missing *ssh.ExitMissingError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		status := exit.ExitStatus()
		if exit.Signal() != "" {
			status = -1
		}
		return &ExitError{Status: status, Stderr: c.stderrText()}
	case errors.As(err, &missing):
		if lost := c.link.lostSoon(); lost != nil {
			return lost
		}
		return &ExitError{Status: -1, Stderr: c.stderrText()}
	}
	if lost := c.link.lost(); lost != nil {
		return lost
	}
	return fmt.Errorf("run command on the host: %w", err)
}

// noShell explains a command that never began: the account has no shell, or the connection went away.
func (c *command) noShell(out []byte, waitErr error) error {
	var exit *ssh.ExitError
	if waitErr != nil && !errors.As(waitErr, &exit) { // it ended without a status
		if err := c.link.lostSoon(); err != nil {
			return err
		}
	}
	text := strings.TrimSpace(string(out))
	if text == "" {
		text = strings.TrimSpace(c.stderrText())
	}
	if len(text) > 200 {
		text = text[:200]
	}
	if text == "" {
		return fmt.Errorf("%w: the command did not start", ErrNoShell)
	}
	return fmt.Errorf("%w: it answers %q", ErrNoShell, Safe(text))
}

// stderrText is what the script itself wrote to standard error, safe to print.
func (c *command) stderrText() string {
	if c.errText == nil {
		return ""
	}
	text := c.errText()
	begin := []byte(c.marks.begin[0] + c.marks.begin[1] + "\n")
	if i := bytes.Index(text, begin); i >= 0 {
		text = text[i+len(begin):]
	}
	return safeLines(strings.TrimSpace(string(text)))
}
