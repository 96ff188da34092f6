package demoaccount

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
)

var update = flag.Bool("update", false, "make the account anew with the real Dovecot of this machine")

// shape is the demo account: a private person's, with INBOX's index log rotated (as on any host after some days) and the
// other mailboxes' not.
var shape = fill.Shape{Seed: 2020, Inbox: 160, Seen: 131, Work: 14, Expunged: 21, Moved: 33, Copied: 6, InSent: 55, InUmlauts: 18, InAside: 40, Rotate: []string{fill.Inbox}}

// makeAnew writes account.tar.gz and truth.json.gz.
func makeAnew(t *testing.T) {
	t.Helper()
	h := remotetest.Real(t, remotetest.Options{NoCanaries: true, Options: realhost.Options{NoSSHD: true,
		Extra: "mail_index_log_rotate_min_size = 32k\nmail_index_log_rotate_min_age = 1 secs\nmail_index_log2_max_age = 2 days"}})
	s := shape
	s.MailRoot = h.MailRoot()
	before := remotetest.Fill(t, h, s)
	var archive bytes.Buffer
	if err := pack(&archive, h.MailRoot()); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err := json.NewEncoder(z).Encode(before); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	packed, truth = archive.Bytes(), b.Bytes()
	for name, data := range map[string][]byte{"account.tar.gz": packed, "truth.json.gz": truth} {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// pack packs a directory without owners.
func pack(w io.Writer, dir string) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	a := tar.NewWriter(z)
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		st, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		h := &tar.Header{Name: filepath.ToSlash(rel), Mode: int64(st.Mode().Perm()), ModTime: st.ModTime(), Typeflag: tar.TypeReg, Size: st.Size()}
		if e.IsDir() {
			h.Typeflag, h.Size = tar.TypeDir, 0
		}
		if err := a.WriteHeader(h); err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, err = a.Write(b)
		return err
	})
	if err != nil {
		return err
	}
	if err := a.Close(); err != nil {
		return err
	}
	return z.Close()
}
