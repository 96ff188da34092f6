package probe_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dovemend/remote"
	"dovemend/remote/imap"
	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
	"dovemend/repair/probe"
)

var small = fill.Shape{Inbox: 12, Seen: 5, Work: 3, Expunged: 2, Moved: 3, Copied: 2, InSent: 3, InUmlauts: 3, InAside: 2}

// connect logs in to the host as dovemend does.
func connect(t *testing.T, h remotetest.Host) *remote.Host {
	t.Helper()
	c, err := remote.Dial(t.Context(), remote.Config{Target: h.User() + "@" + h.Addr(), Identities: []string{h.Identity()},
		KnownHosts: []string{h.KnownHosts()}, ConfigFile: "none", NoAgent: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// compareTruth compares readings with what the host's own daemon told when it was filled.
func compareTruth(t *testing.T, truth *fill.Truth, readings []probe.Reading) {
	t.Helper()
	for _, r := range readings {
		m := truth.Mailboxes[r.Mailbox]
		want := probe.Expected{UIDValidity: m.UIDValidity}
		for _, msg := range m.Messages {
			want.Messages = append(want.Messages, probe.Want{UID: msg.UID, Flags: msg.Flags, Keywords: msg.Keywords,
				InternalDate: msg.Date, Size: msg.Size, BodySHA256: hex.EncodeToString(msg.Sum[:])})
		}
		if d := probe.Compare(want, r); len(d) != 0 {
			t.Errorf("%s: %v", r.Mailbox, d)
		}
		if !r.OK() || r.Sorted != len(m.Messages) || len(r.Stderr) != 0 {
			t.Errorf("%s is not healthy: sorted %d, replies %+v, log %+v", r.Mailbox, r.Sorted, r.Replies, r.Stderr)
		}
	}
}

func names(truth *fill.Truth) (l []string) {
	for name := range truth.Mailboxes {
		l = append(l, name)
	}
	return l
}

func TestHostsOwnIMAPThroughSSHTellsTheTruth(t *testing.T) {
	tests := []struct {
		name string
		o    realhost.Options
	}{
		{"mdbox, sh", realhost.Options{Layout: "mdbox"}},
		{"sdbox, fish", realhost.Options{Layout: "sdbox", LoginShell: "/usr/bin/fish"}},
		{"maildir, tcsh", realhost.Options{Layout: "maildir", LoginShell: "/usr/bin/tcsh", Noise: "welcome to the host"}},
		{"maildir with LAYOUT=fs, bash", realhost.Options{Layout: "maildir", LayoutFS: true, LoginShell: "/bin/bash"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := remotetest.Real(t, remotetest.Options{Options: tt.o, Fill: &small})
			c := connect(t, h)
			dial := func(ctx context.Context) (*probe.Conn, error) {
				s, err := c.StartIMAP(ctx, remote.IMAPSpec{Layout: h.Layout(), MailRoot: h.MailRoot(), LayoutFS: h.LayoutFS()})
				if err != nil {
					return nil, err
				}
				client, err := imap.Preauth(ctx, s, time.Minute)
				if err != nil {
					return nil, err
				}
				return &probe.Conn{Client: client, Stderr: s.Stderr}, nil
			}
			got, err := probe.Take(t.Context(), dial, names(h.Truth), probe.Options{Bodies: true, Sort: true}, nil)
			if err != nil {
				t.Fatal(err)
			}
			compareTruth(t, h.Truth, got)
		})
	}
}

func TestPasswordLoginTellsTheTruthOverEachWay(t *testing.T) {
	h := remotetest.Real(t, remotetest.Options{Options: realhost.Options{Layout: "maildir"}, Fill: &small})
	c := connect(t, h)
	tests := []struct {
		name string
		cfg  imap.Config
	}{
		{"tls", imap.Config{Addr: h.IMAPS(), Security: imap.TLS}},
		{"starttls", imap.Config{Addr: h.IMAP(), Security: imap.StartTLS}},
		{"none to loopback", imap.Config{Addr: h.IMAP(), Security: imap.None}},
		{"none through SSH", imap.Config{Addr: h.IMAP(), Security: imap.None, Dial: c.DialTCP}},
		{"tls through SSH", imap.Config{Addr: h.IMAPS(), Security: imap.TLS, Dial: c.DialTCP}},
		{"starttls through SSH", imap.Config{Addr: h.IMAP(), Security: imap.StartTLS, Dial: c.DialTCP}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.CAFile, tt.cfg.Timeout = h.CA(), time.Minute
			dial := func(ctx context.Context) (*probe.Conn, error) {
				client, err := imap.Connect(ctx, tt.cfg)
				if err != nil {
					return nil, err
				}
				return &probe.Conn{Client: client}, client.Login(ctx, h.Account(), h.Password())
			}
			got, err := probe.Take(t.Context(), dial, names(h.Truth), probe.Options{Bodies: true, Sort: true}, nil)
			if err != nil {
				t.Fatalf("%v (%+v)", err, imap.Explain(err))
			}
			compareTruth(t, h.Truth, got)
		})
	}
}

func TestWrongPasswordAndConnectionLimitAreExplained(t *testing.T) {
	h := remotetest.Real(t, remotetest.Options{Options: realhost.Options{Layout: "maildir", MaxUserIP: 2}})
	open := func(password string) (*imap.Client, error) {
		client, err := imap.Connect(t.Context(), imap.Config{Addr: h.IMAP(), Security: imap.None, Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		return client, client.Login(t.Context(), h.Account(), password)
	}
	_, err := open("wrong-" + h.Password())
	if x := imap.Explain(err); x.Class != imap.ClassPassword || x.Whose != imap.WhoseAccount {
		t.Errorf("wrong password: %v, %+v", err, x)
	}
	for range 2 {
		if _, err := open(h.Password()); err != nil {
			t.Fatal(err)
		}
	}
	_, err = open(h.Password())
	if x := imap.Explain(err); x.Class != imap.ClassConnectionLimit || x.Limit != 2 {
		t.Errorf("third connection: %v, %+v", err, x)
	}
}

func TestStartIMAPTellsWhyItCannot(t *testing.T) {
	h := remotetest.Real(t, remotetest.Options{Options: realhost.Options{Layout: "mdbox"}, Fill: &small})
	c := connect(t, h)
	_, err := c.StartIMAP(t.Context(), remote.IMAPSpec{Layout: "mdbox", MailRoot: h.MailRoot(), Binary: "/nowhere/imap"})
	var missing *remote.NoIMAPBinaryError
	if !errors.As(err, &missing) || len(missing.Looked) != 1 || missing.Looked[0] != "/nowhere/imap" {
		t.Errorf("binary that is not there: %v", err)
	}
	gone := filepath.Join(filepath.Dir(h.MailRoot()), "gone")
	_, err = c.StartIMAP(t.Context(), remote.IMAPSpec{Layout: "mdbox", MailRoot: gone})
	var start *remote.IMAPStartError
	if !errors.As(err, &start) || !strings.Contains(start.Log, "mail root") {
		t.Errorf("mail root that is not there: %v", err)
	}
	s, err := c.StartIMAP(t.Context(), remote.IMAPSpec{Layout: "mdbox", MailRoot: h.MailRoot()})
	if err != nil {
		t.Fatal(err)
	}
	if s.Binary == "" {
		t.Error("the session does not name its binary")
	}
	done := make(chan struct{})
	go func() { defer close(done); s.Close() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("Close hangs")
	}
	if log, _ := s.Stderr(0); !bytes.Contains(log, []byte("Disconnected")) {
		t.Errorf("log = %q", log)
	}
}

func TestLogOfTheHostIsSeenForADamagedMailbox(t *testing.T) {
	h := remotetest.Real(t, remotetest.Options{Options: realhost.Options{Layout: "mdbox"}, Fill: &small})
	c := connect(t, h)
	remotetest.Damage(t, h, "INBOX", "map-missing", 1)
	dial := func(ctx context.Context) (*probe.Conn, error) {
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
	got, err := probe.Take(t.Context(), dial, []string{"INBOX"}, probe.Options{Bodies: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got[0].Stderr) == 0 || got[0].OK() {
		t.Errorf("reading = %+v", got[0])
	}
	for _, line := range got[0].Stderr {
		t.Logf("%s: %s", line.Class, line.Text)
	}
}
