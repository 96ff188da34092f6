package probe_test

import (
	"context"
	"fmt"
	"os"
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
	"dovemend/repair/probe"
)

// hit does a kind of damage to one file of the host's INBOX: the first seed is taken that hits it, which copies tell.
func hit(t *testing.T, h *remotetest.RealHost, kind, name string) {
	t.Helper()
	trial := t.TempDir()
	if err := os.CopyFS(trial, os.DirFS(h.MailRoot())); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(2000) {
		changes, err := damage.Break(damage.Target{MailRoot: trial, Layout: h.Layout()}, kind, seed)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(changes[0].File) == name {
			remotetest.Damage(t, h, "INBOX", kind, seed)
			return
		}
	}
	t.Fatalf("no seed damages %s", name)
}

func TestPoisonThatCrashesTheHostsProcessesIsFoundOverTheLogin(t *testing.T) {
	findCrashers(t, func(h *remotetest.RealHost) probe.Dialer {
		return func(ctx context.Context) (*probe.Conn, error) {
			client, err := imap.Connect(ctx, imap.Config{Addr: h.IMAPS(), Security: imap.TLS, CAFile: h.CA(), Timeout: time.Minute})
			if err != nil {
				return nil, err
			}
			return &probe.Conn{Client: client}, client.Login(ctx, h.Account(), h.Password())
		}
	})
}

func TestPoisonThatCrashesTheHostsOwnIMAPIsFoundWithItsLog(t *testing.T) {
	findCrashers(t, func(h *remotetest.RealHost) probe.Dialer {
		c := connect(t, h)
		return func(ctx context.Context) (*probe.Conn, error) {
			s, err := c.StartIMAP(ctx, remote.IMAPSpec{Layout: h.Layout(), MailRoot: h.MailRoot()})
			if err != nil {
				return nil, err
			}
			client, err := imap.Preauth(ctx, s, time.Minute)
			if err != nil {
				return nil, err
			}
			return &probe.Conn{Client: client, Stderr: s.Stderr}, nil
		}
	})
}

func findCrashers(t *testing.T, dialer func(*remotetest.RealHost) probe.Dialer) {
	h := remotetest.Real(t, remotetest.Options{Options: realhost.Options{Layout: "sdbox", MaxUserIP: 3}, Fill: &fill.Shape{Inbox: 30, Seen: 11}})
	var uids []uint32
	for _, m := range h.Truth.Mailboxes["INBOX"].Messages {
		uids = append(uids, m.UID)
	}
	bad := []uint32{uids[0], uids[len(uids)/2], uids[len(uids)-1]}
	for _, uid := range bad {
		hit(t, h, "message-garbage", fmt.Sprint("u.", uid))
	}
	dial := dialer(h)
	// Of a batch that is well it is seen cheaply, on a connection that is given, although others beside it are poison.
	conn, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	logged := conn.Stderr != nil
	well, err := probe.Find(t.Context(), dial, "INBOX", probe.FindOptions{UIDs: uids[1:10], Conn: conn, ServerName: "INBOX",
		Looks: []imap.Look{imap.LookEnvelope, imap.LookBodyStructure, imap.LookBody, imap.LookSearchText}})
	if err != nil || !well.Healthy() || well.RoundTrips > 6 || well.Connections != 0 {
		t.Errorf("%d round trips, %d connections, %v: %s", well.RoundTrips, well.Connections, err, well.Text)
	}
	got, err := probe.Find(t.Context(), dial, "INBOX", probe.FindOptions{Pause: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d round trips, %d connections: %s", got.RoundTrips, got.Connections, got.Text)
	if found := slices.Sorted(slices.Values(got.UIDs())); !slices.Equal(found, bad) {
		t.Errorf("found %v, want %v", found, bad)
	}
	for _, p := range got.Poison {
		seen := slices.ContainsFunc(p.Log, func(l probe.Reply) bool { return l.Class == imap.ClassCrash })
		if !p.Crash || seen != logged || p.Verdict != probe.BlameMessageMaybe {
			t.Errorf("%+v", p)
		}
	}
	if got.Connections > 30 {
		t.Errorf("%d connections", got.Connections)
	}
	if !logged && !strings.Contains(h.DovecotLog(), "Panic") {
		t.Error("nothing crashed")
	}
	// Nothing became seen.
	for _, m := range h.Truth.Mailboxes["INBOX"].Messages {
		seen := slices.ContainsFunc(m.Flags, func(f string) bool { return strings.EqualFold(f, `\Seen`) })
		out := h.Doveadm(t, "fetch", "-u", h.Account(), "flags", "mailbox", "INBOX", "uid", fmt.Sprint(m.UID))
		if strings.Contains(out, `\Seen`) != seen {
			t.Errorf("UID %d: was seen: %v, is %q", m.UID, seen, out)
		}
	}
}
