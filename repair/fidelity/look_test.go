package fidelity

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"dovemend/remote/imap"
	"dovemend/remote/remotetest/fill"
	"dovemend/repair/probe"
)

// looks is how often the mailboxes are looked at at most: the first look may fail, and may make Dovecot change them.
const looks = 3

// dial logs in to the host's Dovecot.
func (h *host) dial(ctx context.Context) (*probe.Conn, error) {
	c, err := imap.Connect(ctx, imap.Config{Addr: h.IMAP(), Security: imap.None, Timeout: 30 * time.Second})
	if err != nil {
		return nil, err
	}
	return &probe.Conn{Client: c}, c.Login(ctx, h.Account(), h.Password())
}

// look reads all mailboxes of the account until two looks in a row tell the same, and then those that are new. After the first look the
// mailboxes are used as a mail program uses them, since some damage lies still until Dovecot writes; and where purging is said, an mdbox
// is purged, as hosts do at night: then what nothing refers to is gone for good.
func (h *host) look(t *testing.T, truth *fill.Truth, purging bool) map[string]probe.Reading {
	t.Helper()
	names := slices.Sorted(maps.Keys(truth.Mailboxes))
	readings := make(map[string]probe.Reading)
	take := func(names []string) {
		all, err := probe.Take(t.Context(), h.dial, names, probe.Options{Bodies: true}, nil)
		if err != nil {
			t.Fatalf("look at the mailboxes: %v", err)
		}
		for _, r := range all {
			readings[r.Mailbox] = r
		}
	}
	last := ""
	for i := 1; i <= looks; i++ {
		take(names)
		if i == 1 {
			_ = fill.Use(t.Context(), h.imap(), names) // what fails is in the log, and what is left is seen at the next look
			if purging && h.Layout() == "mdbox" {
				if _, err := h.Host.Doveadm(t.Context(), "purge", "-u", h.Account()); err != nil {
					t.Logf("purge: %v", err)
				}
			}
		}
		now := digest(readings)
		if now == last {
			break
		}
		last = now
	}
	if more := h.others(t, names); len(more) > 0 {
		take(more)
	}
	return readings
}

// others are the mailboxes that the truth does not name.
func (h *host) others(t *testing.T, known []string) []string {
	t.Helper()
	c, err := h.dial(t.Context())
	if err != nil {
		t.Fatalf("look at the mailboxes: %v", err)
	}
	defer c.Logout(t.Context())
	list, err := c.List(t.Context())
	if err != nil {
		t.Logf("list the mailboxes: %v", err)
		return nil
	}
	var names []string
	for _, m := range list.Mailboxes {
		name := m.Name
		if list.Delimiter != "" {
			name = strings.ReplaceAll(name, list.Delimiter, "/")
		}
		if !m.NoSelect && !slices.Contains(known, name) && !strings.HasPrefix(name, "dovemend-aside") {
			names = append(names, name)
		}
	}
	return names
}

// digest is all that is counted of some readings.
func digest(readings map[string]probe.Reading) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(readings)) {
		r := readings[name]
		fmt.Fprintln(&b, name, r.Opened, r.Complete, r.UIDValidity)
		for _, m := range r.Messages {
			fmt.Fprintln(&b, m.UID, m.Flags, m.Keywords, m.InternalDate, m.BodySHA256, m.BodyErr != "")
		}
	}
	return b.String()
}
