//go:build unix

package repair

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dovemend/remote"
	"dovemend/remote/remotetest"
	"dovemend/repair/plan"
	"dovemend/repair/rundir"
	"dovemend/repair/snapshot"
)

// bench is an embedded host with an sdbox account of two mailboxes, and a state directory.
type bench struct {
	*testing.T
	h      *remotetest.EmbeddedHost
	state  string
	said   *said
	rep    Reporter         // said, where a test does not want to do more
	copied *snapshot.Stored // by the last begin
}

// said keeps what a reporter was told.
type said struct {
	Silent
	mu    sync.Mutex
	texts []string
}

func (s *said) Info(text string) { s.add(text) }
func (s *said) Warn(text string) { s.add(text) }

func (s *said) add(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts = append(s.texts, text)
}

func (s *said) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(strings.Join(s.texts, "\n"), text)
}

func newBench(t *testing.T) *bench {
	t.Helper()
	h := remotetest.Embedded(t, remotetest.EmbeddedOptions{Layout: "sdbox", Lay: func(root string) error {
		for _, name := range []string{"INBOX", "Archive"} {
			if err := laySdbox(filepath.Join(root, "mailboxes", name, "dbox-Mails"), 12); err != nil {
				return err
			}
		}
		return nil
	}})
	return &bench{T: t, h: h, state: filepath.Join(t.TempDir(), "state"), said: &said{}}
}

// reporter is what is told what happens.
func (b *bench) reporter() Reporter {
	if b.rep != nil {
		return b.rep
	}
	return b.said
}

// laySdbox lays a folder of n messages, and index files that nothing can read.
func laySdbox(dir string, n int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	files := map[string]string{"dovecot.index": "index", "dovecot.index.log": "log", "dovecot.index.cache": "cache"}
	for i := range n {
		body := fmt.Sprintf("Subject: message %d\n\nText.\n", i+1)
		files[fmt.Sprintf("u.%d", i+1)] = fmt.Sprintf("2 M1e C5e0be100\n\x01\x02N          %016x\n%s\n\x01\x03\nG%032x\nR5e0be100\n\n", len(body), body, i+1)
	}
	at := time.Unix(1577836800, 0)
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o640); err != nil {
			return err
		}
		if err := os.Chtimes(file, at, at); err != nil {
			return err
		}
	}
	return os.Chtimes(dir, at, at)
}

func (b *bench) options(boxes ...string) Options {
	return Options{StateDir: b.state, Account: b.h.Account(), Mailboxes: boxes, Confirm: boxes, AcceptLoss: plan.Losses(), All: len(boxes) == 0,
		Remote: remote.Config{Target: b.h.User() + "@" + b.h.Addr(), Identities: []string{b.h.Identity()}, KnownHosts: []string{b.h.KnownHosts()},
			ConfigFile: "none", NoAgent: true},
		Quiesce: remote.QuiesceOptions{Settle: time.Millisecond}, IMAP: IMAPOptions{Off: true}}
}

// begin connects and copies the mailboxes, all where none is named.
func (b *bench) begin(kind string, boxes ...string) *Run {
	b.Helper()
	s, err := Connect(b.Context(), b.options(boxes...), b.reporter())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	a, m, err := s.Choose(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	r, err := s.NewRun(b.Context(), kind, a, m)
	if err != nil {
		b.Fatal(err)
	}
	if b.copied, err = r.Snapshot(b.Context()); err != nil {
		b.Fatal(err)
	}
	return r
}

// clear empties mailboxes and gives the run's ID.
func (b *bench) clear(boxes ...string) string {
	b.Helper()
	r := b.begin("repair", boxes...)
	if _, err := r.Plan(b.Context(), plan.Clear); err != nil {
		b.Fatal(err)
	}
	if err := r.Apply(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.verified(r)
	return r.ID()
}

func (b *bench) verified(r *Run) {
	b.Helper()
	if v, err := r.Verify(b.Context()); err != nil || !v.OK {
		b.Errorf("verification: %+v, %v", v, err)
	}
	if err := r.Close(); err != nil {
		b.Error(err)
	}
}

// undo takes a run back and gives the undo's ID.
func (b *bench) undo(id string) string {
	b.Helper()
	r, err := UndoRun(b.Context(), b.options(), id, b.reporter())
	if err != nil {
		b.Fatalf("undo: %v", err)
	}
	b.verified(r)
	if err := r.Session().Close(); err != nil {
		b.Error(err)
	}
	return r.ID()
}

func (b *bench) meta(id string) rundir.Meta {
	b.Helper()
	d, err := rundir.Open(b.state, id)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	return d.Meta()
}

func (b *bench) folder(box string) string {
	return filepath.Join(b.h.MailRoot(), "mailboxes", box, "dbox-Mails")
}

// tree tells every file of the account's mailboxes with its mode, time and bytes.
func (b *bench) tree() string {
	b.Helper()
	var out strings.Builder
	err := filepath.WalkDir(filepath.Join(b.h.MailRoot(), "mailboxes"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		bytes, err := os.ReadFile(p)
		fmt.Fprintf(&out, "%s %v %d %q\n", p, fi.Mode(), fi.ModTime().Unix(), bytes)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return out.String()
}

func (b *bench) same(what, before string) {
	b.Helper()
	if now := b.tree(); now != before {
		b.Errorf("%s: the tree is not as it was: %d bytes told, were %d", what, len(now), len(before))
	}
}
