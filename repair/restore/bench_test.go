package restore

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"dovemend/remote/imap"
	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/proxy"
	"dovemend/remote/remotetest/realhost"
	"dovemend/repair/probe"
)

// The line of the benchmark: a round trip of 40 ms, 100 Mbit/s each way.
var line = proxy.Options{Delay: 20 * time.Millisecond, BytesPerSecond: 12_500_000}

// BenchmarkRestore puts 10,000 messages (1,000 with -short) of some 5 kB into a mailbox of the real Dovecot over that line, as restore does, journal, looks and all;
// and beside it some of them as a program does that waits for each answer. It tells messages a second, how many times faster it was, and how much passed the line
// of what passes it in one direction in that time: each text is sent, and then read back.
//
//	go test ./repair/restore -run XXX -bench Restore -benchtime 1x
func BenchmarkRestore(b *testing.B) {
	h := remotetest.Real(b, remotetest.Options{Options: realhost.Options{Layout: "mdbox", NoSSHD: true}, NoCanaries: true})
	p, err := proxy.Start(h.IMAP(), line)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	dial := func(ctx context.Context) (*probe.Conn, error) {
		c, err := imap.Connect(ctx, imap.Config{Addr: p.Addr(), Security: imap.None})
		if err != nil {
			return nil, err
		}
		return &probe.Conn{Client: c}, c.Login(ctx, h.Account(), h.Password())
	}
	n := 10_000
	if testing.Short() {
		n = 1000
	}
	r := rand.New(rand.NewPCG(1, 2))
	var texts []string
	for i := range n {
		body := make([]byte, 2000+r.IntN(6000))
		for k := range body {
			if body[k] = byte('a' + r.IntN(26)); k%70 == 69 {
				body[k] = '\n'
			}
		}
		texts = append(texts, fmt.Sprintf("Message-ID: <%d@example.org>\nFrom: a@example.org\nDate: Fri, 8 May 2020 09:10:11 +0200\nSubject: message %d\n\n%s\n", i, i, body))
	}
	items, err := Gather(b.Context(), source(texts...), Filter{}, silent{})
	if err != nil {
		b.Fatal(err)
	}
	restore := func(mailbox string, o Options) time.Duration {
		dir, err := os.OpenRoot(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		defer dir.Close()
		o.Mailbox = mailbox
		for _, x := range items {
			x.Status, x.Why, x.UID = Pending, "", 0
		}
		begun := time.Now()
		e := New(dial, dir, "journal.jsonl", o, silent{}, slog.New(slog.DiscardHandler))
		if err := e.Apply(b.Context(), items); err != nil {
			b.Fatal(err)
		}
		took := time.Since(begun)
		e.Close(b.Context())
		return took
	}
	for i := range b.N {
		before := p.Passed()
		took := restore(fmt.Sprintf("Bench%d", i), Options{})
		passed := p.Passed() - before
		if got := Counts(items)[Added].Messages; got != n {
			b.Fatalf("added %d", got)
		}
		again := restore(fmt.Sprintf("Bench%d", i), Options{})
		if got := Counts(items)[There].Messages; got != n {
			b.Fatalf("of %d the second time, %d are there", n, got)
		}
		single := oneByOne(b, dial, fmt.Sprintf("Single%d", i), items[:100])
		perMessage := took.Seconds() / float64(n)
		b.ReportMetric(float64(n)/took.Seconds(), "msg/s")
		b.ReportMetric(100*float64(passed)/took.Seconds()/float64(line.BytesPerSecond), "%line")
		b.ReportMetric(took.Seconds(), "s")
		b.ReportMetric(again.Seconds(), "s-again")
		b.ReportMetric(single.Seconds()/100/perMessage, "x-faster")
	}
}

// oneByOne appends as many programs do: the answer to each message is waited for before the next is sent.
func oneByOne(b *testing.B, dial probe.Dialer, name string, items []*Item) time.Duration {
	c, err := dial(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Logout(b.Context())
	if err := c.Create(b.Context(), name); err != nil {
		b.Fatal(err)
	}
	begun := time.Now()
	for _, x := range items {
		err := c.Append(b.Context(), name, []imap.Letter{{Date: x.Date, Size: x.Size, Open: x.text}}, func(_ int, a imap.Appended) {
			if a.Err != nil {
				b.Fatal(a.Err)
			}
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(begun)
}
