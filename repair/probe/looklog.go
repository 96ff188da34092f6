package probe

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"time"

	"dovemend/remote"
	"dovemend/remote/imap"
)

// logPatience bounds how long the log is waited for after an answer whose reason it must tell. It comes on a way of its
// own, a little after the answer.
const logPatience = 2 * time.Second

// collect notes what the server and the log have said besides, of which err is the end of the look.
func (l *looker) collect(r *LookResult, err error) {
	for _, n := range l.conn.Notices() {
		text := n.Raw
		if text == "" {
			text = strings.TrimSpace(n.Type + " " + n.Text)
		}
		r.Replies = addReply(r.Replies, n.Op+": "+text, imap.ExplainNotice(n))
	}
	if l.conn.Stderr == nil {
		return
	}
	log, next := l.conn.LogAfter(err, l.logged)
	for line := range strings.Lines(string(log)) {
		l.logLine(r, strings.TrimSpace(line))
	}
	l.logged = next
}

// LogAfter gives what was logged from a place on, when err is the end of what was asked: where Dovecot logs the reason of such
// an answer it waits for that, at most two seconds. Only for a connection that has a log.
func (c *Conn) LogAfter(err error, from int64) (lines []byte, next int64) {
	lines, next = c.Stderr(from)
	if err != nil && logged(imap.Explain(err).Class) {
		for end := time.Now().Add(logPatience); !complaint.Match(lines) && time.Now().Before(end); lines, next = c.Stderr(from) {
			time.Sleep(5 * time.Millisecond)
		}
	}
	return lines, next
}

// logged says whether Dovecot logs the reason of such an answer.
func logged(c imap.Class) bool {
	switch c {
	case imap.ClassInternal, imap.ClassUnreadable, imap.ClassClosed, imap.ClassInconsistent:
		return true
	}
	return false
}

var (
	complaint = regexp.MustCompile(`: (Error|Fatal|Panic): `)
	backtrace = regexp.MustCompile(`: (Raw backtrace|Error: Raw backtrace)`)
	uidInLog  = regexp.MustCompile(`(?:\b[Uu][Ii][Dd][= ]|/u\.)(\d{1,10})\b`)
)

// logLine notes one line of the log, if it is worth knowing. A complaint that dovemend does not know is told as it stands.
func (l *looker) logLine(r *LookResult, line string) {
	x, ok := imap.ExplainLog(line)
	if !ok {
		if !complaint.MatchString(line) || backtrace.MatchString(line) {
			return
		}
		x = imap.Explanation{Class: imap.ClassOther, Whose: imap.WhoseUnknown,
			Meaning: "The host's log complains of something which dovemend does not know.",
			Next:    "Show the line, word for word, to the hosting company."}
	}
	if m := uidInLog.FindStringSubmatch(line); m != nil {
		if n, err := strconv.ParseUint(m[1], 10, 32); err == nil {
			r.suspect(uint32(n))
		}
	}
	r.Log = addReply(r.Log, remote.Safe(line), x)
}

func Ping(ctx context.Context, dial Dialer) (LookResult, error) {
	l, err := LookAt(ctx, dial, nil, LookOptions{Looks: []imap.Look{LookLogin}})
	if l == nil || len(l.Account) == 0 {
		return LookResult{Look: LookLogin, State: NotAsked}, err
	}
	return l.Account[0], err
}
