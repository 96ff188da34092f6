package canary

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestEveryKindOfChangeIsTold(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("symbolic links need a privilege on Windows")
	}
	for name, change := range map[string]func(home, root string) error{
		"":             func(home, root string) error { _, err := os.ReadFile(filepath.Join(home, "canary.txt")); return err },
		"gone":         func(home, root string) error { return os.Remove(filepath.Join(root, "canary-beside.txt")) },
		"link is gone": func(home, root string) error { return os.Remove(filepath.Join(root, "mailboxes", LinkName)) },
		"content": func(home, root string) error {
			p := filepath.Join(root, "..", "canary-account", "storage", "m.1")
			st, err := os.Stat(p)
			if err != nil {
				return err
			}
			if err := os.WriteFile(p, []byte("another account's MAIL"), 0o640); err != nil {
				return err
			}
			return os.Chtimes(p, st.ModTime(), st.ModTime())
		},
		"mode": func(home, root string) error { return os.Chmod(filepath.Join(home, "canary-site"), 0o700) },
		"was of": func(home, root string) error {
			return os.Chtimes(filepath.Join(home, "canary.txt"), time.Now(), time.Now())
		},
		"new": func(home, root string) error {
			return os.WriteFile(filepath.Join(home, "canary-site", "x"), nil, 0o600)
		},
	} {
		home := t.TempDir()
		root := filepath.Join(home, "mail", "example.org", "anna")
		if err := os.MkdirAll(filepath.Join(root, "mailboxes", "INBOX"), 0o700); err != nil {
			t.Fatal(err)
		}
		c, err := Plant(Place{Home: home, MailRoot: root, UID: -1})
		if err != nil {
			t.Fatal(err)
		}
		if err := change(home, root); err != nil {
			t.Fatal(err)
		}
		got, err := c.Changed()
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(got, "\n"); (name == "") != (text == "") || !strings.Contains(text, name) {
			t.Errorf("after the change %q: %q", name, got)
		}
	}
}
