package repair

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dovemend/remote"
	"dovemend/remote/imap"
	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/damage"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
	"dovemend/repair/check"
	"dovemend/repair/plan"
	"dovemend/repair/probe"
	"dovemend/repair/reconstruct"
)

// TestForecastsComeTrueOnRealDovecot breaks an INBOX in every way of the table of damages, reads what is foretold of it,
// does it, and reads the truth over IMAP: never may more be lost than was foretold. Without DOVEMEND_TEST_FULL=1 it does
// a choice of them.
func TestForecastsComeTrueOnRealDovecot(t *testing.T) {
	full := os.Getenv("DOVEMEND_TEST_FULL") != ""
	for _, l := range []struct {
		name    string
		o       realhost.Options
		quickly []string // kinds done by default
	}{
		{"mdbox", realhost.Options{Layout: "mdbox"}, nil},
		{"mdbox rotated", realhost.Options{Layout: "mdbox", RotateLogs: true}, []string{"", "index-header-garbage", "log-garbage", "map-missing"}},
		{"sdbox", realhost.Options{Layout: "sdbox"}, []string{"log-header-garbage"}},
		{"sdbox rotated", realhost.Options{Layout: "sdbox", RotateLogs: true}, []string{"index-records-garbage", "log-cut", "message-half"}},
		{"maildir", realhost.Options{Layout: "maildir"}, nil},
		{"maildir rotated", realhost.Options{Layout: "maildir", RotateLogs: true}, []string{"index-records-garbage", "uidlist-cut"}},
		{"fs", realhost.Options{Layout: "maildir", LayoutFS: true}, nil},
		{"fs rotated", realhost.Options{Layout: "maildir", LayoutFS: true, RotateLogs: true}, nil},
	} {
		kinds := l.quickly
		if full {
			kinds = append([]string{""}, damage.Kinds(l.o.Layout)...)
		}
		if len(kinds) == 0 {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			h := newForecastHost(t, l.o)
			for _, kind := range kinds {
				for _, arm := range []string{"left alone", "drop-index"} {
					t.Run(fmt.Sprintf("%s/%s", kind, arm), func(t *testing.T) { h.test(t, kind, arm) })
				}
			}
		})
	}
}

// forecastHost is a real host whose mail root is broken and put back again and again.
type forecastHost struct {
	*remotetest.RealHost
	saved string
	truth map[string]fill.Message // INBOX by text
	rest  *fill.Truth
}

func newForecastHost(t *testing.T, o realhost.Options) *forecastHost {
	t.Helper()
	h := &forecastHost{RealHost: remotetest.Real(t, remotetest.Options{Options: o, Fill: &fill.Shape{}, NoCanaries: true})}
	h.saved = filepath.Join(t.TempDir(), "saved")
	h.kick(t)
	h.copy(t, h.MailRoot(), h.saved)
	h.truth, h.rest = map[string]fill.Message{}, &fill.Truth{Mailboxes: map[string]*fill.Mailbox{}}
	for name, m := range h.Truth.Mailboxes {
		if name != fill.Inbox {
			h.rest.Mailboxes[name] = m
		}
	}
	for _, m := range h.Truth.Mailboxes[fill.Inbox].Messages {
		h.truth[hex.EncodeToString(m.Sum[:])] = m
	}
	return h
}

func (h *forecastHost) kick(t *testing.T) {
	t.Helper()
	_, _ = h.Host.Doveadm(t.Context(), "kick", "*") // it fails where there are none
	for range 100 {
		out, err := h.Host.Doveadm(t.Context(), "who", "-1")
		if err != nil || strings.Count(string(out), "\n") <= 1 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (h *forecastHost) copy(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
}

// restore puts the mail root back to what it was.
func (h *forecastHost) restore(t *testing.T) {
	t.Helper()
	h.kick(t)
	if err := os.RemoveAll(h.MailRoot()); err != nil {
		t.Fatal(err)
	}
	h.copy(t, h.saved, h.MailRoot())
}

// begin copies and examines the mailbox as dovemend does.
func (h *forecastHost) begin(t *testing.T, all bool) *Run {
	t.Helper()
	s, err := Connect(t.Context(), Options{StateDir: filepath.Join(t.TempDir(), "state"), Account: h.Account(), All: all, AcceptLoss: plan.Losses(),
		Remote: remote.Config{Target: h.User() + "@" + h.Addr(), Identities: []string{h.Identity()}, KnownHosts: []string{h.KnownHosts()},
			ConfigFile: "none", NoAgent: true},
		Quiesce: remote.QuiesceOptions{Settle: 50 * time.Millisecond}, IMAP: IMAPOptions{Preauth: true}}, Silent{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	account, boxes, err := s.Choose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.NewRun(t.Context(), "repair", account, boxes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if _, err := r.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Examine(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (h *forecastHost) test(t *testing.T, kind, arm string) {
	h.restore(t)
	var broken []string
	if kind != "" {
		var err error
		broken, err = damage.Do(damage.Target{MailRoot: h.MailRoot(), Layout: h.Layout(), LayoutFS: h.LayoutFS(), Mailbox: "INBOX"}, kind, 7)
		if errors.Is(err, fs.ErrNotExist) {
			return // an index whose log was never rotated may not have been written yet
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r := h.begin(t, false)
	report := r.reports[0]
	offers, err := r.Offers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	foretold := report.AsIs
	if arm == "left alone" {
		// Dovecot keeps no sums: noise inside a text, in mdbox storage or in the cache, is not seen by anybody.
		h.wantFindings(t, slices.Concat(report.Findings, r.shared), broken, kind == "cache-garbage" || kind == "message-garbage" && h.Layout() == "mdbox")
		for _, f := range report.Findings {
			t.Logf("%s %s %s@%d: %s | %s | %s | %s", f.Severity, f.Rule, f.File, f.Offset, f.Text, f.Effect, f.Cure, f.Advice)
		}
		for _, o := range offers {
			if o.Recommended {
				t.Logf("recommended: %s %v: %s", o.Remedy, o.Costs, o.Why)
			}
		}
	} else {
		foretold = report.NoIndex
		p, err := r.Plan(t.Context(), plan.DropIndex)
		var no *plan.NoCopyError
		if errors.As(err, &no) {
			t.Logf("refused: %v", err)
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Steps) == 0 {
			return // nothing to remove: the same as left alone
		}
		if err := r.Apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		v, err := r.Verify(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(v.Files) > 0 {
			t.Errorf("the files are not as planned: %q", v.Files)
		}
		// What is wrong with messages themselves, or the storage, is told by the verification too, and rightly.
		if !v.OK && !strings.HasPrefix(kind, "message-") && !strings.HasPrefix(kind, "map-") {
			t.Errorf("what was foretold is not what verification found: %+v", v.Boxes)
		}
	}
	h.look(t)
	want := loss{foretold.Gone, foretold.Flags, foretold.Keywords, foretold.UIDs}
	got := h.compare(t, kind, report, broken, h.look(t))
	// A Maildir may number a message twice, and a session that sees it happen does not show the message: what counts is what stays.
	for tries := 0; tries < 2 && got.exceeds(want); tries++ {
		got = h.compare(t, kind, report, broken, h.look(t))
	}
	t.Logf("TABLE %-45s verdict %-20s foretold %v lost %v", strings.TrimPrefix(t.Name(), "TestForecastsComeTrueOnRealDovecot/"), foretold.Verdict, want, got)
	if got.exceeds(want) {
		t.Errorf("more was lost than foretold: foretold %v, lost %v", want, got)
	}
}

// wantFindings wants a finding that names each broken file, and none above a note where nothing is broken.
func (h *forecastHost) wantFindings(t *testing.T, found []check.Finding, broken []string, inText bool) {
	t.Helper()
	if len(broken) == 0 {
		for _, f := range found {
			if f.Severity != check.Note {
				t.Errorf("a healthy mailbox has a finding: %+v", f)
			}
		}
	}
	named := slices.ContainsFunc(broken, func(p string) bool {
		rel, _ := filepath.Rel(h.MailRoot(), p)
		return slices.ContainsFunc(found, func(f check.Finding) bool {
			base, _, flags := strings.Cut(rel, ":2,") // once a Maildir's file is gone, its flags are not known
			return string(f.File) == rel || flags && string(f.File) == base
		})
	})
	if len(broken) > 0 && !named && !inText {
		t.Errorf("no finding names one of %q", broken)
	}
}

// look reads all mailboxes over IMAP, as far as they can be read.
func (h *forecastHost) look(t *testing.T) []probe.Reading {
	t.Helper()
	dial := func(ctx context.Context) (*probe.Conn, error) {
		c, err := imap.Connect(ctx, imap.Config{Addr: h.IMAP(), Security: imap.None, Timeout: 30 * time.Second})
		if err != nil {
			return nil, err
		}
		return &probe.Conn{Client: c}, c.Login(ctx, h.Account(), h.Password())
	}
	names := []string{fill.Inbox}
	names = append(names, slices.Sorted(maps.Keys(h.rest.Mailboxes))...)
	all, err := probe.Take(t.Context(), dial, names, probe.Options{Bodies: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// loss counts messages that are gone, and those that are there and have lost something.
type loss struct{ gone, flags, keywords, uids int }

func (l loss) exceeds(most loss) bool {
	return l.gone > most.gone || l.flags > most.flags || l.keywords > most.keywords || l.uids > most.uids
}

// compare counts what the INBOX lacks of what its copy told, and names what the other mailboxes lack.
func (h *forecastHost) compare(t *testing.T, kind string, r *check.Report, broken []string, now []probe.Reading) loss {
	t.Helper()
	inbox := now[0]
	if !inbox.Opened && len(r.State.Unread) == 0 {
		t.Errorf("INBOX cannot be opened: %+v", inbox.Replies)
	}
	sums := map[string]probe.Message{}
	uids := map[uint32]probe.Message{}
	for _, m := range inbox.Messages {
		sums[m.BodySHA256] = m
		uids[m.UID] = m
	}
	was := map[uint32]string{}
	for sum, m := range h.truth {
		was[m.UID] = sum
	}
	var l loss
	for _, m := range r.State.Messages {
		if m.Lost || m.Stray {
			continue
		}
		got, ok := sums[was[uint32(m.UID)]]
		if !ok && (inbox.UIDValidity == r.State.UIDValidity || h.Layout() == "sdbox") {
			// Its text is damaged, or the message had been expunged and is back. In sdbox the UID is the file's name.
			got, ok = uids[uint32(m.UID)]
			ok = ok && (h.truth[got.BodySHA256].UID == 0 || h.truth[got.BodySHA256].UID == uint32(m.UID))
		}
		if !ok && slices.Contains(broken, filepath.Join(h.MailRoot(), string(m.File))) {
			// With its text changed and a new UID: the one that nothing is known of.
			i := slices.IndexFunc(inbox.Messages, func(b probe.Message) bool {
				return h.truth[b.BodySHA256].UID == 0 && !slices.ContainsFunc(r.State.Messages, func(m reconstruct.Message) bool { return uint32(m.UID) == b.UID })
			})
			if ok = i >= 0; ok {
				got = inbox.Messages[i]
			}
		}
		if !ok && was[uint32(m.UID)] == "" || m.UID == 0 {
			continue // nothing tells which one it is
		}
		if !ok {
			t.Logf("gone: UID %d, text %.8s; under this UID now: %+v", m.UID, was[uint32(m.UID)], uids[uint32(m.UID)])
			l.gone++
			continue
		}
		if slices.ContainsFunc(strings.Fields((m.Flags & 0x1f).String()), func(f string) bool { return !slices.Contains(got.Flags, f) }) {
			l.flags++
		}
		if slices.ContainsFunc(m.Keywords, func(k string) bool { return !slices.Contains(got.Keywords, k) }) {
			l.keywords++
		}
		if inbox.UIDValidity != r.State.UIDValidity || got.UID != uint32(m.UID) {
			l.uids++
		}
	}
	for _, b := range now[1:] {
		for _, d := range h.others(b) {
			if strings.HasPrefix(kind, "message-") || strings.HasPrefix(kind, "map-") {
				t.Logf("another mailbox suffers from the damage too: %s: %s", b.Mailbox, d.Text)
			} else {
				t.Errorf("another mailbox was harmed: %s: %s", b.Mailbox, d.Text)
			}
		}
	}
	return l
}

// others is what another mailbox has lost.
func (h *forecastHost) others(now probe.Reading) []probe.Difference {
	want := probe.Expected{UIDValidity: h.rest.Mailboxes[now.Mailbox].UIDValidity, MayGrow: true}
	for _, m := range h.rest.Mailboxes[now.Mailbox].Messages {
		want.Messages = append(want.Messages, probe.Want{UID: m.UID, Flags: m.Flags, Keywords: m.Keywords, BodySHA256: hex.EncodeToString(m.Sum[:])})
	}
	return probe.Compare(want, now)
}
