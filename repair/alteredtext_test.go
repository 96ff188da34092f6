//go:build unix

package repair

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
	"dovemend/repair/plan"
)

// TestTextWithOtherLinesThanItHadCanBeReadAfterARebuild overwrites line ends within a message, so that its length with full line
// ends is not the one that was noted: Dovecot ends the connection where it is less, and cuts the message off where it is more.
func TestTextWithOtherLinesThanItHadCanBeReadAfterARebuild(t *testing.T) {
	for _, layout := range []string{"mdbox", "sdbox"} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			h := newForecastHost(t, realhost.Options{Layout: layout})
			for what, change := range map[string]func(text []byte){
				"fewer": func(text []byte) { copy(text[bytes.LastIndexByte(text[:len(text)-1], '\n'):], "x") },
				"more":  func(text []byte) { copy(text[len(text)-4:], "\n\n\n\n") },
			} {
				t.Run(what, func(t *testing.T) {
					h.restore(t)
					name, text, whole := h.messageBytes(t)
					change(text)
					if err := os.WriteFile(name, whole, 0o600); err != nil {
						t.Fatal(err)
					}
					r := h.begin(t, true)
					if p, err := r.Plan(t.Context(), plan.Auto); err != nil || p.Remedy != plan.Rebuild {
						t.Fatalf("auto: %v", err)
					}
					at := len(h.DovecotLog())
					if err := r.Apply(t.Context()); err != nil {
						t.Fatal(err)
					}
					if v, err := r.Verify(t.Context()); err != nil || !v.OK {
						t.Errorf("verification: %+v, %v", v, err)
					}
					now, err := fill.Read(t.Context(), fill.Target{Addr: h.IMAP(), User: h.Account(), Password: h.Password()})
					if err != nil {
						t.Fatal(err)
					}
					if diff := h.Truth.Diff(now); len(diff) > 2 { // the message itself is another one
						t.Errorf("%q", diff)
					}
					if bad := regexp.MustCompile(`.*(Warning|Error|Panic):.*`).FindString(h.DovecotLog()[at:]); bad != "" {
						t.Errorf("Dovecot says: %s", bad)
					}
				})
			}
		})
	}
}

// messageBytes finds a message of INBOX of some length in its file.
func (h *forecastHost) messageBytes(t *testing.T) (name string, text, whole []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(h.MailRoot(), map[string]string{"mdbox": "storage/m.*", "sdbox": "mailboxes/INBOX/dbox-Mails/u.*"}[h.Layout()]))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		whole, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		begin := regexp.MustCompile(`\x01\x02N                [0-9A-F]{8}  \n|\x01\x02N {1,20}[ 0-9A-Fa-f]{9,27}\n`).FindIndex(whole)
		if begin == nil {
			continue
		}
		end := bytes.Index(whole[begin[1]:], []byte("\n\x01\x03\n"))
		if end < 300 || strings.Count(string(whole[begin[1]:begin[1]+end]), "\n") < 8 {
			continue
		}
		return f, whole[begin[1] : begin[1]+end], whole
	}
	t.Fatal("no message")
	return "", nil, nil
}
