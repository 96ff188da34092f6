package repair

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"dovemend/remote/imap"
	"dovemend/repair/clientlog"
)

// ExplainedSaid is one thing said in a log, with what it means.
type ExplainedSaid struct {
	clientlog.Said
	imap.Explanation
}

// ExplainedLog is what a mail program's log means.
type ExplainedLog struct {
	clientlog.Log
	Said    []ExplainedSaid // what matters most first; what means nothing bad last
	Matters bool            // the first of them is what to see to
	Advice  []string        // what to do about all of it together; empty: nothing is wrong
}

// weights say which of several answers is nearest to the cause. What is not among them weighs little.
var weights = map[imap.Class]int{
	imap.ClassDiskFull: 99, imap.ClassPermission: 96, imap.ClassMessageFile: 95, imap.ClassMap: 94, imap.ClassLog: 94, imap.ClassIndex: 94, imap.ClassCrash: 93,
	imap.ClassUIDList: 92, imap.ClassUnreadable: 90, imap.ClassCachedSize: 88, imap.ClassUIDValidity: 86, imap.ClassInconsistent: 84,
	imap.ClassInternal: 80, imap.ClassMissing: 72, imap.ClassLock: 71, imap.ClassClosed: 70, imap.ClassCache: 60, imap.ClassRepaired: 58, imap.ClassQuota: 50,
	imap.ClassConnectionLimit: 40, imap.ClassUnavailable: 35, imap.ClassAccount: 34, imap.ClassPassword: 33, imap.ClassCertificate: 32, imap.ClassTLS: 31,
	imap.ClassTimeout: 30, imap.ClassUnreachable: 29,
}

func (s *ExplainedSaid) weight() int {
	switch w := weights[s.Class]; {
	case s.Whose == imap.WhoseNone:
		return 0
	case s.Kind == clientlog.Symptom && s.Type == "":
		return 5
	case w > 0:
		return w
	}
	return 10
}

// ExplainClientLog reads a mail program's log, or text pasted from one, and says what the server's answers in it mean. It reaches no
// server, reads the log as a stream, and gives no secret of it.
func ExplainClientLog(ctx context.Context, r io.Reader) (*ExplainedLog, error) {
	l, err := clientlog.Read(ctx, r, func(line string) bool {
		_, ok := imap.ExplainLog(line)
		return ok
	})
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	x := &ExplainedLog{Log: *l}
	for _, said := range l.Said {
		x.Said = append(x.Said, ExplainedSaid{said, explainSaid(said)})
	}
	slices.SortStableFunc(x.Said, func(a, b ExplainedSaid) int { return cmp.Compare(b.weight(), a.weight()) })
	x.Matters = len(x.Said) > 0 && x.Said[0].weight() > 0
	x.advise()
	return x, nil
}

// vague is what programs say that keep the server's words to themselves.
var vague = imap.Explanation{Class: imap.ClassOther, Whose: imap.WhoseUnknown,
	Meaning: "The program says only that it failed; what the server answered is not in these lines.",
	Next:    "Look into the program's own log, with logging of IMAP switched on, and run dovemend watch with --explain on that."}

func explainSaid(s clientlog.Said) imap.Explanation {
	switch {
	case s.Kind == clientlog.Server:
		if x, ok := imap.ExplainLog(s.Text); ok {
			return x
		}
		return imap.Explanation{Class: imap.ClassOther, Whose: imap.WhoseUnknown, Meaning: "Dovecot has logged an error that dovemend does not know.",
			Next: "Show it, word for word, to the hosting company."}
	case s.Kind == clientlog.Symptom && s.Type == "":
		return vague
	}
	e := &imap.Error{Op: s.Op, Type: s.Type, Code: s.Code, Text: s.Text}
	if s.Kind == clientlog.Reply && e.Type == "" {
		e.Type = imap.TypeNo // the program told the text alone
	}
	if len(s.UIDs) == 1 {
		e.UID = s.UIDs[0]
	}
	return imap.Explain(e)
}

// advise says what to do about all of it.
func (x *ExplainedLog) advise() {
	if !x.Matters {
		return
	}
	first := x.Said[0]
	limit := slices.ContainsFunc(x.Said, func(s ExplainedSaid) bool { return s.Class == imap.ClassConnectionLimit })
	if limit {
		if first.Class == imap.ClassConnectionLimit {
			x.Advice = append(x.Advice, "A program that connects again and again has used up all connections; nothing here says that the mailbox is damaged. Stop scripts that look at it every few minutes, and end what hangs: dovemend processes --host HOST --stop.")
		} else {
			x.Advice = append(x.Advice, "That there were too many connections is a consequence: a program that fails tries again and again. Stop scripts that look at the mailbox every few minutes first.")
		}
	}
	if x.Connections > 20 && first.Class != imap.ClassConnectionLimit {
		x.Advice = append(x.Advice, fmt.Sprintf("The log shows %d connections. Each look at a damaged mailbox can make Dovecot rebuild it and lose marks: stop the program that looks until the mailbox is repaired.", x.Connections))
	}
	mailbox := ""
	if first.Mailbox != "" {
		mailbox = " --mailbox NAME (here it is " + first.Mailbox + ")"
	}
	switch first.Whose {
	case imap.WhoseMailbox, imap.WhoseMessage:
		x.Advice = append(x.Advice, "Make a copy before anything else looks at the mailbox, and see what is wrong: dovemend check --host HOST --account ADDRESS"+mailbox+".")
	case imap.WhoseAccount, imap.WhoseHost, imap.WhoseClient, imap.WhoseNetwork, imap.WhoseUnknown:
		if !limit || first.Class != imap.ClassConnectionLimit {
			x.Advice = append(x.Advice, first.Next)
		}
	}
	if first.First != "" && (first.Whose == imap.WhoseHost || first.Class == imap.ClassInternal) {
		x.Advice = append(x.Advice, "For the hosting company: it came first at "+first.First+" and last at "+first.Last+"; the reason is in the server's log at these times.")
	}
}
