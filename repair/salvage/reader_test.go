package salvage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"dovemend/repair/dovecot"
)

// told is what a reader told of a message, and its text.
type told struct {
	mailbox  string
	class    Class
	flags    string
	keywords string
	received string
	guid     string
	text     string
	err      string
}

func readBack(t testing.TB, name string) (all []told, r *Reader) {
	t.Helper()
	r, err := OpenReader(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	for m, err := range r.Messages(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		x := told{mailbox: m.Mailbox, class: m.Class, flags: m.Flags.String(), keywords: strings.Join(m.Keywords, " "), received: timeText(m.Received)}
		if !m.GUID.IsZero() {
			x.guid = m.GUID.String()
		}
		text, err := m.Open()
		if err == nil {
			var b []byte
			b, err = io.ReadAll(text)
			x.text = string(b)
			text.Close()
		}
		if err != nil {
			x.err = err.Error()
		}
		all = append(all, x)
	}
	return all, r
}

func lay(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Date(2021, 2, 3, 4, 5, 6, 0, time.UTC)
		if err := os.Chtimes(p, when, when); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestReaderReadsWhatWasWritten: whatever the format, what comes back is what was written.
func TestReaderReadsWhatWasWritten(t *testing.T) {
	when := time.Date(2020, 5, 8, 9, 10, 11, 0, time.UTC)
	texts := []string{"Subject: a\r\n\r\nFrom here\r\n>From there\r\n>>From afar\r\n\r\nFrom x Fri May  8 09:10:11 2020\r\n", "Subject: b\n\nno end", "Status: RO\nX-Keywords: theirs\nSubject: c\n\n\n\n",
		"Subject: d\n\n" + strings.Repeat("long line ", 20_000) + "\n", "\nno header", strings.Repeat(">", 5000) + "From \n"}
	var messages []*Message
	for i, text := range texts {
		m := &Message{Mailbox: "Entwürfe/Alt", Class: Current, UID: dovecot.UID(i + 1), UIDValidity: 5, Flags: dovecot.FlagSeen | dovecot.FlagFlagged, Keywords: []string{"$Label1", "Work"},
			Received: when.Add(time.Duration(i) * time.Hour), Source: Source{File: "x", Offset: int64(i)}, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
		m.GUID[0] = byte(i + 1)
		if i == 3 {
			m.Mailbox, m.Class = "INBOX", Expunged
		}
		messages = append(messages, m)
	}
	for _, o := range []Options{{Format: EML}, {Format: Mbox}, {Format: Mbox, Headers: true}, {Format: Maildir}} {
		for _, index := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s headers=%v index=%v", o.Format, o.Headers, index), func(t *testing.T) {
				if o.Format == Maildir && runtime.GOOS == "windows" {
					t.Skip("no Maildir on Windows")
				}
				dir := t.TempDir()
				root, err := os.OpenRoot(dir)
				if err != nil {
					t.Fatal(err)
				}
				defer root.Close()
				if _, err := Write(t.Context(), root, func(yield func(*Message, error) bool) {
					for _, m := range messages {
						if !yield(m, nil) {
							return
						}
					}
				}, o); err != nil {
					t.Fatal(err)
				}
				if !index {
					if err := root.Remove("index.json"); err != nil {
						t.Fatal(err)
					}
				}
				got, r := readBack(t, dir)
				if n, names := r.Skipped(); n != 0 {
					t.Errorf("skipped %q", names)
				}
				if len(got) != len(messages) {
					t.Fatalf("got %d of %d", len(got), len(messages))
				}
				for i, m := range messages {
					j := slices.IndexFunc(got, func(x told) bool { return x.text == texts[i] })
					if j < 0 {
						t.Errorf("message %d: its text did not come back", i)
						continue
					}
					want := told{mailbox: m.Mailbox, class: m.Class, flags: `\Flagged \Seen`, keywords: "$Label1 Work", received: timeText(m.Received), guid: m.GUID.String(), text: texts[i]}
					if o.Format == Maildir && !index { // then only file names tell
						want.guid, want.class = "", Current
					}
					if got[j] != want {
						got[j].text, want.text = "", ""
						t.Errorf("message %d: got %+v, want %+v", i, got[j], want)
					}
				}
			})
		}
	}
}

const xmlPlist = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>conversation-id</key><integer>12</integer>
	<key>nested</key><dict><key>flags</key><integer>2</integer></dict>
	<key>date-received</key><integer>1588929011</integer>
	<key>flags</key><integer>%d</integer>
	<key>subject</key><string>x &amp; y</string>
</dict>
</plist>
`

func emlx(text, properties string) string {
	return fmt.Sprintf("%-10d\n%s%s", len(text), text, properties)
}

// binaryProperties is a property list as Apple's programs write it: two keys, an integer and a real.
func binaryProperties(flags int64, received float64) string {
	var b bytes.Buffer
	var offsets []byte
	object := func(o ...byte) { offsets = append(offsets, byte(b.Len())); b.Write(o) }
	b.WriteString("bplist00")
	object(0xd2, 1, 2, 3, 4)
	object(append([]byte{0x55}, "flags"...)...)
	object(append([]byte{0x5d}, "date-received"...)...)
	object(binary.BigEndian.AppendUint64([]byte{0x13}, uint64(flags))...)
	object(binary.BigEndian.AppendUint64([]byte{0x23}, math.Float64bits(received))...)
	table := b.Len()
	b.Write(offsets)
	trailer := make([]byte, 32)
	trailer[6], trailer[7], trailer[15], trailer[31] = 1, 1, 5, byte(table)
	b.Write(trailer)
	return b.String()
}

func TestReaderReadsAppleMail(t *testing.T) {
	text := "Received: by x; Fri, 1 May 2020 00:00:00 +0200\nSubject: x\n\nbody\n"
	dir := lay(t, map[string]string{
		"V7/ABC/Work.mbox/Done.mbox/GUID/Data/Messages/1.emlx":       emlx(text, fmt.Sprintf(xmlPlist, 1|1<<4|1<<8|1<<25)),
		"V7/ABC/Work.mbox/Done.mbox/GUID/Data/Messages/2.emlx":       emlx(text, binaryProperties(1<<2|1<<6, 1588929011)),
		"V7/ABC/INBOX.mbox/GUID/Data/Messages/3.partial.emlx":        emlx(text, fmt.Sprintf(xmlPlist, 0)),
		"V7/ABC/INBOX.mbox/GUID/Data/Messages/4.emlx":                emlx(text, fmt.Sprintf(xmlPlist, 1|1<<1)),
		"V7/ABC/INBOX.mbox/GUID/Data/Messages/5.emlx":                emlx(text, "<plist"),
		"V7/ABC/INBOX.mbox/GUID/Data/Messages/6.emlx":                emlx(text, "")[:30],
		"V7/ABC/INBOX.mbox/GUID/Data/Messages/7.emlx":                "Subject: no length\n\n",
		"V7/ABC/INBOX.mbox/GUID/Data/Messages/8.emlx":                "",
		"V7/ABC/INBOX.mbox/GUID/Data/Attachments/3/1.2/picture.jpeg": "\xff\xd8",
	})
	got, r := readBack(t, dir)
	const at = "2020-05-08T09:10:11Z"
	want := []told{
		{mailbox: "INBOX", class: Damaged, received: at, text: text},
		{mailbox: "INBOX", class: Expunged, flags: `\Seen`, received: at, text: text},
		{mailbox: "INBOX", class: Current, received: "2020-04-30T22:00:00Z", text: text},
		{mailbox: "INBOX", class: Damaged, received: "2021-02-03T04:05:06Z", text: text[:30-11]},
		{mailbox: "INBOX", class: Damaged, err: "its first line is not the message's length"},
		{mailbox: "INBOX", class: Damaged, err: "its first line is not the message's length"},
		{mailbox: "Work/Done", class: Current, flags: `\Flagged \Seen`, keywords: "$Forwarded $NotJunk", received: at, text: text},
		{mailbox: "Work/Done", class: Current, flags: `\Answered \Draft`, received: at, text: text},
	}
	if len(got) != len(want) {
		t.Fatalf("got %d: %+v", len(got), got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%d: got %+v\nwant %+v", i, got[i], want[i])
		}
	}
	if n, names := r.Skipped(); n != 1 || !strings.Contains(names[0], "picture.jpeg") {
		t.Errorf("skipped %d: %q", n, names)
	}
	one, r := readBack(t, filepath.Join(dir, "V7/ABC/INBOX.mbox/GUID/Data/Messages/4.emlx"))
	if len(one) != 1 || r.Kind != "a message of Apple Mail" {
		t.Errorf("one: %+v, %s", one, r.Kind)
	}
}

func TestReaderReadsMboxOfOtherPrograms(t *testing.T) {
	mbox := "From MAILER-DAEMON Fri May  8 09:10:11 2020\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\n\ninternal\n\n" +
		"From a@b Fri May  8 09:10:11 2020\nSubject: one\nStatus: RO\nX-Status: FA\nX-Keywords: $Label1   Work\n  more\nX-UID: 7\nContent-Length: 12\n\n>From here\nFrom nowhere at all\n\nFrom now on\n\n" +
		"From a b c@d Fri May  8 11:10:11 2020 +0200\r\nSubject: two\r\n\r\nend\r\n\r\n" +
		"From - Fri May  8 09:10 2020\nSubject: three\n\nno end"
	dir := lay(t, map[string]string{"Mail/Inbox": mbox, "Mail/Inbox.msf": "// index", "Mail/Work.mbox/mbox": "From a Fri May  8 09:10:11 2020\n\nx\n"})
	got, r := readBack(t, dir)
	const at = "2020-05-08T09:10:11Z"
	want := []told{
		{mailbox: "Mail/Inbox", class: Current, flags: `\Answered \Flagged \Seen`, keywords: "$Label1 Work more", received: at, text: "Subject: one\n\nFrom here\nFrom nowhere at all\n\nFrom now on\n"},
		{mailbox: "Mail/Inbox", class: Current, received: at, text: "Subject: two\r\n\r\nend\r\n"},
		{mailbox: "Mail/Inbox", class: Current, received: "2020-05-08T09:10:00Z", text: "Subject: three\n\nno end"},
		{mailbox: "Mail/Work", class: Current, received: at, text: "\nx\n"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if n, names := r.Skipped(); n != 1 {
		t.Errorf("skipped %q", names)
	}
}

func TestReaderReadsMaildir(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no Maildir on Windows")
	}
	dir := lay(t, map[string]string{
		"cur/1588929011.M1.h,S=9:2,FSb": "A: b\n\nx\n", "new/1588929012.M2.h": "A: c\n\n", "tmp/1.x": "half", "dovecot-keywords": "0 Junk\n1 $Label1\n",
		".Entw&APw-rfe.Alt/cur/1.x:2,": "A: d\n\n", ".Entw&APw-rfe.Alt/new/.keep": "", ".Entw&APw-rfe.Alt/maildirfolder": "", "dovecot.index.log": "x"})
	got, r := readBack(t, dir)
	const at = "2021-02-03T04:05:06Z"
	want := []told{
		{mailbox: "INBOX", class: Current, flags: `\Flagged \Seen`, keywords: "$Label1", received: at, text: "A: b\n\nx\n"},
		{mailbox: "INBOX", class: Current, received: at, text: "A: c\n\n"},
		{mailbox: "Entwürfe/Alt", class: Current, received: at, text: "A: d\n\n"},
	}
	if !slices.Equal(got, want) || r.Kind != "a Maildir" {
		t.Errorf("%s: got %+v", r.Kind, got)
	}
}

func TestReaderReadsAMessageByItself(t *testing.T) {
	dir := lay(t, map[string]string{"a.eml": "Date: Fri, 8 May 2020 11:10:11 +0200\n\nx\n", "note": "Subject: x\n\n", "photo.jpg": "\xff\xd8\xff", "empty": ""})
	got, _ := readBack(t, filepath.Join(dir, "a.eml"))
	if len(got) != 1 || got[0].received != "2020-05-08T09:10:11Z" || got[0].mailbox != "" {
		t.Errorf("got %+v", got)
	}
	if got, _ := readBack(t, filepath.Join(dir, "note")); len(got) != 1 {
		t.Errorf("a file that begins as a message: %+v", got)
	}
	for _, name := range []string{"photo.jpg", "empty"} {
		var none *NoMailError
		if _, err := OpenReader(filepath.Join(dir, name)); !errors.As(err, &none) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := OpenReader(filepath.Join(dir, "nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
}

func TestReaderStaysInItsFolder(t *testing.T) {
	secret := lay(t, map[string]string{"secret.eml": "Subject: secret\n\n", "dir/x.eml": "Subject: secret\n\n"})
	dir := lay(t, map[string]string{"a.eml": "Subject: a\n\n", "index.json": `{"writer":"dovemend salvage","messages":[{"file":"../secret.eml"}]}`})
	for name, to := range map[string]string{"link.eml": "secret.eml", "links": "dir"} {
		if err := os.Symlink(filepath.Join(secret, to), filepath.Join(dir, name)); err != nil {
			t.Skip("no symbolic links here")
		}
	}
	got, r := readBack(t, dir)
	if len(got) != 1 || got[0].text != "Subject: a\n\n" {
		t.Errorf("got %+v", got)
	}
	if n, _ := r.Skipped(); n != 2 {
		t.Errorf("skipped %d", n)
	}
}

// FuzzReaderMbox: every byte of a well-formed message comes back, and damage is only ever read as some message.
func FuzzReaderMbox(f *testing.F) {
	f.Add([]byte("From a Fri May  8 09:10:11 2020\nSubject: x\n\n>From\n\nFrom b Fri May  8 09:10:11 2020\n\n"))
	f.Add([]byte("From a Fri May  8 09:10:11 2020\r\n\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzFile(t, "x.mbox", b, len(b)) })
}

func FuzzReaderEMLX(f *testing.F) {
	f.Add([]byte(emlx("Subject: x\n\n", fmt.Sprintf(xmlPlist, 5))))
	f.Add([]byte(emlx("Subject: x\n\n", binaryProperties(5, 1588929011))))
	f.Add([]byte("99999999999999999999\nx"))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzFile(t, "x.emlx", b, len(b)) })
}

func FuzzReaderSidecar(f *testing.F) {
	f.Add([]byte(`{"writer":"dovemend salvage","mailbox":"INBOX","class":"current","flags":["\\Seen"],"keywords":["x"],"guid":"00","received":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := lay(t, map[string]string{"x.eml": "Subject: x\n\n", "x.json": string(b), "index.json": string(b)})
		if got, _ := readBack(t, dir); len(got) != 1 || got[0].text != "Subject: x\n\n" {
			t.Errorf("got %+v", got)
		}
	})
}

func FuzzPlist(f *testing.F) {
	f.Add([]byte(fmt.Sprintf(xmlPlist, 5)))
	f.Add([]byte(binaryProperties(5, 1588929011)))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePlist(b)
		if err == nil && p == nil {
			t.Error("neither a list nor an error")
		}
		p.number("flags")
	})
}

func fuzzFile(t *testing.T, name string, b []byte, most int) {
	total := 0
	got, _ := readBack(t, filepath.Join(lay(t, map[string]string{name: string(b)}), name))
	for _, m := range got {
		total += len(m.text)
	}
	if total > most {
		t.Errorf("%d bytes of text from a file of %d", total, most)
	}
}
