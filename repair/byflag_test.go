//go:build unix

package repair

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dovemend/remote/remotetest/demoaccount"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
	"dovemend/repair/check"
	"dovemend/repair/rebuild"
	"dovemend/repair/reconstruct"
)

type dirOutput string

func (d dirOutput) Create(name string) (io.WriteCloser, error) {
	return os.Create(filepath.Join(string(d), name))
}

// TestDovecotRebuildsWhatIsMarkedAndKeepsWhatIsTold tries the fallback of a rebuild that cannot be proven: the list of messages with
// the mark, and nothing else.
func TestDovecotRebuildsWhatIsMarkedAndKeepsWhatIsTold(t *testing.T) {
	for _, layout := range []string{"mdbox", "sdbox"} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			h := newForecastHost(t, realhost.Options{Layout: layout, RotateLogs: true})
			r := h.begin(t, true)
			out := dirOutput(t.TempDir())
			w, err := rebuild.Build(t.Context(), rebuild.Input{FS: r.snap.FS(), Account: r.acct, Reports: r.reports, Shared: r.shared, Now: time.Now(), Force: true, ByFlag: true, Out: out})
			if err != nil {
				t.Fatal(err)
			}
			if len(w.Put) != len(r.boxes) || w.Boxes[0].How != rebuild.ByFlag {
				t.Fatalf("%d files for %d mailboxes, %s", len(w.Put), len(r.boxes), w.Boxes[0].How)
			}
			h.kick(t)
			for _, x := range w.Take {
				if err := os.Remove(filepath.Join(h.MailRoot(), string(x.Path))); err != nil {
					t.Fatal(err)
				}
			}
			for _, x := range w.Put {
				data, err := os.ReadFile(filepath.Join(string(out), x.Source))
				if err != nil {
					t.Fatal(err)
				}
				name := filepath.Join(h.MailRoot(), string(x.Path))
				if err := os.WriteFile(name, data, x.Mode); err != nil {
					t.Fatal(err)
				}
				if os.Getuid() == 0 {
					if err := os.Chown(name, h.UID(), h.GID()); err != nil {
						t.Fatal(err)
					}
				}
			}
			at := len(h.DovecotLog())
			now, err := fill.Read(t.Context(), fill.Target{Addr: h.IMAP(), User: h.Account(), Password: h.Password()})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range h.Truth.Diff(now) {
				t.Errorf("%s", d)
			}
			if log := h.DovecotLog()[at:]; !strings.Contains(log, "ebuild") || strings.Contains(log, "Panic") {
				t.Errorf("Dovecot did not rebuild: %s", log)
			}
		})
	}
}

// TestWhatCannotBeProvenIsLeftToDovecot: a map index that could not be copied cannot be written anew.
func TestWhatCannotBeProvenIsLeftToDovecot(t *testing.T) {
	dir := t.TempDir()
	if err := demoaccount.Unpack(dir); err != nil {
		t.Fatal(err)
	}
	l, acct := readCopy(t, dir)
	var reports []*check.Report
	for _, s := range acct.Boxes {
		r, err := check.Examine(t.Context(), l.FS, acct, s)
		if err != nil {
			t.Fatal(err)
		}
		reports = append(reports, r)
	}
	in := rebuild.Input{FS: l.FS, Account: acct, Reports: reports, Now: time.Now(), Force: true, Out: dirOutput(t.TempDir())}
	w, err := rebuild.Build(t.Context(), in)
	if err != nil || w.Boxes[0].How != rebuild.Exact {
		t.Fatalf("a sound account is rebuilt %s: %v", w.Boxes[0].How, err)
	}
	acct.Storage.Sound = false
	acct.Storage.Unread = append(acct.Storage.Unread, reconstruct.Unread{File: reconstruct.MapFile})
	if w, err = rebuild.Build(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	for _, b := range w.Boxes {
		if b.How != rebuild.ByFlag {
			t.Errorf("%s is rebuilt %s", b.Mailbox.Name, b.How)
		}
	}
	if len(w.Notes) == 0 || !strings.Contains(w.Notes[0], "cannot be proven") {
		t.Errorf("notes %q", w.Notes)
	}
	for _, p := range w.Put {
		if !strings.HasSuffix(string(p.Path), "/dovecot.index") {
			t.Errorf("puts %s", p.Path)
		}
	}
}
