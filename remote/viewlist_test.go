//go:build linux

package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"
	"time"
)

// oddFolder fills a folder with files of all kinds, and gives paths there of which some are missing.
func oddFolder(t *testing.T, r *Root) (rels []string) {
	t.Helper()
	dir := filepath.Join(r.dir, inbox)
	at := func(i int) string {
		rel := fmt.Sprintf("%su.%d", inbox, i)
		rels = append(rels, rel)
		return filepath.Join(r.dir, rel)
	}
	for i := 10; i < 400; i++ {
		p := at(i)
		var err error
		switch {
		case i%40 == 0:
			err = os.Symlink("/etc/passwd", p)
		case i%40 == 1:
			err = os.Mkdir(p, 0o700)
		case i%40 == 2:
			err = syscall.Mkfifo(p, 0o600)
		case i%40 == 3: // missing
		default:
			if err = os.WriteFile(p, make([]byte, i), 0o600); err == nil {
				err = os.Chtimes(p, time.Time{}, time.Unix(1_500_000_000+int64(i), int64(i)*1_000_000))
			}
			if err == nil {
				err = os.Chmod(p, fs.FileMode(0o400+i%0o100)|fs.ModeSetgid)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() == 0 {
		if err := os.Chown(filepath.Join(dir, "u.15"), 12345, -1); err != nil {
			t.Fatal(err)
		}
	}
	return append(rels, "mailboxes/INBOX/u.1", inbox+"dovecot.index", inbox+"u.\x01")
}

// TestListedFilesAreJudgedAlike: the guard judges many files from a list as it does each by itself, and hands out the same.
func TestListedFilesAreJudgedAlike(t *testing.T) {
	for name, find := range map[string]string{
		"find":      "",
		"broken":    "case $PWD in */dbox-Mails) echo what; exit 0;; esac\nexec /usr/bin/find \"$@\"\n",
		"fails":     "case $PWD in */dbox-Mails) exit 1;; esac\nexec /usr/bin/find \"$@\"\n",
		"half":      "case $PWD in */dbox-Mails) /usr/bin/find \"$@\" | head -c 5000; exit 1;; esac\nexec /usr/bin/find \"$@\"\n",
		"elsewhere": "case $PWD in */dbox-Mails) cd /;; esac\nexec /usr/bin/find \"$@\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			h := pathHost(t, map[string]string{"find": find, "head": ""})
			r := accountOf(t, h)
			rels := oddFolder(t, r)
			ctx := t.Context()
			listed := r.listed(ctx, r.view, rels)
			if v, ok := listed.(*listedView); !ok || (len(v.at) > 0) != (name == "find" || name == "elsewhere") {
				t.Fatalf("it is listed by %T", listed)
			}
			if name == "elsewhere" { // a host that lies can hide files, and no more
				return
			}
			text := func(err error) string {
				if err == nil {
					return ""
				}
				return err.Error()
			}
			err := r.GuardEach(ctx, rels, ClassMailboxFile, func(i int, p GuardedPath, err error) {
				one, oneErr := r.Guard(ctx, rels[i], ClassMailboxFile)
				if !reflect.DeepEqual(p, one) || text(err) != text(oneErr) || errors.Is(err, fs.ErrNotExist) != errors.Is(oneErr, fs.ErrNotExist) {
					t.Errorf("%s: %+v, %v; by itself %+v, %v", rels[i], p, err, one, oneErr)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			err = r.GuardWriteEach(ctx, rels, ClassMailboxFile, func(i int, p WritablePath, err error) {
				one, oneErr := r.GuardWrite(ctx, rels[i], ClassMailboxFile)
				if !reflect.DeepEqual(p, one) || text(err) != text(oneErr) {
					t.Errorf("%s, for writing: %+v, %v; by itself %+v, %v", rels[i], p, err, one, oneErr)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestListedFilesAreLookedAtAgain before they go: what has changed since the list stays.
func TestListedFilesAreLookedAtAgain(t *testing.T) {
	r := accountOf(t, pathHost(t, map[string]string{"find": ""}))
	var rels []string
	for i := range 300 {
		rels = append(rels, fmt.Sprintf("%su.%d", inbox, i+10))
		writeFile(t, r, rels[i], "x")
	}
	paths := make([]GuardedPath, len(rels))
	if err := r.GuardEach(t.Context(), rels, ClassMailboxFile, func(i int, p GuardedPath, err error) { paths[i] = p }); err != nil {
		t.Fatal(err)
	}
	writeFile(t, r, rels[150], "longer")
	if err := r.RemoveEach(context.Background(), paths[150:151], func(int, error) {}); !errors.Is(err, ErrChanged) {
		t.Errorf("remove a file that has changed since: %v", err)
	}
	wantFile(t, r, rels[150], "longer")
}
