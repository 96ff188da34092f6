package repair

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"dovemend/remote"
	"dovemend/remote/imap"
	"dovemend/repair/clientlog"
	"dovemend/repair/report"
)

// maxAnswers bounds what is read of the answers that a person has kept, in bytes.
const maxAnswers = 1 << 20

var (
	// answerTime is a time as logs and Dovecot's answers have it.
	answerTime = regexp.MustCompile(`\b(20\d\d-[01]\d-[0-3]\d)[T ]([0-2]\d:[0-5]\d:[0-6]\d)(?:[.,]\d+)? ?(Z|UTC|[+-]\d\d:?\d\d)`)
	// answerStatus is where a status of IMAP begins in a line.
	answerStatus = regexp.MustCompile(`(?:^|[\s:"'>])((?:\* )?(?:NO|BAD|BYE) .*)`)
)

// AddAnswers takes lines which a person's mail program, or a log, has shown into a report, with what each means: at most
// report.MostReplies different ones. A time with its zone that stands in a line is taken for its time; one without a zone, as Dovecot puts
// it into its answers, is the server's own, which nothing here tells: it is left to stand in the line. Lines with a login
// are left out, and its password is blanked in all others.
func AddAnswers(r *report.Report, in io.Reader) error {
	lines := bufio.NewScanner(io.LimitReader(in, maxAnswers))
	lines.Buffer(nil, 64<<10)
	var logins clientlog.Filter
	var kept []string
	left := 0
	for lines.Scan() {
		switch line := strings.TrimSpace(strings.ReplaceAll(lines.Text(), "\x00", "")); { // Windows' logs in UTF-16 have them
		case line == "":
		case logins.Login(line):
			left++
		default:
			kept = append(kept, line)
		}
	}
	for _, line := range kept { // when all secrets are known
		text := remote.Safe(logins.Blank(line))
		at := timeIn(text)
		known := false
		for i := range r.Answers {
			if a := &r.Answers[i]; a.Text == text {
				a.Count++
				a.Last, known = at, true
			}
		}
		if known {
			continue
		}
		if len(r.Answers) == report.MostReplies {
			r.AnswersLeftOut++
			continue
		}
		x, fromLog := explainAnswer(text)
		r.Answers = append(r.Answers, report.Reply{At: at, Last: at, FromLog: fromLog, Text: text, Count: 1, Class: string(x.Class), Whose: string(x.Whose),
			Meaning: x.Meaning, Next: x.Next, Limit: x.Limit})
	}
	if left > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("lines of the answers that hold a login, or look as parts of one do, are left out: %d", left))
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		r.Notes = append(r.Notes, "the answers have a line of more than 64 KiB; what is behind it is not told")
	} else if err != nil {
		return fmt.Errorf("read the answers: %w", err)
	}
	return nil
}

// explainAnswer explains a line as one of a server's log, or as an answer that stands somewhere in it.
func explainAnswer(text string) (x imap.Explanation, fromLog bool) {
	if m := answerStatus.FindStringSubmatch(text); m != nil {
		return imap.ExplainReply(m[1]), false
	}
	if x, ok := imap.ExplainLog(text); ok {
		return x, true
	}
	return imap.ExplainReply(text), false
}

// timeIn is the time, with its zone, that stands in a line; zero where none does.
func timeIn(text string) time.Time {
	m := answerTime.FindStringSubmatch(text)
	if m == nil {
		return time.Time{}
	}
	zone := strings.Replace(m[3], ":", "", 1)
	if zone == "Z" || zone == "UTC" {
		zone = "+0000"
	}
	at, err := time.Parse("2006-01-02 15:04:05 -0700", m[1]+" "+m[2]+" "+zone)
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}
