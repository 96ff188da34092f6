package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
)

type note struct {
	Text string `json:"text"`
}

func texts(t *testing.T, root *os.Root) (list []string, err error) {
	t.Helper()
	_, err = Read(root, "j", func(line []byte) error {
		var n note
		if err := json.Unmarshal(line, &n); err != nil {
			return err
		}
		list = append(list, n.Text)
		return nil
	})
	return list, err
}

func write(t *testing.T, root *os.Root, lines ...string) {
	t.Helper()
	w, err := Open(root, "j", func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		if err := w.Add(note{l}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func folder(t *testing.T) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// TestCutAnywhereKeepsWholeLines cuts a journal at every byte, and goes on writing: the whole lines stay, and new ones follow.
func TestCutAnywhereKeepsWholeLines(t *testing.T) {
	whole := folder(t)
	write(t, whole, "one", "two", "three")
	b, err := whole.ReadFile("j")
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(b) + 1 {
		root := folder(t)
		if err := root.WriteFile("j", b[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		want := bytes.Count(b[:cut], []byte("\n"))
		write(t, root, "four")
		got, err := texts(t, root)
		if err != nil || len(got) != want+1 || got[want] != "four" {
			t.Fatalf("cut at %d of %d: %q, %v", cut, len(b), got, err)
		}
	}
}

// TestAnyOtherChangeIsSeen flips each byte of a line that others follow.
func TestAnyOtherChangeIsSeen(t *testing.T) {
	root := folder(t)
	write(t, root, "one", "two", "three")
	b, err := root.ReadFile("j")
	if err != nil {
		t.Fatal(err)
	}
	for i := range bytes.IndexByte(b, '\n') + 1 {
		c := bytes.Clone(b)
		c[i] ^= 0x20
		if err := root.WriteFile("j", c, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := texts(t, root); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d of the first line: %q, %v", i, got, err)
		}
	}
	second := bytes.SplitAfter(b, []byte("\n"))
	if err := root.WriteFile("j", append(bytes.Clone(second[0]), second[2]...), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := texts(t, root); err != nil || len(got) != 1 {
		t.Errorf("a line taken away: %q, %v", got, err)
	}
}

func TestNothingIsWrittenAfterAnError(t *testing.T) {
	root := folder(t)
	w, err := Open(root, "j", func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.After = func(n int) error {
		if n == 2 {
			return fmt.Errorf("cut after %d", n)
		}
		return nil
	}
	for _, l := range []string{"one", "two", "three"} {
		_ = w.Add(note{l}) // the error is what stays in the file
	}
	if got, err := texts(t, root); err != nil || len(got) != 2 {
		t.Errorf("%q, %v", got, err)
	}
}
