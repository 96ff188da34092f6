//go:build unix

package salvage

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dovemend/remote/remotetest/doveadm"
	"dovemend/repair/dovecot"
)

// realDovecot is a Dovecot that has a directory of ours as its mail.
type realDovecot struct {
	*doveadm.Account
	t *testing.T
}

// newRealDovecot prepares a directory, which holds what location says; %s in it is the directory.
func newRealDovecot(t *testing.T, location string) *realDovecot {
	t.Helper()
	d := &realDovecot{doveadm.New(t, location, ""), t}
	if err := os.Mkdir(filepath.Join(d.Dir, "out"), 0o700); err != nil {
		t.Fatal(err)
	}
	return d
}

// doveadm runs doveadm once everything belongs to its user. What it logs is an error.
func (d *realDovecot) doveadm(args ...string) string {
	d.t.Helper()
	d.Own()
	out, errs, ok := d.Run("", args...)
	if !ok || errs != "" {
		d.t.Errorf("doveadm %q: %s", args, errs)
	}
	return out
}

func (d *realDovecot) fetch(mailbox, fields string) []map[string]string {
	d.t.Helper()
	d.Own()
	rows, errs, ok := d.Fetch(mailbox, fields)
	if !ok || errs != "" {
		d.t.Errorf("doveadm fetch: %s", errs)
	}
	return rows
}

// forDovecot are messages with all flags, many keywords, and texts with both line ends.
func forDovecot() []*Message {
	var list []*Message
	for i := range 60 {
		text := fmt.Sprintf("Return-Path: <x@example.org>\nSubject: message %d\nMessage-ID: <%d@example.org>\n\n%s", i, i, strings.Repeat("From a line\n", i%5))
		if i%4 == 1 {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		if i%6 == 5 {
			text += "no line end"
		}
		m := &Message{Mailbox: []string{"INBOX", "Archive/2020", "Entwürfe & mehr", "a.b/c:d*e"}[i%4], Class: Current, UID: dovecot.UID(i/4 + 1), UIDValidity: 1600000000, GUID: guid(i),
			Flags: dovecot.Flags(i) & dovecot.FlagsIMAP, Received: at(i).Add(time.Duration(i) * time.Hour), Source: Source{"storage/m.1", int64(i)}, Open: texted(text)}
		for k := range i % 4 {
			m.Keywords = append(m.Keywords, []string{"$Forwarded", "Work", "NonJunk", fmt.Sprintf("label%d", i%7)}[(i+k)%4])
		}
		list = append(list, m)
	}
	return list
}

func TestDovecotReadsTheMaildirAsItIs(t *testing.T) {
	d := newRealDovecot(t, "maildir:%s/out/mailboxes")
	list := append(forDovecot(), some()[6:]...)
	write(t, filepath.Join(d.Dir, "out"), list, Options{Format: Maildir})
	boxes := strings.Fields(strings.ReplaceAll(d.doveadm("mailbox", "list"), " ", "_"))
	if want := []string{"Archive/2020", "Archive", "Entwürfe_&_mehr", "INBOX", "a%2Eb", "a%2Eb/c%3Ad%2Ae"}; !sameWords(boxes, want) {
		t.Errorf("mailboxes %q, want %q", boxes, want)
	}
	found := 0
	for name, dovecots := range map[string]string{"INBOX": "INBOX", "Archive/2020": "Archive/2020", "Entwürfe & mehr": "Entwürfe & mehr", "a.b/c:d*e": "a%2Eb/c%3Ad%2Ae"} {
		want := map[string]*Message{}
		for _, m := range list {
			if m.Mailbox == name && m.Class == Current {
				e := entryOf(m)
				text, err := copyText(t.Context(), m, discard{}, make([]byte, 1000))
				if err != nil {
					t.Fatal(err)
				}
				e.read(text)
				if e.Class == Current {
					base, _, _ := strings.Cut((&maildirFormat{}).fileName(m, e, identity(m), ""), ":")
					want[base] = m
				}
			}
		}
		rows := d.fetch(dovecots, "uid guid flags date.received size.physical size.virtual text")
		if len(rows) != len(want) {
			t.Errorf("%s: %d messages, want %d", name, len(rows), len(want))
		}
		for _, row := range rows {
			m := want[row["guid"]] // which is the file's name, as far as it does not change
			if m == nil {
				t.Errorf("%s: what is %q?", name, row["guid"])
				continue
			}
			found++
			text := string(readAll(t, m))
			flags := slices.DeleteFunc(strings.Fields(row["flags"]), func(s string) bool { return s == `\Recent` })
			if want := append(strings.Fields(m.Flags.String()), m.Keywords...); !sameWords(flags, want) {
				t.Errorf("%s: flags %q, want %q", row["guid"], flags, want)
			}
			virtual := dovecot.SizeCounter{}
			virtual.Write([]byte(text))
			if row["text"] != text || row["size.physical"] != fmt.Sprint(len(text)) || row["size.virtual"] != fmt.Sprint(virtual.Virtual) {
				t.Errorf("%s: got %q of %s, %s; want %q", row["guid"], row["text"], row["size.physical"], row["size.virtual"], text)
			}
			if got, want := row["date.received"], m.Received.Format("2006-01-02 15:04:05"); got != want {
				t.Errorf("%s: received %s, want %s", row["guid"], got, want)
			}
		}
	}
	if found != 60 {
		t.Errorf("%d messages were compared", found)
	}
	// Dovecot has numbered them, and made its own files: a run over it changes nothing.
	sum := write(t, filepath.Join(d.Dir, "out"), list, Options{Format: Maildir})
	if sum.Written != 0 || len(sum.Foreign) > 0 {
		t.Errorf("again: %+v", sum)
	}
	// Nor does it take back what the user did in the meantime.
	d.doveadm("flags", "add", `\Flagged later`, "mailbox", "INBOX", "all")
	sum = write(t, filepath.Join(d.Dir, "out"), list, Options{Format: Maildir})
	if sum.Written != 0 || len(sum.Foreign) > 0 {
		t.Errorf("after flags were set: %+v", sum)
	}
	for _, row := range d.fetch("INBOX", "uid flags") {
		if !strings.Contains(row["flags"], `\Flagged`) || !strings.Contains(row["flags"], "later") {
			t.Errorf("UID %s has flags %s", row["uid"], row["flags"])
		}
	}
}

func sameWords(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	for _, list := range [][]string{a, b} {
		for i := range list {
			list[i] = strings.ToLower(list[i])
		}
		slices.Sort(list)
	}
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

func readAll(t *testing.T, m *Message) []byte {
	t.Helper()
	var b strings.Builder
	if _, err := copyText(t.Context(), m, &b, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	return []byte(b.String())
}

func TestDovecotReadsTheOtherClassesToo(t *testing.T) {
	d := newRealDovecot(t, "maildir:%s/out/damaged")
	write(t, filepath.Join(d.Dir, "out"), some(), Options{Format: Maildir})
	rows := d.fetch("Work", "text")
	if len(rows) != 2 || !strings.HasSuffix(rows[0]["text"], "cut h") || !strings.HasSuffix(rows[1]["text"], "text up to ") {
		t.Errorf("%q", rows)
	}
}

func TestDovecotReadsTheMbox(t *testing.T) {
	d := newRealDovecot(t, "mbox:%s/mbox:INBOX=%s/out/mailboxes/INBOX.mbox")
	var list []*Message
	for _, m := range forDovecot() {
		if m.Mailbox == "INBOX" {
			list = append(list, m)
		}
	}
	write(t, filepath.Join(d.Dir, "out"), list, Options{Format: Mbox, Headers: true})
	rows := d.fetch("INBOX", "uid flags date.received hdr.subject")
	if len(rows) != len(list) {
		t.Fatalf("%d messages, want %d", len(rows), len(list))
	}
	for i, row := range rows {
		m := list[i]
		flags := slices.DeleteFunc(strings.Fields(row["flags"]), func(s string) bool { return s == `\Recent` })
		if want := append(strings.Fields(m.Flags.String()), m.Keywords...); !sameWords(flags, want) {
			t.Errorf("message %d: flags %q, want %q", i, flags, want)
		}
		if got, want := row["date.received"], m.Received.Format("2006-01-02 15:04:05"); got != want {
			t.Errorf("message %d: received %s, want %s", i, got, want)
		}
		if want := fmt.Sprintf("message %d", i*4); row["hdr.subject"] != want {
			t.Errorf("message %d: subject %q, want %q", i, row["hdr.subject"], want)
		}
	}
}
