//go:build !windows

package remote

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"
)

// listingHost lists what it is told to, once.
func listingHost(t *testing.T, list ...string) *Host {
	f := &fakeHost{}
	f.sftp = func(ch io.ReadWriteCloser) {
		given := false
		rawSFTP(ch, func(kind byte, id uint32, _ []byte) [][]byte {
			switch {
			case kind == 11: // OPENDIR
				return [][]byte{reply(102, id, str("h"))}
			case kind == 12 && !given: // READDIR
				given = true
				return [][]byte{names(id, list...)}
			case kind == 12:
				return [][]byte{status(id, 1, "EOF")}
			}
			return [][]byte{status(id, 0, "")}
		})
	}
	return dial(t, startFake(t, f).config(t))
}

func TestHostileListingsAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		list []string
	}{
		{"slash", []string{"good", "../../etc/passwd"}},
		{"absolute", []string{"/etc/passwd"}},
		{"inner dots", []string{"a/.."}},
		{"empty", []string{""}},
		{"NUL", []string{"a\x00b"}},
		{"too long", []string{strings.Repeat("x", 5000)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			entries, err := listingHost(t, tt.list...).FS(t.Context()).ReadDir("x")
			if err == nil || !strings.Contains(err.Error(), "not to be trusted") {
				t.Errorf("got %v, %v", entries, err)
			}
			var pe *fs.PathError
			if !errors.As(err, &pe) || pe.Path != "x" {
				t.Errorf("%v is not a path error", err)
			}
		})
	}
	t.Run("a good one", func(t *testing.T) {
		entries, err := listingHost(t, ".", "..", "b", "a", "b", "a").FS(t.Context()).ReadDir("x")
		if err != nil || len(entries) != 2 || entries[0].Name() != "a" {
			t.Errorf("got %v, %v", entries, err)
		}
	})
}

func TestEndlessListingIsCutOff(t *testing.T) {
	if testing.Short() {
		t.Skip("sends half a GiB")
	}
	f := &fakeHost{}
	big := make([]string, 400)
	f.sftp = func(ch io.ReadWriteCloser) {
		n := 0
		rawSFTP(ch, func(kind byte, id uint32, _ []byte) [][]byte {
			switch kind {
			case 11:
				return [][]byte{reply(102, id, str("h"))}
			case 12:
				for i := range big {
					n++
					big[i] = strings.Repeat("x", 240) + itoa(n)
				}
				return [][]byte{names(id, big...)}
			}
			return [][]byte{status(id, 0, "")}
		})
	}
	h := dial(t, startFake(t, f).config(t))
	old := listingLimit
	listingLimit = 8 << 20
	defer func() { listingLimit = old }()
	_, err := h.FS(t.Context()).ReadDir("x")
	if err == nil || !strings.Contains(err.Error(), "lists more than") {
		t.Errorf("got %v", err)
	}
}

func TestHostileAnswersAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		ans  func(kind byte, id uint32) []byte
		do   func(*FS) error
		want string
	}{
		{"a size past all bounds", func(kind byte, id uint32) []byte { return reply(105, id, attrs(0o100644, 1<<63)) },
			func(f *FS) error { _, err := f.Stat("x"); return err }, "impossible size"},
		{"an empty link", func(kind byte, id uint32) []byte { return names(id, "") },
			func(f *FS) error { _, err := f.ReadLink("x"); return err }, "impossible target"},
		{"text with control characters", func(kind byte, id uint32) []byte { return status(id, 4, "\x1b]0;owned\a") },
			func(f *FS) error { _, err := f.Stat("x"); return err }, `\x1b`},
		{"a file without a type", func(kind byte, id uint32) []byte { return reply(105, id, attrs(0o644, 1)) },
			func(f *FS) error { _, err := f.Open("x"); return err }, "a special file"},
		{"reads that bring nothing", func(kind byte, id uint32) []byte {
			switch kind {
			case 17: // STAT
				return reply(105, id, attrs(0o100644, 10))
			case 3: // OPEN
				return reply(102, id, str("h"))
			case 5: // READ
				return reply(103, id, str(""))
			}
			return status(id, 4, "")
		}, func(f *FS) error { _, err := f.ReadFile("x"); return err }, "with nothing"},
		{"OK for a file's attributes", func(kind byte, id uint32) []byte { return status(id, 0, "") },
			func(f *FS) error { _, err := f.Lstat("x"); return err }, "mere OK"},
		{"OK for an open file", func(kind byte, id uint32) []byte {
			if kind == 17 {
				return reply(105, id, attrs(0o100644, 10))
			}
			return status(id, 0, "")
		}, func(f *FS) error { _, err := f.Open("x"); return err }, "mere OK"},
		{"OK for a listing", func(kind byte, id uint32) []byte {
			if kind == 11 {
				return reply(102, id, str("h"))
			}
			return status(id, 0, "")
		}, func(f *FS) error { _, err := f.ReadDir("x"); return err }, "mere OK"},
		{"OK for a real path", func(kind byte, id uint32) []byte { return status(id, 0, "") },
			func(f *FS) error { _, err := f.h.RealPath(f.ctx, "x"); return err }, "mere OK"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeHost{}
			f.sftp = func(ch io.ReadWriteCloser) {
				rawSFTP(ch, func(kind byte, id uint32, _ []byte) [][]byte { return [][]byte{tt.ans(kind, id)} })
			}
			h := dial(t, startFake(t, f).config(t))
			began := time.Now()
			err := tt.do(h.FS(t.Context()))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\x1b\a") {
				t.Errorf("%q reaches the terminal", err.Error())
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func FuzzSFTPTap(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x0d\x0c\x00\x00\x00\x01\x00\x00\x00\x01h"), []byte("\x00\x00\x00\x10h\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01x"), 3)
	f.Fuzz(func(t *testing.T, asked, answered []byte, step int) {
		step = max(1, min(step, 100))
		tap := newSFTPTap(nil, nil, func(error) {}, func(error) {})
		for _, s := range []struct {
			frames *frames
			data   []byte
		}{{&tap.out, asked}, {&tap.in, answered}} {
			for len(s.data) > 0 {
				n := min(step, len(s.data))
				if s.frames.feed(s.data[:n]) != nil {
					break
				}
				s.data = s.data[n:]
			}
		}
		if len(tap.in.body) > len(answered) || len(tap.out.body) > len(asked) {
			t.Error("it keeps more than came")
		}
	})
}
