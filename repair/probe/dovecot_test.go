//go:build unix

package probe

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dovemend/remote/imap"
)

const (
	imapBinary = "/usr/lib/dovecot/imap"
	mailUID    = 5555 // owner of the mail where the test runs as root; no such user is needed
)

// store is a mail root served by the real imap binary, without a daemon.
type store struct {
	t      testing.TB
	root   string
	layout string
	more   []string // settings for all processes
}

func newStore(t testing.TB, layout string) *store {
	t.Helper()
	if _, err := os.Stat(imapBinary); err != nil {
		if strings.Contains(os.Getenv("DOVEMEND_TEST_REQUIRE"), "dovecot") {
			t.Fatalf("Dovecot is required: %v", err)
		}
		t.Skipf("no Dovecot here: %v", err)
	}
	dir, err := os.MkdirTemp("", "probe")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &store{t: t, root: filepath.Join(dir, "mail"), layout: layout}
	if err := os.Mkdir(s.root, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(s.root, mailUID, mailUID); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// process is the stream of one imap process.
type process struct {
	io.Writer
	io.Reader
	in   io.Closer
	wait func() error
	pid  int
}

func (p *process) Close() error { p.in.Close(); return p.wait() }

// lockedBuffer collects a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

func (l *lockedBuffer) since(from int64) ([]byte, int64) {
	rest := l.bytes()[from:]
	rest = rest[:bytes.LastIndexByte(rest, '\n')+1]
	return rest, from + int64(len(rest))
}

// start starts an imap process; more are further settings.
func (s *store) start(more ...string) (*process, *lockedBuffer) {
	s.t.Helper()
	args := []string{"-c", "/dev/null"}
	for _, o := range append([]string{"log_path=/dev/stderr", "first_valid_uid=1", "mail_location=" + s.layout + ":" + s.root,
		"namespace=inbox", "namespace/inbox/inbox=yes", "namespace/inbox/separator=/"}, slices.Concat(s.more, more)...) {
		args = append(args, "-o", o)
	}
	cmd := exec.Command(imapBinary, args...)
	cmd.Env = []string{"USER=probe", "PATH=/usr/bin:/bin"}
	cmd.Dir = "/"
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: mailUID, Gid: mailUID}}
	}
	log := &lockedBuffer{}
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	// Not StdoutPipe: Wait would close it before the client has read to the end.
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	w.Close()
	wait := sync.OnceValue(func() error {
		kill := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		defer kill.Stop()
		defer r.Close()
		return cmd.Wait()
	})
	s.t.Cleanup(func() { in.Close(); wait() })
	return &process{Writer: in, Reader: r, in: in, wait: wait, pid: cmd.Process.Pid}, log
}

// dialer connects to new processes.
func (s *store) dialer(more ...string) (dial Dialer, count *int) {
	count = new(int)
	return func(ctx context.Context) (*Conn, error) {
		*count++
		p, log := s.start(more...)
		c, err := imap.Preauth(ctx, p, 20*time.Second)
		if err != nil {
			return nil, err
		}
		return &Conn{Client: c, Stderr: log.since}, nil
	}, count
}

// fill puts messages into mailboxes: 20 into INBOX, five into a nested one with a non-ASCII name; some are seen, some
// bear the keyword Work. It gives the texts of INBOX.
func (s *store) fill() []string {
	s.t.Helper()
	p, log := s.start()
	var script strings.Builder
	script.WriteString("c1 CREATE Entw&APw-rfe/2020\r\n")
	var texts []string
	add := func(i int, mailbox, flags, text string) {
		fmt.Fprintf(&script, "a%d APPEND %s (%s) \"%02d-Aug-2020 10:00:00 +0200\" {%d+}\r\n%s\r\n", i, mailbox, flags, 1+i%28, len(text), text)
	}
	for i := range 20 {
		text := fmt.Sprintf("From: a@example.org\r\nSubject: message %d\r\nDate: Mon, 03 Aug 2020 10:%02d:00 +0200\r\n\r\nThis is text %d.\r\n%s", i, i, i, strings.Repeat("Grüße, and so on.\r\n", 40*i))
		texts = append(texts, text)
		flags := ""
		if i%2 == 0 {
			flags = `\Seen`
		}
		if i%5 == 0 {
			flags = strings.TrimSpace(flags + " Work")
		}
		add(i, "INBOX", flags, text)
	}
	for i := range 5 {
		add(100+i, "Entw&APw-rfe/2020", "", fmt.Sprintf("Subject: draft %d\r\n\r\nx\r\n", i))
	}
	script.WriteString("z LOGOUT\r\n")
	go io.WriteString(p, script.String())
	out, err := io.ReadAll(p)
	if err != nil || strings.Count(string(out), "OK [APPENDUID") != 25 {
		s.t.Fatalf("fill the store: %v\n%s\n%s", err, out, log.bytes())
	}
	p.Close()
	return texts
}

// files finds files by name pattern.
func (s *store) files(pattern string) []string {
	s.t.Helper()
	var l []string
	err := filepath.WalkDir(s.root, func(path string, d fs.DirEntry, err error) error {
		if ok, _ := filepath.Match(pattern, d.Name()); ok && err == nil && !d.IsDir() {
			l = append(l, path)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}
