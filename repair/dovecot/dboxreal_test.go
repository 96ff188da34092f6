//go:build unix

package dovecot

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseDboxTellsWhatDovecotTells(t *testing.T) {
	for _, layout := range []string{"mdbox", "sdbox"} {
		t.Run(layout, func(t *testing.T) {
			s := newRealStore(t, layout, "mdbox_rotate_size = 8k\n")
			s.fill(90)
			if layout == "mdbox" {
				s.Doveadm("purge")
			}
			for _, mailbox := range []string{"INBOX", "Archive/2020", "Work"} {
				dboxMatchesFetch(t, s, mailbox)
			}
		})
	}
}

func dboxMatchesFetch(t *testing.T, s *realStore, mailbox string) {
	t.Helper()
	rows, errs, ok := s.Fetch(mailbox, "uid guid date.received size.virtual size.physical text")
	if !ok {
		t.Fatal(errs)
	}
	stored := s.storedDbox(mailbox)
	if len(stored) != len(rows) {
		t.Fatalf("%s: %d messages are stored, want %d", mailbox, len(stored), len(rows))
	}
	for i, row := range rows {
		m := stored[i]
		got := fmt.Sprintf("%s %s %d %d %s", m.GUID, time.Unix(m.Received, 0).UTC().Format("2006-01-02 15:04:05"), m.VirtualSize, m.BodySize, m.body)
		want := fmt.Sprintf("%s %s %s %s %s", row["guid"], row["date.received"], row["size.virtual"], row["size.physical"], row["text"])
		if got != want {
			t.Errorf("UID %d: got %q, want %q", m.uid, got, want)
		}
	}
}

// storedDboxMessage is a message of a mailbox with its bytes as they are stored.
type storedDboxMessage struct {
	DboxMessage
	uid  UID
	body []byte
}

// storedDbox finds the messages of a mailbox through its index and reads them.
func (s *realStore) storedDbox(mailbox string) []storedDboxMessage {
	t := s.t
	t.Helper()
	st, _ := Replay(s.files(filepath.Join(s.mailboxDir(mailbox), "dovecot.index")))
	at := map[UID]MapRecord{}
	if s.layout == "mdbox" {
		m, list := Replay(s.files(filepath.Join(s.root, "storage", "dovecot.map.index")))
		if len(list) > 0 {
			t.Errorf("map index: %v", list)
		}
		records, ok := m.MapRecords()
		if !ok {
			t.Fatal("no map records")
		}
		for _, r := range records {
			at[r.MapUID] = r
		}
	}
	var out []storedDboxMessage
	for i := range st.Records {
		r := &st.Records[i]
		path, offset := filepath.Join(s.mailboxDir(mailbox), fmt.Sprintf("u.%d", r.UID)), int64(-1)
		if s.layout == "mdbox" {
			uid, _, _ := st.MapUID(r)
			path, offset = filepath.Join(s.root, "storage", fmt.Sprintf("m.%d", at[uid].FileID)), int64(at[uid].Offset)
		}
		b := s.read(path)
		f, list, err := ParseDbox(bytes.NewReader(b), int64(len(b)), nil)
		if err != nil || len(list) > 0 {
			t.Fatalf("%s: %v %v", path, err, list)
		}
		n := len(out)
		for _, m := range f.Messages {
			if offset < 0 || m.Offset == offset {
				out = append(out, storedDboxMessage{m, r.UID, b[m.BodyOffset : m.BodyOffset+m.BodySize]})
			}
		}
		if len(out) != n+1 {
			t.Errorf("%s: %d messages at %d", path, len(out)-n, offset)
		}
	}
	return out
}

func TestParseDboxRecognisesWhatPluginsStored(t *testing.T) {
	for plugin, want := range map[string]Encoding{"gz": Gzip, "bz2": Bzip2, "zstd": Zstd, "lz4": LZ4} {
		t.Run(plugin, func(t *testing.T) {
			s := newRealStore(t, "mdbox", "mail_plugins = zlib\nplugin {\n  zlib_save = "+plugin+"\n}\n")
			s.IMAP(appendCommand("INBOX", "", "01-Mar-2021 08:00:00 +0100", message(16)), appendCommand("INBOX", "", "01-Mar-2021 08:00:00 +0100", message(11)))
			b := s.read(s.root, "storage", "m.1")
			f, list, err := ParseDbox(bytes.NewReader(b), int64(len(b)), nil)
			if err != nil || len(list) > 0 || len(f.Messages) != 2 {
				t.Fatal(err, list, len(f.Messages))
			}
			for i, m := range f.Messages {
				text := strings.ReplaceAll(message([]int{16, 11}[i]), "\r\n", "\n")
				if m.Encoding != want || m.PhysicalSize != int64(len(text)) {
					t.Errorf("encoding %q of %d bytes, want %q of %d", m.Encoding, m.PhysicalSize, want, len(text))
				}
			}
		})
	}
}
