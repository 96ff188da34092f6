//go:build unix

package remote

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// plantTree makes files, directories (trailing slash) and symbolic links (name, arrow, target) in a directory.
func plantTree(t *testing.T, dir string, tree fakeTree) {
	t.Helper()
	for pass := range 2 {
		for name, n := range tree {
			full := filepath.Join(dir, name)
			var err error
			switch {
			case pass == 0 && n.kind == fs.ModeDir:
				err = os.MkdirAll(full, 0o755)
			case pass == 1 && n.kind == fs.ModeSymlink:
				if filepath.IsAbs(n.link) {
					n.link = filepath.Join(dir, n.link)
				}
				err = os.Symlink(n.link, full)
			case pass == 1 && n.kind == 0:
				err = os.WriteFile(full, []byte("canary "+name), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// picture describes everything beneath dir but what skip names: type, mode, size, times and bytes.
func picture(t *testing.T, dir string, skip func(path string) bool) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if skip(p) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		text := fmt.Sprint(fi.Mode(), fi.ModTime().UnixNano())
		switch {
		case fi.Mode().IsRegular():
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %x", sha256.Sum256(b))
		case fi.Mode()&fs.ModeSymlink != 0:
			link, err := os.Readlink(p)
			if err != nil {
				return err
			}
			text += " " + link
		}
		got[p] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func comparePictures(t *testing.T, before, after map[string]string) {
	t.Helper()
	for p, was := range before {
		if is, ok := after[p]; !ok {
			t.Errorf("canary %s is gone", p)
		} else if is != was {
			t.Errorf("canary %s changed: %s, was %s", p, is, was)
		}
	}
	for p := range after {
		if _, ok := before[p]; !ok {
			t.Errorf("%s appeared", p)
		}
	}
}
