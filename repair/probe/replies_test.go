package probe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"dovemend/remote/imap"
)

// fieldReply is one answer that Dovecot is known to give, word for word, and what dovemend has to make of it. Rows are the
// kinds of answer; every row has at least one reply here, where a scripted server gives it, and those that can be provoked
// are in TestRealDovecotsRepliesAreExplained as well.
type fieldReply struct {
	row   string
	at    string // the command it answers: a part of it; "LOGIN" for the login
	reply string // without a tag; "BYE …" is sent untagged, and the server hangs up; "" hangs up without a word
	class imap.Class
	whose imap.Whose
}

const stamp = " Refer to server log for more information. [2026-08-14 10:11:12]"

var fieldReplies = []fieldReply{
	{"server bug at a mailbox", "EXAMINE", "NO [SERVERBUG] Internal error occurred." + stamp, imap.ClassInternal, imap.WhoseMailbox},
	{"server bug at a mailbox", "STATUS", "NO [SERVERBUG] Internal error occurred." + stamp, imap.ClassInternal, imap.WhoseMailbox},
	{"server bug at a message", "UID SORT", "NO [SERVERBUG] Internal error occurred." + stamp, imap.ClassInternal, imap.WhoseMessage},
	{"server bug at a message", "UID THREAD", "NO Internal error occurred." + stamp, imap.ClassInternal, imap.WhoseMessage},
	{"server bug at a message", " TEXT ", "NO [SERVERBUG] Internal error occurred." + stamp, imap.ClassInternal, imap.WhoseMessage},
	{"server bug at a message", "BODY.PEEK", "NO [SERVERBUG] Internal error occurred." + stamp, imap.ClassInternal, imap.WhoseMessage},
	{"fetch failed", "BODY.PEEK", "BYE FETCH failed: Internal error occurred." + stamp, imap.ClassUnreadable, imap.WhoseMessage},
	{"closed without a word", "ENVELOPE", "", imap.ClassClosed, imap.WhoseMessage},
	{"session inconsistent", "FLAGS", "BYE IMAP session state is inconsistent, please relogin.", imap.ClassInconsistent, imap.WhoseMailbox},
	{"uidvalidity changed", "STATUS", "BYE Mailbox UIDVALIDITY changed", imap.ClassUIDValidity, imap.WhoseMailbox},
	{"internal error after login", "LIST", "BYE Internal error occurred." + stamp, imap.ClassInternal, imap.WhoseAccount},
	{"internal login failure", "LOGIN", "BYE [UNAVAILABLE] Internal login failure. Refer to server log for more information.", imap.ClassUnavailable, imap.WhoseHost},
	{"internal login failure", "LOGIN", "NO [SERVERBUG] Internal login failure. Refer to server log for more information.", imap.ClassUnavailable, imap.WhoseHost},
	{"connection limit", "LOGIN", "NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=75)", imap.ClassConnectionLimit, imap.WhoseClient},
	{"connection limit", "LOGIN", "NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=75)", imap.ClassConnectionLimit, imap.WhoseClient},
	{"connection limit", "LOGIN", "NO Maximum number of connections from user+IP exceeded (mail_max_userip_connections=75)", imap.ClassConnectionLimit, imap.WhoseClient},
	{"temporary failure", "LOGIN", "NO [UNAVAILABLE] Temporary authentication failure. [mail:2026-08-14 10:11:12]", imap.ClassUnavailable, imap.WhoseHost},
	{"temporary failure", "LOGIN", "NO [UNAVAILABLE] Account is temporarily unavailable.", imap.ClassUnavailable, imap.WhoseHost},
	{"authentication failed", "LOGIN", "NO [AUTHENTICATIONFAILED] Authentication failed.", imap.ClassPassword, imap.WhoseAccount},
	{"authentication failed", "LOGIN", "NO Authentication failed.", imap.ClassPassword, imap.WhoseAccount},
	{"account refused", "LOGIN", "NO [AUTHORIZATIONFAILED] Authorization failed", imap.ClassAccount, imap.WhoseAccount},
	{"account refused", "LOGIN", "NO [EXPIRED] Password expired", imap.ClassAccount, imap.WhoseAccount},
	{"account refused", "LOGIN", "NO Password expired", imap.ClassAccount, imap.WhoseAccount},
	{"account refused", "LOGIN", "NO [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.", imap.ClassEncryption, imap.WhoseClient},
	{"account refused", "LOGIN", "NO Cleartext authentication disallowed on non-secure (SSL/TLS) connections.", imap.ClassEncryption, imap.WhoseClient},
	{"account refused", "LOGIN", "NO [CONTACTADMIN] Login disabled for this user", imap.ClassAccount, imap.WhoseAccount},
	{"account refused", "LOGIN", "NO Login disabled for this user", imap.ClassAccount, imap.WhoseAccount},
	{"alert", "LOGIN", "NO [ALERT] Invoice unpaid, see mail of 3 August", imap.ClassAlert, imap.WhoseHost},
	{"quota", "EXAMINE", "NO [OVERQUOTA] Quota exceeded (mailbox for user is full)", imap.ClassQuota, imap.WhoseAccount},
	{"quota", "EXAMINE", "NO Quota exceeded (mailbox for user is full)", imap.ClassQuota, imap.WhoseAccount},
	{"quota", "EXAMINE", "NO [OVERQUOTA] Not enough disk quota", imap.ClassDiskFull, imap.WhoseAccount},
	{"in use", "STATUS", "NO [INUSE] Mailbox size is being calculated in the background", imap.ClassBusy, imap.WhoseNone},
	{"in use", "STATUS", "NO [SERVERBUG] Timeout while waiting for lock", imap.ClassLock, imap.WhoseMailbox},
	{"limit", "EXAMINE", "NO [LIMIT] Message has been copied too many times. Try again by downloading and re-uploading the message.", imap.ClassLimit, imap.WhoseMessage},
	{"limit", "UID SORT", "NO [LIMIT] Requested sort would have taken too long.", imap.ClassLimit, imap.WhoseMailbox},
	{"limit", "UID SORT", "NO Requested sort would have taken too long.", imap.ClassLimit, imap.WhoseMailbox},
	{"stray file", "EXAMINE", "NO [CANNOT] Mailbox isn't a valid mbox file", imap.ClassStrayFile, imap.WhoseMailbox},
	{"permission", "EXAMINE", "NO [NOPERM] Permission denied", imap.ClassPermission, imap.WhoseAccount},
	{"permission", "EXAMINE", "NO Permission denied", imap.ClassPermission, imap.WhoseAccount},
	{"permission", "EXAMINE", "NO [NOPERM] Read only file system", imap.ClassPermission, imap.WhoseAccount},
	{"mailbox missing", "EXAMINE", "NO [NONEXISTENT] Mailbox doesn't exist: INBOX", imap.ClassMissing, imap.WhoseMailbox},
	{"mailbox missing", "EXAMINE", "NO [TRYCREATE] Mailbox doesn't exist: INBOX", imap.ClassMissing, imap.WhoseMailbox},
	{"mailbox missing", "EXAMINE", "NO [SERVERBUG] Directory structure is broken", imap.ClassMissing, imap.WhoseMailbox},
	{"already expunged", "ENVELOPE", "OK [EXPUNGEISSUED] Some messages were already expunged.", imap.ClassExpunged, imap.WhoseClient},
	{"mime", "BODY.PEEK", "NO [UNKNOWN-CTE] Unknown Content-Transfer-Encoding", imap.ClassMIME, imap.WhoseMessage},
	{"mime", "BODY.PEEK", "NO [PARSE] Invalid base64 data", imap.ClassMIME, imap.WhoseMessage},
	{"goodbye", "STATUS", "BYE Disconnected for inactivity.", imap.ClassBye, imap.WhoseNone},
	{"goodbye", "STATUS", "BYE Server shutting down.", imap.ClassBye, imap.WhoseNone},
	{"goodbye", "STATUS", "BYE Too many invalid IMAP commands.", imap.ClassMisunderstood, imap.WhoseClient},
	{"goodbye", "LOGIN", "BYE Timeout while finishing login.", imap.ClassUnavailable, imap.WhoseHost},
	{"throttled", "ENVELOPE", "OK [THROTTLED] Fetch completed.", imap.ClassThrottled, imap.WhoseHost},
	{"throttled", "EXAMINE", "NO [THROTTLED] Slow down", imap.ClassThrottled, imap.WhoseHost},
	{"corruption", "EXAMINE", "NO [CORRUPTION] Mailbox is corrupt", imap.ClassIndex, imap.WhoseMailbox},
}

// fieldRows are the kinds of answer there are.
var fieldRows = []string{"server bug at a mailbox", "server bug at a message", "fetch failed", "closed without a word", "session inconsistent",
	"uidvalidity changed", "internal error after login", "internal login failure", "connection limit", "temporary failure", "authentication failed",
	"account refused", "alert", "quota", "in use", "limit", "stray file", "permission", "mailbox missing", "already expunged", "mime", "goodbye",
	"throttled", "corruption", "silent loss"}

// answer is the reply as the server sends it, and whether it hangs up.
func (f fieldReply) answer(cmd string) (text string, hangUp bool) {
	switch {
	case f.reply == "":
		return "", true
	case strings.HasPrefix(f.reply, "BYE"):
		return "* " + f.reply + "\r\n", true
	}
	before := ""
	if strings.HasPrefix(f.reply, "OK") {
		for u := 1; u <= 3; u++ {
			before += answerFor(u, cmd)
		}
	}
	return before + "TAG " + f.reply + "\r\n", false
}

func TestEveryKnownReplyIsExplainedWhereItComes(t *testing.T) {
	rows := map[string]bool{"silent loss": true} // it has no words: TestMailboxMadeAnewBetweenTwoLooksIsTold and TestSilentLossIsTold
	for _, f := range fieldReplies {
		rows[f.row] = true
		t.Run(f.row+": "+f.reply, func(t *testing.T) {
			s := newMailServer(3)
			dial := s.dial
			if f.at == "LOGIN" {
				s.greeting = "* OK [CAPABILITY IMAP4rev1] ready"
				dial = func(ctx context.Context) (*Conn, error) { return s.login(ctx) }
			}
			s.hook = func(_ int, cmd string) (string, bool, bool) {
				if !strings.Contains(cmd, f.at) {
					return "", false, false
				}
				text, hangUp := f.answer(cmd)
				return text, hangUp, true
			}
			got, err := LookAt(t.Context(), dial, []string{"INBOX"}, LookOptions{Pause: -1})
			if err != nil {
				t.Fatal(err)
			}
			reply, ok := got.Class(f.class)
			if !ok || reply.Whose != f.whose {
				t.Fatalf("explained as %+v; want %s, %s", got, f.class, f.whose)
			}
			if reply.Meaning == "" || reply.Next == "" || !strings.Contains(reply.Text, strings.TrimPrefix(f.reply, "BYE ")) {
				t.Errorf("not told in full: %+v", reply)
			}
			if f.row == "connection limit" && reply.Limit != 75 {
				t.Errorf("limit %d", reply.Limit)
			}
			if bad := !strings.HasPrefix(f.reply, "OK"); bad == got.Healthy() {
				t.Errorf("healthy: %v", got.Healthy())
			}
			if n := got.Connections; n > 3 {
				t.Errorf("%d connections for one bad answer", n)
			}
		})
	}
	for _, r := range fieldRows {
		if !rows[r] {
			t.Errorf("no test for %q", r)
		}
	}
}

// login connects as a mail program does, and logs in.
func (s *mailServer) login(ctx context.Context) (*Conn, error) {
	s.conns.Add(1)
	s.open.Add(1)
	ours, theirs := net.Pipe()
	go s.serve(theirs, int(s.conns.Load()))
	c, err := imap.Connect(ctx, imap.Config{Addr: "127.0.0.1:143", Security: imap.None, Timeout: 5 * time.Second,
		Dial: func(context.Context, string) (net.Conn, error) { return ours, nil }})
	if err != nil {
		return nil, err
	}
	return &Conn{Client: c}, c.Login(ctx, "anna", "secret")
}

// TestSilentLossIsTold has messages vanish between two looks, while every answer is OK.
func TestSilentLossIsTold(t *testing.T) {
	s := newMailServer(10)
	s.hook = func(conn int, cmd string) (string, bool, bool) {
		if conn == 1 && strings.Contains(cmd, "BODYSTRUCTURE") {
			s.n.Store(4)
			return "* BYE IMAP session state is inconsistent, please relogin.\r\n", true, true
		}
		return "", false, false
	}
	got := s.look(t, LookOptions{})
	reply, ok := got.Class(imap.ClassSilentLoss)
	if !ok || !strings.Contains(reply.Text, "there were 10 messages, and there are 4") || reply.Next == "" || got.Healthy() {
		t.Errorf("%+v: %+v", reply, got)
	}
}

func TestLossAgainstTheFilesIsTold(t *testing.T) {
	for _, tt := range []struct {
		messages int
		validity uint32
		class    imap.Class // "" for nothing
	}{{10, 1, ""}, {-1, 0, ""}, {7, 1, ""}, {11, 1, imap.ClassSilentLoss}, {10, 2, imap.ClassUIDValidity}} {
		got := newMailServer(10).look(t, LookOptions{})
		got.Mailboxes[0].Expect(tt.messages, tt.validity)
		if _, ok := got.Class(tt.class); ok != (tt.class != "") || got.Healthy() != (tt.class == "") {
			t.Errorf("%+v: %+v", tt, got.Mailboxes[0].Looks)
		}
	}
}

// session is a connection on which commands are sent as they stand.
type session struct {
	t testing.TB
	w io.WriteCloser
	r *bufio.Reader
	n int
}

func newSession(t testing.TB, stream io.ReadWriteCloser) *session {
	t.Helper()
	t.Cleanup(func() { stream.Close() })
	s := &session{t: t, w: stream, r: bufio.NewReader(stream)}
	if line, err := s.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "* ") {
		t.Fatalf("greeting %q: %v", line, err)
	}
	return s
}

// do sends a command and gives the lines up to the tagged answer, or to the end.
func (s *session) do(command string) []string {
	s.t.Helper()
	s.n++
	tag := fmt.Sprintf("a%d", s.n)
	if _, err := io.WriteString(s.w, tag+" "+command+"\r\n"); err != nil {
		s.t.Logf("%s: %v", command, err)
	}
	var lines []string
	for {
		line, err := s.r.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			return append(lines, rest)
		}
		if line != "" {
			lines = append(lines, line)
		}
		if err != nil {
			return lines
		}
	}
}
