package remote

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"time"
)

const (
	logKept      = 256 << 10 // bytes kept of what an imap process logs
	greetTimeout = 20 * time.Second
	closeGrace   = 3 * time.Second
	logMark      = "dovemend: imap log begins"
)

// imapPlaces are where packages and ports install Dovecot's imap binary.
var imapPlaces = []string{
	"/usr/lib/dovecot/imap", "/usr/libexec/dovecot/imap", "/usr/lib64/dovecot/imap", "/usr/local/libexec/dovecot/imap",
	"/usr/local/lib/dovecot/imap", "/opt/dovecot/libexec/dovecot/imap", "/opt/dovecot/lib/dovecot/imap",
	"/opt/local/libexec/dovecot/imap", "/opt/homebrew/libexec/dovecot/imap", "/usr/pkg/libexec/dovecot/imap",
}

// NoIMAPBinaryError: the host shows no imap binary which this login may run. Shared hosts often hide it; reading over
// IMAP then needs the password.
type NoIMAPBinaryError struct {
	Looked []string // where it was looked for; safe to print
	Denied []string // those that are there and may not be run; safe to print
}

func (e *NoIMAPBinaryError) Error() string {
	if len(e.Denied) > 0 {
		return "the host's imap program may not be run by this login: " + strings.Join(e.Denied, ", ")
	}
	return "no imap program to be seen on the host; looked at " + strings.Join(e.Looked, ", ")
}

// IMAPStartError: the host's imap binary was started and did not greet.
type IMAPStartError struct {
	Binary string // safe to print
	Answer string // what it said instead of a greeting; safe to print
	Log    string // the end of what it logged; safe to print
}

func (e *IMAPStartError) Error() string {
	s := "the host's imap program " + e.Binary + " does not start"
	if e.Answer != "" {
		s += ": it answers " + e.Answer
	}
	if e.Log != "" {
		s += ": its log says " + e.Log
	}
	return s
}

// StartIMAP starts the host's own imap binary on one account, as the login user, who must own the mail. The process
// greets with PREAUTH: no password is needed. Its whole configuration is in its arguments, so nothing is written to the
// host for it; it loads no plugin but the one for compressed mail, where that is installed (quota and acl are not
// loaded: neither changes what can be read of the user's own mail). Mailboxes are separated by "/" and bear no prefix.
// What it logs, which the user of a shared host otherwise never sees, is kept.
//
// Opening a damaged mailbox makes Dovecot repair it and may lose flags: copy the files first. The process ends with
// Close, by the end of its input, or when ctx ends.
func (h *Host) StartIMAP(ctx context.Context, spec IMAPSpec) (*IMAPSession, error) {
	if err := spec.valid(); err != nil {
		return nil, fmt.Errorf("start imap on the host: %w", err)
	}
	found, err := h.findIMAP(ctx, spec.Binary)
	if err != nil {
		return nil, fmt.Errorf("find imap on the host: %w", err)
	}
	var first error
	for _, attempt := range found.attempts(spec) {
		s, err := h.startIMAP(ctx, spec.MailRoot, found.binary, attempt)
		if err == nil {
			return s, nil
		}
		if first == nil {
			first = err
		}
		var start *IMAPStartError
		if !errors.As(err, &start) {
			return nil, fmt.Errorf("start imap on the host: %w", err)
		}
		if start.Answer != "" { // the configuration was taken: another one would say the same
			first = err
			break
		}
	}
	return nil, fmt.Errorf("start imap on the host: %w", first)
}

func (s IMAPSpec) valid() error {
	switch s.Layout {
	case "mdbox", "sdbox", "maildir":
	default:
		return fmt.Errorf("unknown layout %q", s.Layout)
	}
	if !path.IsAbs(s.MailRoot) || path.Clean(s.MailRoot) != s.MailRoot || s.MailRoot == "/" {
		return fmt.Errorf("mail root %q is not a clean absolute path", s.MailRoot)
	}
	for _, p := range []string{s.MailRoot, s.Binary} {
		if strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("%q holds control characters", p)
		}
	}
	if s.Binary != "" && (!path.IsAbs(s.Binary) || path.Base(s.Binary) != "imap") {
		return fmt.Errorf("imap program %q is not the absolute path of a file named imap", s.Binary)
	}
	return nil
}

// foundIMAP is what the search on the host gave.
type foundIMAP struct {
	binary     string
	zlib       bool   // Dovecot 2.3's plugin for compressed mail is installed
	compress   bool   // Dovecot 2.4's
	lockMethod string // of the host's own configuration, where it may be read
}

// findScript prints "run PATH", "denied PATH", "lock METHOD" and "plugin NAME" lines. It uses shell built-ins where it
// can: jails have few tools.
func findScript(places []string, search bool) string {
	var b strings.Builder
	b.WriteString("see() {\n if [ -f \"$1\" ] && [ -x \"$1\" ]; then printf 'run %s\\n' \"$1\"\n elif [ -e \"$1\" ]; then printf 'denied %s\\n' \"$1\"; fi\n}\n")
	for _, p := range places {
		b.WriteString("see " + quote(p) + "\n")
	}
	if search {
		b.WriteString(`d=$(doveconf -h libexec_dir 2>/dev/null) || d=$(doveconf -c /dev/null -h libexec_dir 2>/dev/null) || d=
case $d in /*) see "$d/imap" ;; esac
ls -l /proc/[0-9]*/exe 2>/dev/null | while read -r l; do
 case $l in *' -> '*/dovecot/imap) see "${l##* -> }" ;; esac
done
`)
	}
	b.WriteString(`m=$(doveconf -h lock_method 2>/dev/null) && printf 'lock %s\n' "$m"
exit 0
`)
	return b.String()
}

// pluginScript prints which plugins for compressed mail lie where the binary's installation keeps them.
func pluginScript(binary string) string {
	return `for d in ` + quote(path.Dir(binary)+"/modules") + ` ` + quote(path.Dir(binary)) + ` /usr/lib64/dovecot /usr/lib/dovecot/modules /usr/lib/dovecot /usr/local/lib/dovecot; do
 for p in zlib mail_compress; do
  if [ -f "$d/lib20_${p}_plugin.so" ]; then printf 'plugin %s\n' "$p"; fi
 done
done
exit 0
`
}

func (h *Host) findIMAP(ctx context.Context, binary string) (foundIMAP, error) {
	places := imapPlaces
	if binary != "" {
		places = []string{binary}
	}
	out, err := h.run(ctx, findScript(places, binary == ""), nil)
	if err != nil {
		return foundIMAP{}, err
	}
	var f foundIMAP
	missing := &NoIMAPBinaryError{}
	for _, p := range places {
		missing.Looked = append(missing.Looked, Safe(p))
	}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch key {
		case "run":
			if f.binary == "" && (IMAPSpec{Layout: "mdbox", MailRoot: "/m", Binary: value}).valid() == nil {
				f.binary = value
			}
		case "denied":
			if len(missing.Denied) < 20 {
				missing.Denied = append(missing.Denied, Safe(value))
			}
		case "lock":
			if value == "fcntl" || value == "flock" || value == "dotlock" {
				f.lockMethod = value
			}
		}
	}
	if f.binary == "" {
		return f, missing
	}
	if out, err = h.run(ctx, pluginScript(f.binary), nil); err != nil {
		return f, err
	}
	f.zlib = bytes.Contains(out, []byte("plugin zlib\n"))
	f.compress = bytes.Contains(out, []byte("plugin mail_compress\n"))
	return f, nil
}

// startIMAP starts one process and takes its greeting, which it gives back to the reader of the session.
func (h *Host) startIMAP(ctx context.Context, mailRoot, binary string, args []string) (*IMAPSession, error) {
	var b strings.Builder
	b.WriteString("cd / || exit 1\nUSER=dovemend; export USER\nprintf '%s\\n' " + quote(logMark) + " >&2\n" +
		"[ -d " + quote(mailRoot) + " ] || { echo 'the mail root is no directory' >&2; exit 1; }\nexec " + quote(binary)) // Dovecot would make it
	for _, a := range args {
		b.WriteString(" " + quote(a))
	}
	stdin, stdout, stderr, wait, stop, err := h.start(ctx, b.String())
	if err != nil {
		return nil, err
	}
	log := &ring{limit: logKept, ended: make(chan struct{})}
	go log.fill(stderr)
	p := &imapProcess{in: stdin, out: bufio.NewReaderSize(stdout, 32<<10), wait: wait, stop: stop}
	greeting, err := p.greet(ctx)
	if err == nil && strings.HasPrefix(greeting, "* PREAUTH ") {
		return &IMAPSession{ReadWriteCloser: p, Binary: binary, Stderr: log.since}, nil
	}
	p.Close()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	select { // what it logged last says why
	case <-log.ended:
	case <-time.After(closeGrace):
	}
	text := log.bytes()
	if len(text) > 2048 {
		text = text[len(text)-2048:]
	}
	return nil, &IMAPStartError{Binary: Safe(binary), Answer: Safe(strings.TrimSpace(greeting)), Log: Safe(strings.TrimSpace(string(text)))}
}

// imapProcess is the stream of one process: what is read is its output, what is written its input.
type imapProcess struct {
	in   io.WriteCloser
	out  *bufio.Reader
	wait func() error
	stop func()
	once sync.Once
	use  sync.Mutex // of in: a channel of x/crypto/ssh may not be written to and ended at one time
}

// greet waits for the first line and leaves it to be read. Without a line it gives what there was.
func (p *imapProcess) greet(ctx context.Context) (string, error) {
	type result struct {
		line string
		err  error
	}
	got := make(chan result, 1)
	go func() {
		for n := 1; ; n++ {
			b, err := p.out.Peek(n)
			if err != nil {
				got <- result{string(b), err}
				return
			}
			b, _ = p.out.Peek(p.out.Buffered())
			if i := bytes.IndexByte(b, '\n'); i >= 0 {
				got <- result{string(b[:i+1]), nil}
				return
			}
			n = len(b)
		}
	}()
	timer := time.NewTimer(greetTimeout)
	defer timer.Stop()
	select {
	case r := <-got:
		return r.line, r.err
	case <-timer.C:
	case <-ctx.Done():
	}
	p.stop()
	r := <-got
	return r.line, errors.New("no greeting")
}

func (p *imapProcess) Read(b []byte) (int, error) { return p.out.Read(b) }

func (p *imapProcess) Write(b []byte) (int, error) {
	p.use.Lock()
	defer p.use.Unlock()
	return p.in.Write(b)
}

// Close ends the process by the end of its input and, if it is still there after three seconds, by closing its channel.
func (p *imapProcess) Close() error {
	p.once.Do(func() {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			p.use.Lock() // a write that is stuck ends with stop
			p.in.Close()
			p.use.Unlock()
			p.wait()
		}()
		select {
		case <-ended:
		case <-time.After(closeGrace):
		}
		p.stop()
	})
	return nil
}

// ring keeps the last bytes of a log.
type ring struct {
	limit int
	ended chan struct{}
	mu    sync.Mutex
	buf   []byte
	total int64 // bytes that were written, kept or not
}

// fill reads to the end; what comes before the mark is the login shell's, not the log.
func (r *ring) fill(from io.Reader) {
	defer close(r.ended)
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		r.mu.Lock()
		r.buf = append(r.buf, b[:n]...)
		r.total += int64(n)
		if over := len(r.buf) - r.limit; over > 0 {
			r.buf = append(r.buf[:0], r.buf[over:]...)
		}
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// since gives a copy of the whole lines from a place on, as far as they are kept, and the place behind them.
func (r *ring) since(from int64) (lines []byte, next int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.total - int64(len(r.buf)) // the place of what is kept
	if i := bytes.LastIndex(r.buf, []byte(logMark+"\n")); i >= 0 {
		from = max(from, first+int64(i+len(logMark)+1))
	}
	from = min(max(from, first), r.total)
	rest := r.buf[from-first:]
	rest = rest[:bytes.LastIndexByte(rest, '\n')+1]
	return bytes.Clone(rest), from + int64(len(rest))
}

// bytes gives a copy.
func (r *ring) bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.buf
	if i := bytes.LastIndex(b, []byte(logMark+"\n")); i >= 0 {
		b = b[i+len(logMark)+1:]
	}
	return bytes.Clone(b)
}
