package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"dovemend/remote"
	"dovemend/remote/remotetest"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// TestTakeOverSSHEqualsTheHostsTree goes the whole way: log in, find the account, copy it, copy it again by hard links.
func TestTakeOverSSHEqualsTheHostsTree(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("names of the fixture cannot be on Windows")
	}
	old := time.Now().Add(-time.Hour)
	names := []string{"mailboxes/INBOX/dbox-Mails/dovecot.index", "mailboxes/Entw&APw-rfe/dbox-Mails/dovecot.index.log", "storage/m.1", "storage/dovecot.map.index.log", "subscriptions", "mailboxes/A\xff/dbox-Mails/\nodd\x1b[2J"}
	h := remotetest.Embedded(t, remotetest.EmbeddedOptions{Lay: func(root string) error {
		for i := range 50 {
			names = append(names, fmt.Sprintf("storage/m.%d", i+2))
		}
		for i, n := range names {
			p := filepath.Join(root, n)
			err := os.MkdirAll(filepath.Dir(p), 0o700)
			err = errors.Join(err, os.WriteFile(p, []byte(strings.Repeat(n, i*700)), 0o640), os.Chtimes(p, old, old))
			if err != nil {
				return err
			}
		}
		return nil
	}})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := remote.Dial(ctx, remote.Config{Target: h.User() + "@" + h.Addr(), ConfigFile: "none", KnownHosts: []string{h.KnownHosts()}, Identities: []string{h.Identity()}, NoAgent: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	info := conn.Info()
	accounts, err := store.Find(ctx, conn.FS(ctx), store.Places(store.HostPath(info.Home), info.User))
	i := slices.IndexFunc(accounts, func(a store.Account) bool { return a.Address == h.Account() }) // the canaries are another account
	if err != nil || i < 0 {
		t.Fatalf("found %+v, %v", accounts, err)
	}
	a := accounts[i]
	if string(a.Root) != h.MailRoot() || a.Layout != store.MDBox || a.Address != h.Account() || len(a.Mailboxes) != 3 {
		t.Errorf("account %+v", a)
	}
	var previous []*snapshot.Stored
	for round := range 2 {
		dst, err := os.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer dst.Close()
		s, err := snapshot.Take(ctx, snapshot.FromHost(conn, a.Root), dst, snapshot.Options{Root: a.Root, Address: a.Address, Layout: a.Layout, Previous: previous})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			want, err := os.ReadFile(filepath.Join(h.MailRoot(), n))
			if err != nil {
				t.Fatal(err)
			}
			got, err := fs.ReadFile(s.FS(), n)
			if err != nil || string(got) != string(want) {
				t.Errorf("%q: %d bytes of %d, %v", n, len(got), len(want), err)
			}
		}
		if e, ok := s.Entry("mailboxes/canary-link"); !ok || e.Type != fs.ModeSymlink || e.Link == "" {
			t.Errorf("the link in the tree: %+v", e)
		}
		if m := s.Manifest(); m.Incomplete || s.Stats().Torn > 0 {
			t.Errorf("round %d: incomplete %t, %+v", round, m.Incomplete, s.Stats())
		}
		if st := s.Stats(); round == 1 && (st.Linked != st.Files || st.Fetched != 0) {
			t.Errorf("unchanged, and %+v", st)
		}
		if err := s.Check(ctx); err != nil {
			t.Error(err)
		}
		t.Logf("verified by %s, %+v", s.Manifest().Verified, s.Stats())
		previous = []*snapshot.Stored{&s.Stored}
	}
}
