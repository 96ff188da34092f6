//go:build unix

package dovecot

import (
	"bytes"
	"fmt"
	"os"
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
				s.doveadm("purge")
			}
			for _, mailbox := range []string{"INBOX", "Archive/2020", "Work"} {
				dboxMatchesFetch(t, s, mailbox)
			}
		})
	}
}

func dboxMatchesFetch(t *testing.T, s *realStore, mailbox string) {
	t.Helper()
	rows, errs, ok := s.fetch(mailbox, "uid guid date.received size.virtual size.physical text")
	if !ok {
		t.Fatal(errs)
	}
	st, _ := Replay(s.files(filepath.Join(s.mailboxDir(mailbox), "dovecot.index")))
	var records []MapRecord
	if s.layout == "mdbox" {
		m, list := Replay(s.files(filepath.Join(s.root, "storage", "dovecot.map.index")))
		if len(list) > 0 {
			t.Errorf("map index: %v", list)
		}
		var ok bool
		if records, ok = m.MapRecords(); !ok {
			t.Fatal("no map records")
		}
	}
	for i, row := range rows {
		r := &st.Records[i]
		path, offset := filepath.Join(s.mailboxDir(mailbox), fmt.Sprintf("u.%d", r.UID)), int64(-1)
		if s.layout == "mdbox" {
			uid, _, _ := st.MapUID(r)
			for _, rec := range records {
				if rec.MapUID == uid {
					path, offset = filepath.Join(s.root, "storage", fmt.Sprintf("m.%d", rec.FileID)), int64(rec.Offset)
				}
			}
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, list, err := ParseDbox(bytes.NewReader(b), int64(len(b)), nil)
		if err != nil || len(list) > 0 {
			t.Fatalf("%s: %v %v", path, err, list)
		}
		found := false
		for _, m := range f.Messages {
			if offset >= 0 && m.Offset != offset {
				continue
			}
			found = true
			got := fmt.Sprintf("%s %s %d %d %s", m.GUID, time.Unix(m.Received, 0).Format("2006-01-02 15:04:05"), m.VirtualSize, m.BodySize,
				b[m.BodyOffset:m.BodyOffset+m.BodySize])
			want := fmt.Sprintf("%s %s %s %s %s", row["guid"], row["date.received"], row["size.virtual"], row["size.physical"], row["text"])
			if got != want {
				t.Errorf("%s: got %q, want %q", path, got, want)
			}
		}
		if !found {
			t.Errorf("%s: nothing at %d", path, offset)
		}
	}
}

func TestParseDboxRecognisesWhatPluginsStored(t *testing.T) {
	for plugin, want := range map[string]Encoding{"gz": Gzip, "bz2": Bzip2, "zstd": Zstd, "lz4": LZ4} {
		t.Run(plugin, func(t *testing.T) {
			s := newRealStore(t, "mdbox", "mail_plugins = zlib\nplugin {\n  zlib_save = "+plugin+"\n}\n")
			s.imap(appendCommand("INBOX", "", "01-Mar-2021 08:00:00 +0100", message(16)), appendCommand("INBOX", "", "01-Mar-2021 08:00:00 +0100", message(11)))
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
