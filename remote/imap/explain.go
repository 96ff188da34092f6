package imap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// Whose says where the cause of an answer lies.
type Whose string

// The places a cause can lie in.
const (
	WhoseNone    Whose = "none"    // nothing is wrong
	WhoseHost    Whose = "host"    // the hosting company's servers
	WhoseAccount Whose = "account" // the account as a whole: password, quota, rights
	WhoseMailbox Whose = "mailbox" // the files of this mailbox
	WhoseMessage Whose = "message" // one message
	WhoseClient  Whose = "client"  // mail programs, this one among them
	WhoseNetwork Whose = "network" // the way between here and the host
	WhoseUnknown Whose = "unknown"
)

// Class is the kind of an answer, for scripts.
type Class string

// The classes.
const (
	ClassInternal        Class = "internal-error"
	ClassUnreadable      Class = "message-unreadable"
	ClassClosed          Class = "closed-without-a-word"
	ClassInconsistent    Class = "session-inconsistent"
	ClassUIDValidity     Class = "uidvalidity-changed"
	ClassSilentLoss      Class = "silent-loss"
	ClassConnectionLimit Class = "connection-limit"
	ClassUnavailable     Class = "temporarily-unavailable"
	ClassPassword        Class = "password-refused"
	ClassAccount         Class = "account-refused"
	ClassEncryption      Class = "encryption-required"
	ClassAlert           Class = "provider-message"
	ClassQuota           Class = "mail-quota"
	ClassDiskFull        Class = "disk-full"
	ClassBusy            Class = "busy"
	ClassLock            Class = "lock-timeout"
	ClassLimit           Class = "limit"
	ClassStrayFile       Class = "stray-file"
	ClassPermission      Class = "permission"
	ClassMissing         Class = "mailbox-missing"
	ClassExpunged        Class = "already-expunged"
	ClassExists          Class = "mailbox-exists"
	ClassMIME            Class = "mime"
	ClassBye             Class = "goodbye"
	ClassThrottled       Class = "throttled"
	ClassMisunderstood   Class = "not-understood"
	ClassTLS             Class = "tls"
	ClassCertificate     Class = "certificate"
	ClassUnreachable     Class = "unreachable"
	ClassTimeout         Class = "timeout"
	ClassHostile         Class = "not-imap"
	ClassStopped         Class = "stopped"
	ClassIndex           Class = "index-damaged"
	ClassLog             Class = "log-damaged"
	ClassMap             Class = "map-damaged"
	ClassCache           Class = "cache-damaged"
	ClassCachedSize      Class = "cached-size"
	ClassMessageFile     Class = "message-file-damaged"
	ClassUIDList         Class = "uidlist"
	ClassRepaired        Class = "repaired-itself"
	ClassCrash           Class = "crash"
	ClassSetup           Class = "setup"
	ClassOther           Class = "other"
)

// Explanation says in plain words what an answer or a log line means.
type Explanation struct {
	Class   Class
	Meaning string // what it means
	Whose   Whose  // where the cause lies
	Next    string // what to do now
	Limit   int    // for ClassConnectionLimit: how many connections are allowed; 0 where it is not told
}

// rule is one row of the tables: the first that matches explains the text. Servers send one text with several codes, and
// proxies drop codes, so where both are given either is enough.
type rule struct {
	typ   string         // status the reply must have; "" any
	code  string         // response codes that tell it, separated by "|"
	text  *regexp.Regexp // texts that tell it
	op    string         // commands it must answer, separated by "|"; "" any
	class Class
	whose Whose
	means string
	next  string
}

func (r *rule) matches(op, typ, code, text string) bool {
	told := r.code == "" && r.text == nil || r.code != "" && oneOf(r.code, code) || r.text != nil && r.text.MatchString(text)
	return told && (r.typ == "" || r.typ == typ) && oneOf(r.op, op)
}

func oneOf(list, s string) bool {
	if list == "" {
		return true
	}
	for _, w := range strings.Split(list, "|") {
		if w == s {
			return true
		}
	}
	return false
}

var connectionLimit = regexp.MustCompile(`mail_max_userip_connections=(\d{1,6})\b`)

func (r *rule) explanation(text string) Explanation {
	e := Explanation{Class: r.class, Meaning: r.means, Whose: r.whose, Next: r.next}
	if r.class == ClassConnectionLimit {
		if m := connectionLimit.FindStringSubmatch(text); m != nil {
			e.Limit, _ = strconv.Atoi(m[1])
			e.Meaning += " The host allows " + m[1] + " at a time."
		}
	}
	return e
}

// ExplainReply explains a status line of the server as it stands: "* BYE FETCH failed: …", "NO [SERVERBUG] …". Text
// without a status in front is taken for the text of one.
func ExplainReply(line string) Explanation {
	line = strings.TrimSpace(line)
	for _, candidate := range []string{line, "* " + line} {
		if s, ok := parseStatus([]byte(candidate)); ok {
			return explainStatus("", s.typ, s.code, s.text)
		}
	}
	return explainStatus("", "", "", line)
}

// ExplainNotice explains what the server said besides its answers.
func ExplainNotice(n Notice) Explanation { return explainStatus(n.Op, n.Type, n.Code, n.Text) }

func explainStatus(op, typ, code, text string) Explanation {
	for i := range replies {
		if replies[i].matches(op, typ, code, text) {
			return replies[i].explanation(text)
		}
	}
	if typ == "OK" || typ == "PREAUTH" {
		return Explanation{Class: ClassOther, Whose: WhoseNone, Meaning: "The server did what it was asked."}
	}
	return Explanation{Class: ClassOther, Whose: WhoseUnknown,
		Meaning: "The server gave an answer which dovemend does not know.",
		Next:    "Show the answer, word for word, to the hosting company."}
}

// Explain explains any error of this package; other errors are explained as far as they can be told.
func Explain(err error) Explanation {
	if err == nil {
		return Explanation{Class: ClassOther, Whose: WhoseNone, Meaning: "Nothing is wrong."}
	}
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Type: TypeDial, Err: err}
	}
	switch e.Type {
	case TypeNo, TypeBad, TypeBye:
		x := explainStatus(e.Op, e.Type, e.Code, e.Text)
		if e.UID != 0 && x.Class == ClassUnreadable {
			x.Meaning += " The message it named last is the one with UID " + strconv.FormatUint(uint64(e.UID), 10) + ": that one is the suspect."
		}
		return x
	case TypeClosed:
		x := closed
		if e.Op == "connect" || e.Op == "LOGIN" {
			x = closedEarly
		}
		if e.UID != 0 {
			x.Meaning += " It happened around the message with UID " + strconv.FormatUint(uint64(e.UID), 10) + "."
		}
		return x
	case TypeTimeout:
		return silent
	case TypeLimit, TypeProtocol:
		return notIMAP
	case TypeStopped:
		return Explanation{Class: ClassStopped, Whose: WhoseNone, Meaning: "It was stopped from here.", Next: "Start it again when you like."}
	case TypeRefused:
		return explainRefused(e)
	}
	return explainNetwork(err)
}

func explainRefused(e *Error) Explanation {
	x := Explanation{Class: ClassMisunderstood, Whose: WhoseClient, Meaning: "dovemend did not do this because it is not safe or not possible here: " + e.Text + ".", Next: "Change the setting it names and try again."}
	switch {
	case errors.Is(e.Err, ErrNoSort):
		x.Meaning, x.Next, x.Whose = "This server cannot sort. That is allowed and nothing is broken.", "Nothing to do.", WhoseNone
	case e.Code == "PRIVACYREQUIRED":
		return explainStatus(e.Op, TypeNo, e.Code, e.Text)
	}
	return x
}

// explainNetwork tells apart what went wrong below IMAP.
func explainNetwork(err error) Explanation {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var dns *net.DNSError
	switch {
	case errors.As(err, &name):
		return certName
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return certExpired
	case errors.As(err, &authority), errors.As(err, &invalid), errors.As(err, &verify):
		return certUnknown
	case errors.As(err, &record):
		return notTLS
	case errors.As(err, &alert):
		return tlsFailed
	case errors.As(err, &dns):
		return noSuchHost
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused
	case errors.Is(err, context.DeadlineExceeded):
		return silent
	}
	var e *Error
	if errors.As(err, &e) && e.Type == TypeTLS {
		return tlsFailed
	}
	return unreachable
}

// ExplainLog explains a line which the host's imap process wrote to its log. ok is false for lines that mean nothing bad
// or nothing known.
func ExplainLog(line string) (x Explanation, ok bool) {
	if strings.Contains(line, ": Info: ") {
		return Explanation{}, false
	}
	for i := range logLines {
		if logLines[i].text.MatchString(line) {
			return logLines[i].explanation(line), true
		}
	}
	return Explanation{}, false
}
