// Package mailgen writes varied mail for tests and for the demo: the same seed gives the same bytes. Its messages hold
// what mail programs, newsletters and broken scripts have put into mailboxes over the years: attachments, raw 8-bit and NUL bytes,
// lines of 100 kB, headers that never end, mail within mail, and bytes that look like Dovecot's own record marks.
//
// Line ends are CRLF, as IMAP has them, except where a kind of message is about other ones.
package mailgen

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// NumberHeader names the header that tells which message of its series a message is.
const NumberHeader = "X-Dovemend-Number"

// Mail is one message, with what IMAP keeps beside its bytes.
type Mail struct {
	Number   int
	Kind     string
	Bytes    []byte
	Flags    []string // system flags, with their backslash
	Keywords []string
	Date     time.Time // the internal date
}

// start is the internal date of the first message of every series.
var start = time.Date(2019, time.November, 4, 7, 12, 9, 0, time.UTC)

// Series gives the first n messages of a seed. They come in all kinds in turn; flags, keywords and dates are as a mailbox
// of a few months has them.
func Series(seed uint64, n int) []Mail {
	r := rand.New(rand.NewPCG(seed, 0x6d61696c))
	date := start
	mails := make([]Mail, n)
	for i := range mails {
		date = date.Add(time.Duration(r.IntN(7*3600)+600) * time.Second)
		kind := kinds[i%len(kinds)]
		c := &composer{Rand: r, number: i, seed: seed, date: date}
		kind.write(c)
		mails[i] = Mail{Number: i, Kind: kind.name, Bytes: c.Bytes(), Date: date}
		for _, f := range []struct {
			name    string
			percent int
		}{{`\Seen`, 70}, {`\Answered`, 20}, {`\Flagged`, 10}, {`\Draft`, 3}} {
			if r.IntN(100) < f.percent {
				mails[i].Flags = append(mails[i].Flags, f.name)
			}
		}
		for _, k := range []struct {
			name    string
			percent int
		}{{"$Forwarded", 8}, {"NonJunk", 25}, {"$label1", 5}, {"Steuer_2019", 6}} {
			if r.IntN(100) < k.percent {
				mails[i].Keywords = append(mails[i].Keywords, k.name)
			}
		}
	}
	return mails
}

// Kinds names the kinds of messages, in the order Series has them.
func Kinds() []string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

func (c *composer) messageID() string {
	return fmt.Sprintf("<%d.%d@mailgen.example>", c.number, c.seed)
}
