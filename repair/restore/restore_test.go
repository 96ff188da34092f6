package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"dovemend/remote/imap"
	"dovemend/repair/dovecot"
	"dovemend/repair/probe"
	"dovemend/repair/salvage"
)

type silent struct{}

func (silent) Stage(string)       {}
func (silent) Total(int, int64)   {}
func (silent) Advance(int, int64) {}
func (silent) Info(string)        {}
func (silent) Warn(string)        {}

// source makes a source of texts.
func source(texts ...string) iter.Seq2[*salvage.Message, error] {
	return func(yield func(*salvage.Message, error) bool) {
		for i, text := range texts {
			m := &salvage.Message{Mailbox: "INBOX", Class: salvage.Current, Flags: dovecot.FlagSeen, Keywords: []string{"$Label1"},
				Received: time.Date(2020, 5, 8, 9, i%60, 0, 0, time.UTC), Source: salvage.Source{File: "mbox", Offset: int64(i)},
				Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
			if !yield(m, nil) {
				return
			}
		}
	}
}

func plain(n int) (texts []string) {
	for i := range n {
		texts = append(texts, fmt.Sprintf("Message-ID: <%d@x>\r\nSubject: number %d\r\n\r\n%s\r\n", i, i, strings.Repeat("x", i)))
	}
	return texts
}

// odd are texts that are hard to restore, or to tell apart.
func odd() []string {
	return []string{
		"Message-ID: <same@x>\r\nSubject: one body\r\n\r\none\r\n", "Message-ID: <same@x>\r\nSubject: one body\r\n\r\ntwo\r\n", // same header, same size
		"Message-ID: <same@x>\r\nSubject: one body\r\n\r\nthree\r\n",
		"Subject: no id\n\nbare line ends\n", "Subject: no id\n\nbare line endz\n", "\n\nno header at all\n", "no header, no end",
		"Message-ID:\n <folded@x>\nSubject: Gr\xfc\xdfe 8bit\n\n\xff\xfe\x80\n", "Message-ID: <nul@x>\r\n\r\nNUL\x00here\r\nlone\rreturn\r\n",
		"Message-ID: <a b c@x> (comment)\r\nMessage-ID: <second@x>\r\n\r\n", "Subject: long\r\n\r\n" + strings.Repeat("long line ", 3000),
		"Message-ID: <big@x>\r\n\r\n" + strings.Repeat("0123456789abcdef\n", 100_000),
	}
}

type trial struct {
	t     *testing.T
	dial  probe.Dialer
	dir   *os.Root
	o     Options
	cut   func(int) error
	quiet time.Duration
	end   func(context.Context) (bool, error)

	source func(i int) string // what a message is each time it is opened; nil: as given
}

func newTrial(t *testing.T, dial probe.Dialer, o Options) *trial {
	t.Helper()
	dir, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	if o.Mailbox == "" {
		o.Mailbox = "Back"
	}
	return &trial{t: t, dial: dial, dir: dir, o: o, quiet: 2 * time.Millisecond}
}

func (x *trial) gather(f Filter, texts ...string) []*Item {
	x.t.Helper()
	from := source(texts...)
	if x.source != nil {
		from = changing(len(texts), x.source)
	}
	items, err := Gather(x.t.Context(), from, f, silent{})
	if err != nil {
		x.t.Fatal(err)
	}
	return items
}

// apply restores texts, in the same run each time.
func (x *trial) apply(ctx context.Context, texts ...string) ([]*Item, *Engine, error) {
	x.t.Helper()
	items := x.gather(Filter{}, texts...)
	e := New(x.dial, x.dir, "journal.jsonl", x.o, silent{}, slog.New(slog.DiscardHandler))
	e.cut, e.quietFor, e.unsure, e.pause, e.Quiet = x.cut, x.quiet, 3, -1, x.end
	err := e.Apply(ctx, items)
	if errors.Is(err, errCut) { // a process that is killed says no goodbye
		e.conn.Close()
		e.conn = nil
	}
	e.Close(ctx)
	return items, e, err
}

func (x *trial) fresh() *trial { return newTrial(x.t, x.dial, x.o) }

func expect(t *testing.T, items []*Item, want map[Status]int) {
	t.Helper()
	got := Counts(items)
	total := 0
	for _, s := range Statuses {
		total += got[s].Messages
		if got[s].Messages != want[s] {
			for _, x := range items {
				if x.Status == s {
					t.Logf("%s %q: %s", s, x.Subject, x.Why)
				}
			}
			t.Errorf("%s: %d, want %d", s, got[s].Messages, want[s])
		}
	}
	if total != len(items) {
		t.Errorf("%d of %d messages have a status that is reported", total, len(items))
	}
}

// wire is a text as it is on the server.
func wire(t *testing.T, text string) string {
	t.Helper()
	b, err := io.ReadAll(NewNormal(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// exactly checks that the server has these texts, each once, and nothing else.
func exactly(t *testing.T, got []string, texts ...string) {
	t.Helper()
	got = slices.Clone(got)
	for _, text := range texts {
		i := slices.Index(got, wire(t, text))
		if i < 0 {
			t.Errorf("not there: %.60q", text)
			continue
		}
		got = slices.Delete(got, i, i+1)
	}
	for _, text := range got {
		t.Errorf("too much: %.60q", text)
	}
}

var errCut = errors.New("killed")

func TestNormalIsWhatDigestHashes(t *testing.T) {
	for _, text := range append(odd(), "", "\n", "\r\n", "\r", "\x00\n", strings.Repeat("x", 32<<10-1)+"\r\n"+strings.Repeat("\n", 70_000)) {
		want, size, err := probe.Digest(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		d, err := digestOf(strings.NewReader(text))
		if got := fmt.Sprintf("%x", d.sum); err != nil || got != want || d.size != size {
			t.Errorf("%.40q: %s of %d bytes, want %s of %d", text, got, d.size, want, size)
		}
	}
}

func TestKeywordsNeverBecomeSystemFlags(t *testing.T) {
	good, notes := keywords([]string{`\$NotJunk`, "$Label1", `\Foo`, "two words", "", strings.Repeat("k", 51), "Grün", `a"b`, "a]b"})
	if !slices.Equal(good, []string{"$NotJunk", "$Label1"}) || len(notes) != 8 {
		t.Errorf("got %q with notes %q", good, notes)
	}
}

func TestFilterAccountsForEveryMessage(t *testing.T) {
	day := func(d int) time.Time { return time.Date(2020, 5, d, 0, 0, 0, 0, time.UTC) }
	messages := []*salvage.Message{
		{Mailbox: "INBOX", Class: salvage.Current, Received: day(1)}, {Mailbox: "Work", Class: salvage.Current, Received: day(5)},
		{Mailbox: "Work", Class: salvage.Expunged, Received: day(5)}, {Mailbox: "Work", Class: salvage.Damaged, Received: day(5)},
		{Mailbox: "Work", Class: salvage.Current}, {Mailbox: "Work", Class: salvage.Current, Received: day(9)}, {Mailbox: "Work", Class: salvage.Current, Saved: day(6)},
	}
	for i, m := range messages {
		m.Source.Offset = int64(i)
		m.Open = func() (io.ReadCloser, error) {
			if i == 6 {
				return nil, errors.New("disk error")
			}
			return io.NopCloser(strings.NewReader(fmt.Sprintf("Message-ID: <%d@x>\n\n", i))), nil
		}
	}
	all := func(yield func(*salvage.Message, error) bool) {
		for _, m := range messages {
			if !yield(m, nil) {
				return
			}
		}
	}
	for _, c := range []struct {
		f    Filter
		want []Status
	}{
		{Filter{}, []Status{Pending, Pending, LeftOut, LeftOut, Pending, Pending, Unreadable}},
		{Filter{Mailboxes: []string{"inbox"}}, []Status{Pending, LeftOut, LeftOut, LeftOut, LeftOut, LeftOut, LeftOut}},
		{Filter{Since: day(5), Before: day(9)}, []Status{LeftOut, Pending, LeftOut, LeftOut, LeftOut, LeftOut, Unreadable}},
		{Filter{MessageIDs: []string{"1@x", "<5@x>"}}, []Status{LeftOut, Pending, LeftOut, LeftOut, LeftOut, Pending, Unreadable}},
		{Filter{Classes: []salvage.Class{salvage.Expunged, salvage.Damaged}}, []Status{LeftOut, LeftOut, Pending, Pending, LeftOut, LeftOut, LeftOut}},
	} {
		items, err := Gather(t.Context(), all, c.f, silent{})
		if err != nil || len(items) != len(messages) {
			t.Fatal(len(items), err)
		}
		for i, x := range items {
			if x.Status != c.want[i] || (x.Why == "") != (x.Status == Pending) {
				t.Errorf("%+v: message %d is %s (%s), want %s", c.f, i, x.Status, x.Why, c.want[i])
			}
		}
	}
}

func TestSecondRestoreAddsNothing(t *testing.T) {
	for _, caps := range []string{"", "LITERAL+", "LITERAL+ UIDPLUS", "LITERAL+ UIDPLUS MULTIAPPEND", "LITERAL- UIDPLUS"} {
		t.Run(caps, func(t *testing.T) {
			s := &server{caps: caps, missing: true}
			x := newTrial(t, s.dial, Options{Full: true})
			texts := append(odd(), plain(30)...)
			items, _, err := x.apply(deadline(t), append(texts, texts[0], texts[3])...)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, items, map[Status]int{Added: len(texts), Twin: 2})
			exactly(t, s.texts(), texts...)
			items, _, err = x.fresh().apply(deadline(t), texts...)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, items, map[Status]int{There: len(texts)})
			exactly(t, s.texts(), texts...)
			x.o.All = true
			if items, _, err = x.fresh().apply(deadline(t), texts[:3]...); err != nil {
				t.Fatal(err)
			}
			expect(t, items, map[Status]int{Added: 3})
		})
	}
}

func TestPreviewChangesNothing(t *testing.T) {
	s := &server{caps: "LITERAL+ UIDPLUS", missing: true}
	x := newTrial(t, s.dial, Options{})
	preview := func() []*Item {
		items := x.gather(Filter{}, plain(5)...)
		e := New(x.dial, x.dir, "journal.jsonl", x.o, silent{}, slog.New(slog.DiscardHandler))
		defer e.Close(t.Context())
		if err := e.Preview(deadline(t), items); err != nil {
			t.Fatal(err)
		}
		return items
	}
	expect(t, preview(), map[Status]int{Pending: 5})
	if !s.missing {
		t.Error("the mailbox was made")
	}
	s.missing = false
	s.letters, s.next = []letter{{uid: 1, text: plain(5)[2]}}, 1
	expect(t, preview(), map[Status]int{Pending: 4, There: 1})
	if entries, err := os.ReadDir(x.dir.Name()); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// TestOnlyNearMessagesAreRead: of a large mailbox, only texts whose Message-ID or size fits are downloaded.
func TestOnlyNearMessagesAreRead(t *testing.T) {
	s := &server{caps: "LITERAL+ UIDPLUS"}
	for i, text := range plain(2000) {
		s.letters = append(s.letters, letter{uid: uint32(i + 1), text: text})
	}
	s.next = 2000
	items, _, err := newTrial(t, s.dial, Options{}).apply(deadline(t), "Message-ID: <7@x>\r\n\r\nother\r\n", plain(12)[11], "Subject: none\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, items, map[Status]int{Added: 2, There: 1})
	if s.fetched != 2 {
		t.Errorf("%d texts were read", s.fetched)
	}
}

// TestGUIDsSpareReadingTexts: a message of the same GUID and size is the same; where the size does not fit, the text decides.
func TestGUIDsSpareReadingTexts(t *testing.T) {
	texts := plain(3)
	s := &server{caps: "LITERAL+ UIDPLUS", guids: map[uint32]string{}, next: 3}
	var messages []*salvage.Message
	for i, text := range texts {
		m := &salvage.Message{Class: salvage.Current, Source: salvage.Source{Offset: int64(i)}, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
		m.GUID[0] = byte(i + 1)
		messages = append(messages, m)
		s.guids[uint32(i+1)] = m.GUID.String()
		has := text
		if i == 1 {
			has += "more"
		}
		s.letters = append(s.letters, letter{uid: uint32(i + 1), text: has})
	}
	s.guids[3] = "0" // another one: then the text decides
	items, err := Gather(t.Context(), func(yield func(*salvage.Message, error) bool) {
		for _, m := range messages {
			if !yield(m, nil) {
				return
			}
		}
	}, Filter{}, silent{})
	if err != nil {
		t.Fatal(err)
	}
	x := newTrial(t, s.dial, Options{})
	e := New(x.dial, x.dir, "journal.jsonl", x.o, silent{}, slog.New(slog.DiscardHandler))
	defer e.Close(t.Context())
	if err := e.Preview(deadline(t), items); err != nil {
		t.Fatal(err)
	}
	expect(t, items, map[Status]int{There: 2, Pending: 1})
	if items[1].Status != Pending || s.fetched != 2 {
		t.Errorf("the second is %s, and %d texts were read", items[1].Status, s.fetched)
	}
}

func TestRefusalsAreToldOneByOne(t *testing.T) {
	s := &server{caps: "LITERAL+ UIDPLUS MULTIAPPEND", kept: `\Seen $Label1`, refuse: func(l letter) string {
		switch {
		case strings.Contains(l.text, "number 7\r\n"):
			return "NO [LIMIT] Message is too large"
		case strings.Contains(l.text, "number 9\r\n") && strings.Contains(l.flags, "$Label1"):
			return "NO Keywords are not for this one"
		}
		return ""
	}}
	items, _, err := newTrial(t, s.dial, Options{}).apply(deadline(t), plain(40)...)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, items, map[Status]int{Added: 39, Refused: 1})
	if !strings.Contains(items[7].Why, "too large") || len(items[9].Notes) == 0 {
		t.Errorf("7: %+v, 9: %+v", items[7], items[9])
	}
	if s.letters[0].flags != `\Seen $Label1` || s.letters[0].date != " 8-May-2020 09:00:00 +0000" {
		t.Errorf("the first is %+v", s.letters[0])
	}
}

func TestFullMailboxStopsAndGoesOn(t *testing.T) {
	room := 17
	s := &server{caps: "LITERAL+ UIDPLUS"}
	s.refuse = func(letter) string {
		if len(s.letters) >= room {
			return "NO [OVERQUOTA] Quota exceeded (mailbox for user is full)"
		}
		return ""
	}
	x := newTrial(t, s.dial, Options{})
	items, _, err := x.apply(deadline(t), plain(40)...)
	if !errors.Is(err, ErrFull) {
		t.Fatalf("got %v", err)
	}
	expect(t, items, map[Status]int{Added: 17, Pending: 23})
	room = 100
	if items, _, err = x.apply(deadline(t), plain(40)...); err != nil {
		t.Fatal(err)
	}
	expect(t, items, map[Status]int{Added: 40})
	exactly(t, s.texts(), plain(40)...)
}

func TestServerThatRefusesEverythingIsLeftAlone(t *testing.T) {
	s := &server{caps: "UIDPLUS", refuse: func(letter) string { return "NO [SERVERBUG] Internal error occurred" }}
	_, _, err := newTrial(t, s.dial, Options{}).apply(deadline(t), plain(400)...)
	if !errors.Is(err, ErrTroubled) || s.conns > 2 {
		t.Errorf("%v after %d connections", err, s.conns)
	}
}

func TestHangUpsLoseAndDoubleNothing(t *testing.T) {
	for _, caps := range []string{"LITERAL+ UIDPLUS", "LITERAL+ MULTIAPPEND UIDPLUS", "", "LITERAL+"} {
		for _, all := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s all=%v", caps, all), func(t *testing.T) {
				last := 0
				s := &server{caps: caps, hangUp: func(n int) bool {
					if n-last < 13 {
						return false
					}
					last = n
					return true
				}}
				items, _, err := newTrial(t, s.dial, Options{All: all}).apply(deadline(t), plain(60)...)
				if err != nil {
					t.Fatal(err)
				}
				expect(t, items, map[Status]int{Added: 60})
				exactly(t, s.texts(), plain(60)...)
			})
		}
	}
}

func TestPoisonIsTakenOutAgainAndKept(t *testing.T) {
	for _, how := range []string{"BYE", "CUT", "NO [SERVERBUG] Internal error"} {
		for _, bad := range [][]int{{0}, {59}, {30}, {3, 4, 40}} {
			t.Run(fmt.Sprint(how, bad), func(t *testing.T) {
				texts := plain(60)
				s := &server{caps: "LITERAL+ UIDPLUS", poison: func(l letter) string {
					for _, i := range bad {
						if l.text == texts[i] {
							return how
						}
					}
					return ""
				}}
				s.letters, s.next = []letter{{uid: 1, text: "theirs", flags: `\Deleted`}}, 1
				x := newTrial(t, s.dial, Options{})
				items, _, err := x.apply(deadline(t), texts...)
				if err != nil {
					t.Fatal(err)
				}
				expect(t, items, map[Status]int{Added: 60 - len(bad), SetAside: len(bad)})
				left := []string{"theirs"}
				for i, text := range texts {
					if !slices.Contains(bad, i) {
						left = append(left, text)
						continue
					}
					kept := fmt.Sprintf("%s/number-%d-%s.eml", asideDir, i, items[i].ID)
					if b, err := x.dir.ReadFile(kept); err != nil || string(b) != text {
						t.Errorf("%s: %q, %v", kept, b, err)
					}
				}
				exactly(t, s.texts(), left...)
			})
		}
	}
}

func TestPoisonStaysWhereNothingCanBeRemovedAlone(t *testing.T) {
	s := &server{caps: "LITERAL+", poison: func(l letter) string {
		if strings.Contains(l.text, "number 3\r\n") {
			return "BYE"
		}
		return ""
	}}
	items, _, err := newTrial(t, s.dial, Options{}).apply(deadline(t), plain(10)...)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, items, map[Status]int{Added: 10})
	if items[3].Doubt == "" || len(s.expunged) != 0 {
		t.Errorf("3: %+v, expunged %v", items[3], s.expunged)
	}
}

func TestUndoRemovesExactlyWhatWasAdded(t *testing.T) {
	s := &server{caps: "LITERAL+ UIDPLUS"}
	texts := plain(30)
	s.letters, s.next = []letter{{uid: 1, text: "theirs", flags: `\Deleted`}, {uid: 2, text: texts[4]}}, 2
	x := newTrial(t, s.dial, Options{})
	if _, _, err := x.apply(deadline(t), texts...); err != nil {
		t.Fatal(err)
	}
	s.letters[5].text += "changed" // some server may do so
	changed := s.letters[5].text
	undo := func(texts ...string) (*Undone, error) {
		e := New(x.dial, x.dir, "journal.jsonl", x.o, silent{}, slog.New(slog.DiscardHandler))
		defer e.Close(t.Context())
		return e.Undo(deadline(t), x.gather(Filter{}, texts...))
	}
	u, err := undo(texts[:28]...) // two are not on the disk any more
	if err != nil || u.Removed != 26 || len(u.Kept) != 3 {
		t.Fatalf("%+v, %v", u, err)
	}
	exactly(t, s.texts(), "theirs", texts[4], texts[28], texts[29], changed)
	if u, err = undo(texts...); err != nil || u.Removed != 2 || len(u.Kept) != 1 {
		t.Fatalf("again: %+v, %v", u, err)
	}
	exactly(t, s.texts(), "theirs", texts[4], changed)
}

func TestUndoWantsUIDPLUS(t *testing.T) {
	s := &server{caps: "LITERAL+"}
	x := newTrial(t, s.dial, Options{})
	if _, _, err := x.apply(deadline(t), plain(3)...); err != nil {
		t.Fatal(err)
	}
	e := New(x.dial, x.dir, "journal.jsonl", x.o, silent{}, slog.New(slog.DiscardHandler))
	defer e.Close(t.Context())
	if _, err := e.Undo(deadline(t), x.gather(Filter{}, plain(3)...)); !errors.Is(err, ErrCannotRemove) || len(s.letters) != 3 {
		t.Errorf("%v, %d left", err, len(s.letters))
	}
}

// stopping ends a context when so many messages were added.
type stopping struct {
	silent
	after  int
	cancel context.CancelFunc
}

func (s *stopping) Advance(n int, _ int64) {
	if s.after -= n; s.after <= 0 {
		s.cancel()
	}
}

func TestInterruptedRestoreGoesOn(t *testing.T) {
	for _, after := range []int{1, 2, 20, 100} {
		s := &server{caps: "LITERAL+ UIDPLUS"}
		x := newTrial(t, s.dial, Options{All: true})
		items := x.gather(Filter{}, plain(120)...)
		ctx, cancel := context.WithCancel(deadline(t))
		e := New(x.dial, x.dir, "journal.jsonl", x.o, &stopping{after: after, cancel: cancel}, slog.New(slog.DiscardHandler))
		err := e.Apply(ctx, items)
		e.Close(t.Context())
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("after %d: %v", after, err)
		}
		if items, _, err = x.apply(deadline(t), plain(120)...); err != nil {
			t.Fatal(err)
		}
		expect(t, items, map[Status]int{Added: 120})
		exactly(t, s.texts(), plain(120)...)
	}
}

// TestLongTextsAreNotHeldInMemory: reading, hashing and sending 48 MiB takes a few.
func TestLongTextsAreNotHeldInMemory(t *testing.T) {
	const size = 48 << 20
	text := func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("Subject: long\n\n"), io.LimitReader(lines{}, size))), nil
	}
	one := func(yield func(*salvage.Message, error) bool) {
		yield(&salvage.Message{Class: salvage.Current, Source: salvage.Source{Offset: -1}, Open: text}, nil)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	items, err := Gather(t.Context(), one, Filter{}, silent{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := items[0].text()
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, r)
	runtime.ReadMemStats(&after)
	if err != nil || n != items[0].Size || n < size {
		t.Errorf("%d of %d bytes, %v", n, items[0].Size, err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
		t.Errorf("%d bytes were allocated", used)
	}
}

// lines is an endless text.
type lines struct{}

func (lines) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "0123456789abcde\n"[i%16]
	}
	return len(p), nil
}

func TestNewMailboxesGetTheServersPrefix(t *testing.T) {
	box := func(names ...string) (l *imap.Listing) {
		l = &imap.Listing{Delimiter: "."}
		for _, n := range names {
			l.Mailboxes = append(l.Mailboxes, imap.Mailbox{Name: n})
		}
		return l
	}
	for _, c := range []struct {
		l    *imap.Listing
		want string
	}{{box("INBOX", "INBOX.Sent"), "INBOX.Back"}, {box("INBOX"), "Back"}, {box("INBOX", "Sent", "INBOX.x"), "Back"}, {&imap.Listing{}, "Back"}} {
		if got := prefixed(c.l, "Back"); got != c.want {
			t.Errorf("%v: %s, want %s", c.l.Mailboxes, got, c.want)
		}
	}
}

func TestUndoOfAMailboxThatIsGone(t *testing.T) {
	s := &server{caps: "LITERAL+ UIDPLUS", missing: true}
	x := newTrial(t, s.dial, Options{})
	if _, _, err := x.apply(deadline(t), plain(3)...); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.missing = true
	s.mu.Unlock()
	e := New(x.dial, x.dir, "journal.jsonl", x.o, silent{}, slog.New(slog.DiscardHandler))
	defer e.Close(t.Context())
	if u, err := e.Undo(deadline(t), x.gather(Filter{}, plain(3)...)); err != nil || u.Gone != 3 || u.Removed != 0 || !s.missing {
		t.Errorf("%+v, %v", u, err)
	}
}

// TestOtherMailboxIsNotTouched: where the mailbox was made anew, UIDs name other messages.
func TestOtherMailboxIsNotTouched(t *testing.T) {
	s := &server{caps: "LITERAL+ UIDPLUS"}
	x := newTrial(t, s.dial, Options{})
	if _, _, err := x.apply(deadline(t), plain(3)...); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.validity = 8
	s.mu.Unlock()
	e := New(x.dial, x.dir, "journal.jsonl", x.o, silent{}, slog.New(slog.DiscardHandler))
	defer e.Close(t.Context())
	if _, err := e.Undo(deadline(t), x.gather(Filter{}, plain(3)...)); !errors.Is(err, ErrOtherMailbox) || len(s.texts()) != 3 {
		t.Errorf("%v, %d left", err, len(s.texts()))
	}
}
