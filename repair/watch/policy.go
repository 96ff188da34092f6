package watch

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// MaxDrop says how many messages may vanish from a mailbox between two looks without an alarm. Both must be exceeded;
// Off never alarms.
type MaxDrop struct {
	Messages int
	Percent  int
	Off      bool
}

// ParseMaxDrop reads "10,50%", "100", "30%" or "off".
func ParseMaxDrop(s string) (MaxDrop, error) {
	if s == "off" {
		return MaxDrop{Off: true}, nil
	}
	var d MaxDrop
	count, percent := false, false
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		number, isPercent := strings.CutSuffix(part, "%")
		n, err := strconv.Atoi(number)
		switch {
		case err != nil || n < 0 || number != strconv.Itoa(n) || isPercent && n > 100:
			return d, fmt.Errorf("%q is neither a number of messages nor a percentage", part)
		case isPercent && !percent:
			d.Percent, percent = n, true
		case !isPercent && !count:
			d.Messages, count = n, true
		default:
			return d, fmt.Errorf("%q names the same thing twice", s)
		}
	}
	return d, nil
}

// exceeded says whether losing n of all messages is too much.
func (d MaxDrop) exceeded(n, all int) bool {
	return !d.Off && n > d.Messages && n*100 > all*d.Percent
}

// Policy is what counts as wrong.
type Policy struct {
	MaxDrop   MaxDrop
	MaxCache  int64         // bytes of dovecot.index.cache from which on it is an alarm
	MaxLog    int64         // of a log
	MaxIndex  int64         // of an index
	Limit     int           // of connections; 0: as the server told it
	Hold      time.Duration // how long a loss is told before it is taken for what is
	Accept    bool          // take what is now for what is to be
	WaitFirst time.Duration // after the first failure
	WaitMost  time.Duration
	WaitLogin time.Duration  // at least this long where the login was refused
	Jitter    func() float64 // 0 to 1; nil: none
}

// Default is the policy without any flag.
func Default() Policy {
	return Policy{
		MaxDrop: MaxDrop{Messages: 10, Percent: 50}, MaxCache: 512 << 20, MaxLog: 32 << 20, MaxIndex: 512 << 20,
		Hold: 24 * time.Hour, WaitFirst: 4 * time.Minute, WaitMost: time.Hour, WaitLogin: 30 * time.Minute,
	}
}

// fail counts one more failure and says until when to wait: each time twice as long, up to WaitMost, and by up to a fifth
// less or more, so that not all who fail come back at the same moment.
func (p Policy) fail(w Wait, f Failure, now time.Time, host, banned bool) Wait {
	w.Failures = min(w.Failures+1, 1000)
	if w.Failures == 1 {
		w.Since = now
	}
	delay := min(float64(p.WaitFirst)*math.Pow(2, float64(min(w.Failures, 30)-1)), float64(p.WaitMost))
	if banned {
		delay = math.Max(delay, math.Min(float64(p.WaitLogin)*math.Pow(2, float64(min(w.Failures, 30)-1)), float64(12*p.WaitLogin)))
	}
	jitter := 0.5
	if p.Jitter != nil {
		jitter = p.Jitter()
	}
	w.Until = now.Add(time.Duration(delay * (0.8 + 0.4*jitter))).Truncate(time.Second)
	w.Why, w.Host, w.Banned = f.shorten(), host, banned
	return w
}

// Over reports whether waiting is over. A time too far ahead is not believed: the clock was set back.
func (w Wait) Over(now time.Time) bool {
	return w.Failures == 0 || !now.Before(w.Until) || w.Until.Sub(now) > 7*time.Hour
}

// near gives the number of connections from which on the limit is near: four fifths of it.
func near(limit int) int { return (limit*4 + 4) / 5 }

// clears says whether a mailbox is one whose messages are cleared away as a matter of course.
func clears(name string) bool {
	last := name[strings.LastIndexByte(name, '/')+1:]
	switch strings.ToLower(last) {
	case "trash", "junk", "spam", "deleted messages", "deleted items", "junk e-mail", "bulk mail", "papierkorb", "gelöschte elemente",
		"gelöschte objekte", "junk-e-mail", "corbeille", "indésirables", "cestino", "papelera":
		return true
	}
	return false
}
