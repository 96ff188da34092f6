package repair

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dovemend/repair/report"
)

func TestAnswersAreExplainedWithTheirTimes(t *testing.T) {
	zoned := time.Date(2026, 11, 23, 17, 5, 9, 0, time.UTC)
	for _, c := range []struct {
		line, class string
		fromLog     bool
		at          time.Time
	}{
		{"* BYE FETCH failed: Internal error occurred. Refer to server log for more information. [2026-11-23 18:05:02]", "message-unreadable", false, time.Time{}},
		{"Roundcube: UID SORT: NO [SERVERBUG] Internal error occurred.", "internal-error", false, time.Time{}},
		{"2026-11-23 18:05:09.123 +0100 S: a3 NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=75)", "connection-limit", false, zoned},
		{"2026-11-23T17:05:09Z imap(a)<1><b>: Error: Corrupted dbox file /x/m.1 (around offset=5): EOF reading msg header", "message-file-damaged", true, zoned},
		{"Server does not respond", "other", false, time.Time{}},
	} {
		r := &report.Report{}
		if err := AddAnswers(r, strings.NewReader("\n  "+c.line+"\r\n"+c.line+"\n")); err != nil {
			t.Fatal(err)
		}
		if len(r.Answers) != 1 {
			t.Errorf("%s: %+v", c.line, r.Answers)
			continue
		}
		a := r.Answers[0]
		if a.Class != c.class || a.FromLog != c.fromLog || !a.At.Equal(c.at) || a.Count != 2 || a.Text != c.line || a.Meaning == "" {
			t.Errorf("%s: got %+v", c.line, a)
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&b, "NO [SERVERBUG] number %d\x1b[31m\n", i)
	}
	r := &report.Report{}
	if err := AddAnswers(r, strings.NewReader(b.String())); err != nil || len(r.Answers) != report.MostReplies || r.AnswersLeftOut < 10_000 {
		t.Errorf("%d answers, %d left out, %v", len(r.Answers), r.AnswersLeftOut, err)
	}
	if strings.Contains(r.Answers[0].Text, "\x1b") {
		t.Errorf("%q", r.Answers[0].Text)
	}
	r = &report.Report{}
	if err := AddAnswers(r, strings.NewReader("NO x\n"+strings.Repeat("y", 100<<10))); err != nil || len(r.Answers) != 1 || len(r.Notes) != 1 {
		t.Errorf("a long line: %+v, %v", r, err)
	}
}
