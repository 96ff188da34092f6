//go:build unix

package probe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dovemend/remote/imap"
)

func expected(t *testing.T, texts []string) []Want {
	t.Helper()
	var want []Want
	for i, text := range texts {
		sum, _, err := Digest(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		w := Want{UID: uint32(i + 1), BodySHA256: sum, Size: int64(len(text)), InternalDate: time.Date(2020, 8, 1+i%28, 8, 0, 0, 0, time.UTC)}
		if i%2 == 0 {
			w.Flags = []string{`\seen`}
		}
		if i%5 == 0 {
			w.Keywords = []string{"work"}
		}
		want = append(want, w)
	}
	return want
}

func TestHealthyMailboxesReadAsTheyWereWritten(t *testing.T) {
	for _, layout := range []string{"mdbox", "sdbox", "maildir"} {
		t.Run(layout, func(t *testing.T) {
			s := newStore(t, layout)
			texts := s.fill()
			dial, count := s.dialer()
			got, err := Take(t.Context(), dial, []string{"INBOX", "Entwürfe/2020", "Gone"}, Options{Bodies: true, Sort: true, Batch: 7}, nil)
			if err != nil || len(got) != 3 {
				t.Fatalf("Take = %d readings, %v", len(got), err)
			}
			inbox := got[0]
			if !inbox.OK() || inbox.Sorted != 20 || inbox.Exists != 20 || inbox.UIDNext != 21 || inbox.UIDValidity == 0 || len(inbox.Stderr) != 0 {
				t.Errorf("INBOX = %+v", inbox)
			}
			if d := Compare(Expected{UIDValidity: inbox.UIDValidity, Messages: expected(t, texts)}, inbox); len(d) != 0 {
				t.Errorf("differences: %v", d)
			}
			if !got[1].OK() || len(got[1].Messages) != 5 {
				t.Errorf("Entwürfe/2020 = %+v", got[1])
			}
			gone := got[2]
			if gone.OK() || gone.Opened || len(gone.Replies) != 1 || gone.Replies[0].Class != imap.ClassMissing {
				t.Errorf("Gone = %+v", gone)
			}
			if *count != 1 {
				t.Errorf("%d connections", *count)
			}
			again, err := Take(t.Context(), dial, []string{"INBOX"}, Options{}, nil)
			if err != nil || len(Compare(Expected{Messages: expected(t, texts)}, again[0])) != 0 {
				t.Errorf("reading changed flags: %v, %v", Compare(Expected{Messages: expected(t, texts)}, again[0]), err)
			}
		})
	}
}

func TestDigestReadsNULAndBareLineFeedsAsDovecotSendsThem(t *testing.T) {
	s := newStore(t, "maildir")
	s.fill()
	text := "Subject: odd\n\nbare\nlines\r\nand\x00NUL\rreturn\n\nno end"
	name := filepath.Join(s.root, "cur", "1596400000.M1P1.host:2,S")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(name, mailUID, mailUID); err != nil {
			t.Fatal(err)
		}
	}
	dial, _ := s.dialer()
	got, err := Take(t.Context(), dial, []string{"INBOX"}, Options{Bodies: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sum, size, err := Digest(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	last := got[0].Messages[len(got[0].Messages)-1]
	if last.UID != 21 || last.BodySHA256 != sum || last.BodySize != size {
		t.Errorf("message = %+v, want %s of %d bytes", last, sum, size)
	}
}

// damage is one way to break a store of which Dovecot's behaviour is known.
func TestDamagedMessageDoesNotHideTheOthers(t *testing.T) {
	cut := func(t *testing.T, file string, keep int64) {
		t.Helper()
		if err := os.Truncate(file, keep); err != nil {
			t.Fatal(err)
		}
	}
	garbage := func(t *testing.T, file string, off int64, n int) {
		t.Helper()
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte(strings.Repeat("\xa5", n)), off); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, layout string
		damage       func(t *testing.T, s *store)
		bad          uint32
	}{
		{"sdbox, half a message", "sdbox", func(t *testing.T, s *store) { cut(t, s.files("u.12")[0], 4000) }, 12},
		{"sdbox, header garbage", "sdbox", func(t *testing.T, s *store) { garbage(t, s.files("u.12")[0], 0, 60) }, 12},
		{"sdbox, empty file", "sdbox", func(t *testing.T, s *store) { cut(t, s.files("u.12")[0], 0) }, 12},
		{"maildir, half a message", "maildir", func(t *testing.T, s *store) {
			for _, f := range s.files("*.*") {
				b, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(b[:min(len(b), 200)]), "Subject: message 11\n") {
					cut(t, f, 4000)
				}
			}
		}, 12},
	}
	for _, tt := range tests {
		for _, failure := range []string{"disconnect-immediately", "no-after"} {
			t.Run(tt.name+", "+failure, func(t *testing.T) {
				s := newStore(t, tt.layout)
				texts := s.fill()
				tt.damage(t, s)
				dial, count := s.dialer("imap_fetch_failure=" + failure)
				got, err := Take(t.Context(), dial, []string{"INBOX", "Entwürfe/2020"}, Options{Bodies: true}, nil)
				if err != nil || len(got) != 2 {
					t.Fatalf("Take = %v, %v", got, err)
				}
				r := got[0]
				t.Logf("%d connections", *count)
				for _, reply := range r.Replies {
					t.Logf("reply %s: %s", reply.Class, reply.Text)
				}
				for _, line := range r.Stderr {
					t.Logf("log %s: %s", line.Class, line.Text)
				}
				want := expected(t, texts)
				found := false
				for _, d := range Compare(Expected{Messages: want}, r) {
					if d.UID == tt.bad && (d.Kind == Unreadable || d.Kind == Missing) {
						found = true
					} else if d.UID != tt.bad {
						t.Errorf("difference %+v", d)
					}
				}
				if !found || r.OK() {
					t.Errorf("UID %d is not told: %+v", tt.bad, r.Messages)
				}
				if len(r.Stderr) == 0 {
					t.Error("the log is not explained")
				}
				if !got[1].OK() || len(got[1].Messages) != 5 {
					t.Errorf("the next mailbox = %+v", got[1])
				}
				if *count > 10 {
					t.Errorf("%d connections", *count)
				}
			})
		}
	}
}
