//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// mailServer is an IMAP server with an INBOX of no messages, whose UIDVALIDITY a test can change.
type mailServer struct {
	addr     string
	validity atomic.Int64
	messages atomic.Int64
	looks    atomic.Int64
}

func newMailServer(t *testing.T) *mailServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &mailServer{addr: l.Addr().String()}
	s.validity.Store(7)
	s.messages.Store(20)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

func (s *mailServer) serve(c net.Conn) {
	defer c.Close()
	io.WriteString(c, "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\r\n")
	for in := bufio.NewScanner(c); in.Scan(); {
		tag, cmd, _ := strings.Cut(in.Text(), " ")
		var b bytes.Buffer
		switch {
		case strings.HasPrefix(cmd, "AUTHENTICATE") && !strings.Contains(cmd, "AGFubmEAZ29vZA=="): // anna, good
			io.WriteString(c, tag+" NO [AUTHENTICATIONFAILED] Authentication failed.\r\n")
			continue
		case strings.HasPrefix(cmd, "LIST"):
			b.WriteString("* LIST () \"/\" INBOX\r\n")
		case strings.HasPrefix(cmd, "EXAMINE"):
			s.looks.Add(1)
			n := s.messages.Load()
			b.WriteString("* " + itoa(n) + " EXISTS\r\n* OK [UIDVALIDITY " + itoa(s.validity.Load()) + "] v\r\n* OK [UIDNEXT " + itoa(n+1) + "] n\r\n")
		case strings.HasPrefix(cmd, "STATUS"):
			n := s.messages.Load()
			b.WriteString("* STATUS INBOX (MESSAGES " + itoa(n) + " UIDNEXT " + itoa(n+1) + " UIDVALIDITY " + itoa(s.validity.Load()) + " UNSEEN 11)\r\n")
		case strings.HasPrefix(cmd, "UID FETCH"):
			for i := range s.messages.Load() {
				b.WriteString("* " + itoa(i+1) + " FETCH (UID " + itoa(i+1) + " FLAGS (\\Seen))\r\n")
			}
		}
		io.WriteString(c, b.String()+tag+" OK done\r\n")
		if strings.HasPrefix(cmd, "LOGOUT") {
			return
		}
	}
}

func itoa(n int64) string { b, _ := json.Marshal(n); return string(b) }

// watchRun runs the verb as a script does.
func watchRun(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs lockedBuffer
	code = run(append([]string{"dovemend", "watch"}, args...), strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (s *mailServer) flags(t *testing.T) []string {
	return []string{"--imap", s.addr, "--imap-tls", "none", "--imap-user", "anna", "--state-dir", filepath.Join(t.TempDir(), "state"), "--no-input"}
}

func TestWatchAsAScript(t *testing.T) {
	s := newMailServer(t)
	t.Setenv("DOVEMEND_IMAP_PASSWORD", "good")
	flags := s.flags(t)
	with := func(more ...string) []string { return append(append([]string{}, flags...), more...) }
	for _, step := range []struct {
		name   string
		before func()
		args   []string
		code   int
		out    []string // in standard output
		err    string
		silent bool
	}{
		{"first", nil, nil, 0, []string{"Learned: 1 mailbox, 20 messages", "INBOX"}, "", false},
		{"healthy", nil, nil, 0, []string{"All is well"}, "", false},
		{"healthy, quiet", nil, []string{"--quiet"}, 0, nil, "", true},
		{"made anew, quiet", func() { s.validity.Store(8) }, []string{"--quiet"}, 3, []string{"ALARM  INBOX: UIDVALIDITY was 7 and is 8", "next: "}, "something is wrong: INBOX", false},
		{"still, quiet", nil, []string{"--quiet"}, 3, nil, "", true},
		{"still", nil, nil, 3, []string{"ALARM  INBOX: UIDVALIDITY was 7 and is 8", "(since "}, "next: ", false},
		{"accepted", nil, []string{"--accept"}, 0, []string{"Note: accepted: INBOX"}, "", false},
		{"healthy again", nil, nil, 0, []string{"All is well"}, "", false},
		{"wrong password", func() { t.Setenv("DOVEMEND_IMAP_PASSWORD", "bad-secret") }, nil, 5, []string{"ALARM  LOGIN: server answers NO [AUTHENTICATIONFAILED]", "not before"}, "something is wrong", false},
		{"left alone", func() { t.Setenv("DOVEMEND_IMAP_PASSWORD", "good") }, nil, 3, []string{"(since "}, "", false},
		{"right password, now", nil, []string{"--now"}, 0, []string{"All is well"}, "", false},
	} {
		if step.before != nil {
			step.before()
		}
		code, out, errs := watchRun(t, with(step.args...)...)
		if code != step.code || !strings.Contains(errs, step.err) || step.silent && out+errs != "" {
			t.Errorf("%s: exit %d, want %d; out %q, err %q", step.name, code, step.code, out, errs)
		}
		for _, text := range step.out {
			if !strings.Contains(out, text) {
				t.Errorf("%s: no %q in %q", step.name, text, out)
			}
		}
		if strings.Contains(out+errs, "secret") {
			t.Errorf("%s: a secret is told: %q %q", step.name, out, errs)
		}
	}
}

func TestWatchAsJSONAndWithAMonitor(t *testing.T) {
	s := newMailServer(t)
	var mu sync.Mutex
	var heard []string
	monitor := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		heard = append(heard, r.URL.Path+" "+string(b))
		mu.Unlock()
	}))
	defer monitor.Close()
	t.Setenv("DOVEMEND_IMAP_PASSWORD", "good")
	flags := append(s.flags(t), "--json")
	for _, step := range []struct {
		name  string
		args  []string
		env   string
		exit  int
		heard string
	}{
		{"from the environment", nil, monitor.URL + "/secret-uuid", 0, "/secret-uuid 1 mailbox, 20 messages"},
		{"by a command", []string{"--ping-command", "echo " + monitor.URL + "/secret-uuid/"}, "", 0, "/secret-uuid 1 mailbox, 20 messages"},
		{"by a flag, and something is wrong", []string{"--ping", monitor.URL + "/secret-uuid"}, "", 3, "/secret-uuid/fail INBOX: UIDVALIDITY was 7 and is 9"},
	} {
		if step.exit == 3 {
			s.validity.Store(9)
		}
		t.Setenv("DOVEMEND_PING", step.env)
		heard = nil
		code, out, errs := watchRun(t, append(append([]string{}, flags...), step.args...)...)
		var doc watchDocument
		if err := json.Unmarshal([]byte(out), &doc); err != nil || doc.Exit != step.exit || code != step.exit || doc.Ping != "sent" || doc.Healthy == nil || *doc.Healthy != (code == 0) || len(doc.Mailboxes) != 1 {
			t.Errorf("%s: exit %d, %v: %s", step.name, code, err, out)
		}
		if len(heard) != 2 || heard[0] != "/secret-uuid/start " || !strings.HasPrefix(heard[1], step.heard) {
			t.Errorf("%s: the monitor heard %q", step.name, heard)
		}
		if strings.Contains(out+errs, "secret") {
			t.Errorf("%s: the URL is told: %q %q", step.name, out, errs)
		}
	}
	monitor.Close()
	t.Setenv("DOVEMEND_PING", monitor.URL+"/secret-uuid")
	s.validity.Store(7)
	code, out, errs := watchRun(t, flags...)
	if code != 0 || !strings.Contains(out, `"ping": "ping: nothing listens`) || !strings.Contains(out, `"warnings"`) || strings.Contains(out+errs, "secret") {
		t.Errorf("without the monitor: exit %d, %q, %q", code, out, errs)
	}
	for _, bad := range []string{"hc.example.org/secret", "ftp://hc.example.org/secret"} {
		t.Setenv("DOVEMEND_PING", bad)
		if code, out, errs := watchRun(t, flags...); code != 2 || strings.Contains(out+errs, "secret") {
			t.Errorf("%s: exit %d, %q, %q", bad, code, out, errs)
		}
	}
}

func TestWatchAsksALargeMailboxForNumbersAlone(t *testing.T) {
	s := newMailServer(t)
	s.messages.Store(100_000)
	t.Setenv("DOVEMEND_IMAP_PASSWORD", "good")
	code, out, errs := watchRun(t, append(s.flags(t), "--json")...)
	var doc watchDocument
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != 0 || len(doc.Mailboxes) != 1 || *doc.Mailboxes[0].Messages != 100_000 || *doc.Mailboxes[0].Unread != 11 {
		t.Errorf("exit %d, %v: %s%s", code, err, out, errs)
	}
}

func TestWatchAgainAndAgainUntilItIsInterrupted(t *testing.T) {
	defer func(d time.Duration) { minInterval = d }(minInterval)
	minInterval = 0
	s := newMailServer(t)
	t.Setenv("DOVEMEND_IMAP_PASSWORD", "good")
	for _, asJSON := range []bool{true, false} {
		s.looks.Store(0)
		s.validity.Store(7)
		flags := append(s.flags(t), "--interval", "20ms")
		if asJSON {
			flags = append(flags, "--json")
		}
		var out, errs lockedBuffer
		done := make(chan int)
		go func() {
			done <- run(append([]string{"dovemend", "watch"}, flags...), strings.NewReader(""), &out, &errs)
		}()
		wait := func(n int64) {
			for s.looks.Load() < n {
				time.Sleep(time.Millisecond)
			}
		}
		wait(3)
		s.validity.Store(8)
		wait(8)
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if code := <-done; code != 130 {
			t.Errorf("exit %d: %s", code, errs.String())
		}
		if !asJSON {
			if n := strings.Count(out.String(), "ALARM"); n != 1 || strings.Count(out.String(), "1 mailbox, 20 messages") < 5 || !strings.Contains(errs.String(), "stopped after") {
				t.Errorf("it was told %d times: %s%s", n, out.String(), errs.String())
			}
			continue
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		for i, line := range lines {
			var doc watchDocument
			if err := json.Unmarshal([]byte(line), &doc); err != nil || doc.Command != "watch" {
				t.Fatalf("line %d: %v: %s", i, err, line)
			}
			want := 0
			switch {
			case i == len(lines)-1:
				want = 130
			case len(doc.Alarms) > 0:
				want = 3
			}
			if doc.Exit != want || i == 0 && !doc.First || i == len(lines)-2 && len(doc.Alarms) != 1 {
				t.Errorf("line %d of %d: %s", i, len(lines), line)
			}
		}
	}
	for jitter, want := range map[float64]time.Duration{0: 9 * time.Minute, 0.5: 10 * time.Minute, 1: 11 * time.Minute} {
		if got := apart(10*time.Minute, jitter); got != want {
			t.Errorf("jitter %v: %v", jitter, got)
		}
	}
}

func TestWatchSaysWhatIsMissing(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for args, want := range map[string]string{
		"":                                       "--host is missing, or --imap",
		"--imap off":                             "needs --host",
		"--imap mail.example.org:993":            "--imap-user is missing",
		"--imap m.example.org:993 --imap-user a": "--imap-password-command is missing",
		"--host h --interval 30s":                "at least 1m",
		"--host h --interval x":                  "must be a time",
		"--host h --interval 5m --once":          "excludes --once",
		"--host h --ping https://a/b --ping-command x":                             "exclude each other",
		"--imap m.example.org:993 --imap-user a --imap-password-command x --run x": "no flag --run",
	} {
		code, out, errs := watchRun(t, strings.Fields(args)...)
		if code != 2 || !strings.Contains(errs, want) || !strings.Contains(errs, "next: ") || out != "" {
			t.Errorf("%q: exit %d, %q, %q", args, code, out, errs)
		}
	}
}

func TestWatchExplainsALogFromAFileAndFromStandardInput(t *testing.T) {
	log := "1002 LOGIN \"anna\" \"my-secret\"\n1005 SELECT \"INBOX\"\n1005 NO [SERVERBUG] Internal error occurred. Refer to server log for more information. [2020-05-22 14:03:12]\n"
	file := filepath.Join(t.TempDir(), "debug.log")
	if err := os.WriteFile(file, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := watchRun(t, "--explain", file)
	for _, text := range []string{"What matters most: the server answers NO [SERVERBUG]", "to SELECT, mailbox INBOX", "at 2020-05-22 14:03:12", "All in all:", "It holds logins"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), text) {
			t.Errorf("no %q in %s", text, out)
		}
	}
	if code != 3 || !strings.Contains(errs, "next: ") || strings.Contains(out+errs, "my-secret") {
		t.Errorf("exit %d: %s", code, errs)
	}
	var o, e bytes.Buffer
	code = run([]string{"dovemend", "watch", "--explain", "-", "--json"}, strings.NewReader(log), &o, &e)
	var doc watchDocument
	if err := json.Unmarshal(o.Bytes(), &doc); err != nil || code != 3 || doc.Explained == nil || len(doc.Explained.Said) != 1 || doc.Explained.Said[0].Op != "SELECT" || doc.Explained.Logins != 1 {
		t.Errorf("exit %d, %v: %s", code, err, o.String())
	}
	if code = run([]string{"dovemend", "watch", "--explain", "-"}, strings.NewReader("hello\n"), &o, &e); code != 0 {
		t.Errorf("a harmless text: exit %d", code)
	}
	if code, _, errs := watchRun(t, "--explain", t.TempDir()); code != 2 || !strings.Contains(errs, "is a folder") {
		t.Errorf("a folder: exit %d, %s", code, errs)
	}
}
