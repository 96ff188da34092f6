// Package clientlog reads what mail programs log about a server, and Dovecot's own log: it picks out the server's answers that were
// not OK, the words with which programs say that a connection broke, and Dovecot's errors, counts what is alike, and says when it came
// first and last. What it means is for others to say.
//
// It knows the forms of imapfilter (-v and -d), RainLoop and SnappyMail, Roundcube, mbsync, imapsync, Thunderbird, K-9 and Thunderbird
// for Android, and text pasted from any of them; it goes by what a line holds, not by what a file is called. A log is read as a stream,
// in bounded memory, and nothing in it is trusted: texts come out printable and short. Logs hold logins; a line with one gives nothing
// but its secret, which is then blanked wherever else it stands. Where a log holds mails as well, their words may be mistaken for the
// server's.
package clientlog

import (
	"bufio"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
)

// Limits of what is kept.
const (
	maxLine  = 2 << 10 // bytes of a line that are looked at
	maxSaid  = 300     // kinds of answers
	maxText  = 600     // bytes of a text
	maxTags  = 256     // commands whose answer is waited for
	maxUIDs  = 20      // of messages named with one kind of answer
	sameTime = 3       // lines within which the same answer to the same command is the same line logged twice
)

// Kind says what was found.
type Kind string

// The kinds.
const (
	Reply   Kind = "reply"   // a status response of the server
	Server  Kind = "log"     // a line of Dovecot's own log
	Symptom Kind = "symptom" // words of the mail program itself
)

// Said is one kind of thing that was said, however often. Its texts are printable and hold no secret.
type Said struct {
	Kind    Kind
	Type    string // of a reply NO, BAD or BYE ("" where the program did not pass it on); of a symptom CLOSED, TIMEOUT, DIAL, TLS, or "" where it tells nothing
	Code    string // response code, "SERVERBUG"
	Text    string // of a reply its text, of a log line the line
	Op      string // the command it answers: "SELECT"; "" where that is not told
	Mailbox string // that was open, or asked for; "" where that is not told
	UIDs    []uint32
	Count   int
	First   string // time of the first and last, as they stand in the log; "" without times
	Last    string
	Line    int64 // where the first one stands, from 1
}

// Log is what a log holds.
type Log struct {
	Program     string // whose log it seems to be, for people; "" unknown
	Lines       int64
	Bytes       int64
	Connections int    // that were made
	Logins      int    // lines that held a login
	First, Last string // the first and the last time in it, as they stand
	Said        []Said // in the order in which they came first
	More        int    // further things said, of kinds that are not among them
}

// Read reads a log to its end. known says of a line of Dovecot's log, and of a line in no form that is known, whether it is worth
// telling; the former is told also without it if it is an error.
func Read(ctx context.Context, r io.Reader, known func(line string) bool) (*Log, error) {
	s := &scanner{log: &Log{}, known: known, index: map[string]int{}, tags: map[string]string{}, programs: map[string]int{}}
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := in.ReadSlice('\n')
		s.log.Bytes += int64(len(line))
		if len(line) > 0 {
			s.log.Lines++
			s.line(string(line[:min(len(line), maxLine)]))
		}
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a line that is too long
			line, err = in.ReadSlice('\n')
			s.log.Bytes += int64(len(line))
		}
		if errors.Is(err, io.EOF) {
			s.end()
			return s.log, nil
		}
		if err != nil {
			return nil, err
		}
		if s.log.Lines%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// scanner reads line by line.
type scanner struct {
	log      *Log
	known    func(string) bool
	index    map[string]int // of what was said, by what is alike
	tags     map[string]string
	programs map[string]int
	secrets  secrets

	op      string     // of the last command
	mailbox string     // of the last command that named one
	uid     uint32     // of the last message named
	tail    [16]string // the beginnings of the last lines
	last    struct {
		key  string // of the last reply with its tag
		line int64
	}
}

// markLines is how many lines are looked at to tell whose log it is; of the rest every so manieth.
const markLines, markEvery = 300, 200

func (s *scanner) line(raw string) {
	line := strings.TrimRight(raw, "\r\n \t")
	line = strings.TrimSuffix(line, `\r\n`) // RainLoop writes it out
	if line == "" {
		return
	}
	if s.log.Lines < markLines || s.log.Lines%markEvery == 0 {
		s.program(line)
		if s.log.First == "" {
			s.log.First = stamp(line)
		}
	}
	s.tail[s.log.Lines%int64(len(s.tail))] = line[:min(len(line), 120)]
	lower := strings.ToLower(line)
	if has(lower, loginHints) && s.login(line) {
		s.op = "LOGIN"
		return
	}
	if has(lower, greetingHints) && greeting.MatchString(line) {
		s.log.Connections++
		clear(s.tags) // tags begin anew
	}
	switch {
	case has(lower, serverHints) && s.server(line):
	case (has(line, statusHints) || has(lower, phraseHints)) && s.reply(line):
	case s.symptom(line, lower):
	case untagged(line):
		if m := namedUID.FindStringSubmatch(line); m != nil {
			s.uid = number(m[1])
		}
	default:
		if has(lower, opHints) {
			s.command(line)
		}
	}
}

// has reports whether a line holds one of some words. Looking for them costs little, and expressions much.
func has(line string, words []string) bool {
	for _, w := range words {
		if strings.Contains(line, w) {
			return true
		}
	}
	return false
}

// untagged reports whether a line holds an untagged response with a number: "* 12 FETCH", "* 3 EXISTS".
func untagged(line string) bool {
	i := strings.Index(line, "* ")
	return i >= 0 && i+2 < len(line) && line[i+2] >= '0' && line[i+2] <= '9'
}

// add counts something that was said.
func (s *scanner) add(x Said, line string) {
	at := stamp(line)
	if at == "" {
		if m := serverDate.FindStringSubmatch(line); m != nil {
			at = m[1]
		}
	}
	x.Text = s.clean(x.Text)
	x.Mailbox = s.clean(x.Mailbox)
	key := strings.Join([]string{string(x.Kind), x.Type, x.Code, x.Op, x.Mailbox, digits.ReplaceAllString(x.Text, "#")}, "\x00")
	i, there := s.index[key]
	if !there {
		if len(s.log.Said) >= maxSaid {
			s.log.More++
			return
		}
		i = len(s.log.Said)
		s.index[key] = i
		uids := x.UIDs
		x.First, x.Line, x.UIDs = at, s.log.Lines, nil
		s.log.Said = append(s.log.Said, x)
		x.UIDs = uids
	}
	w := &s.log.Said[i]
	w.Count++
	if w.Last = at; w.First == "" {
		w.First = at
	}
	for _, u := range x.UIDs {
		if len(w.UIDs) < maxUIDs && !slices.Contains(w.UIDs, u) {
			w.UIDs = append(w.UIDs, u)
		}
	}
}

// end decides whose log it was.
func (s *scanner) end() {
	for i := range s.tail {
		if at := stamp(s.tail[(s.log.Lines-int64(i)+16)%16]); at != "" {
			s.log.Last = at
			break
		}
	}
	most := 0
	for _, p := range programs {
		if n := s.programs[p.name]; n > most {
			s.log.Program, most = p.name, n
		}
	}
}
