//go:build !windows

package remote

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"time"
)

// servers are what hosts call themselves whose directories are listed by the library, and ahead of it.
var servers = []string{"SSH-2.0-Go", "SSH-2.0-OpenSSH_9.2p1"}

// listingHost lists what it is told to, once.
func listingHost(t *testing.T, server string, list ...string) *Host {
	f := &fakeHost{}
	f.server.ServerVersion = server
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
		for _, server := range servers {
			t.Run(tt.name+" of "+server, func(t *testing.T) {
				entries, err := listingHost(t, server, tt.list...).FS(t.Context()).ReadDir("x")
				if err == nil || !strings.Contains(err.Error(), "not to be trusted") {
					t.Errorf("got %v, %v", entries, err)
				}
				var pe *fs.PathError
				if !errors.As(err, &pe) || pe.Path != "x" {
					t.Errorf("%v is not a path error", err)
				}
			})
		}
	}
	t.Run("a good one", func(t *testing.T) {
		for _, server := range servers {
			entries, err := listingHost(t, server, ".", "..", "b", "a", "b", "a").FS(t.Context()).ReadDir("x")
			if err != nil || len(entries) != 2 || entries[0].Name() != "a" {
				t.Errorf("%s: got %v, %v", server, entries, err)
			}
		}
	})
}

func TestEndlessListingIsCutOff(t *testing.T) {
	if testing.Short() {
		t.Skip("sends half a GiB")
	}
	old := listingLimit
	listingLimit = 8 << 20
	defer func() { listingLimit = old }()
	for _, server := range servers {
		endlessListing(t, server)
	}
}

func endlessListing(t *testing.T, server string) {
	f := &fakeHost{}
	f.server.ServerVersion = server
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
	_, err := h.FS(t.Context()).ReadDir("x")
	if err == nil || !strings.Contains(err.Error(), "lists more than") {
		t.Errorf("%s: got %v", server, err)
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
		for _, server := range servers {
			refusedAnswer(t, server, tt.name, tt.ans, tt.do, tt.want)
		}
	}
}

func refusedAnswer(t *testing.T, server, name string, ans func(byte, uint32) []byte, do func(*FS) error, want string) {
	t.Run(name+" of "+server, func(t *testing.T) {
		f := &fakeHost{}
		f.server.ServerVersion = server
		f.sftp = func(ch io.ReadWriteCloser) {
			rawSFTP(ch, func(kind byte, id uint32, _ []byte) [][]byte { return [][]byte{ans(kind, id)} })
		}
		h := dial(t, startFake(t, f).config(t))
		began := time.Now()
		err := do(h.FS(t.Context()))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\a") {
			t.Errorf("%q reaches the terminal", err.Error())
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// pieces gives what it holds in pieces.
type pieces struct {
	left []byte
	step int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.left[:min(p.step, len(p.left))])
	p.left = p.left[n:]
	return n, nil
}

// FuzzSFTPTap: the library gets what came for it and nothing else, whatever that is and in whatever pieces.
func FuzzSFTPTap(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x0d\x0c\x00\x00\x00\x01\x00\x00\x00\x01h"), []byte("\x00\x00\x00\x10h\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01x"), 3)
	f.Add([]byte{}, []byte("\x00\x00\x00\x09e\x80\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x09e\x00\x00\x00\x01\x00\x00\x00\x04"), 2)
	f.Fuzz(func(t *testing.T, asked, answered []byte, step int) {
		step = max(1, min(step, 100))
		untrusted := false
		tap := newSFTPTap(&pieces{bytes.Clone(answered), step}, nil, func(error) { untrusted = true }, func(error) {})
		for at := asked; len(at) > 0; at = at[min(step, len(at)):] {
			if tap.out.feed(at[:min(step, len(at))]) != nil {
				break
			}
		}
		own := map[uint32]chan answer{ownID | 1: make(chan answer, 1), ownID | 2: nil, ownID | 3: make(chan answer, 1)}
		maps.Copy(tap.own.waiting, own)
		got, err := io.ReadAll(tap)
		if len(tap.in.body) > len(answered) || len(tap.out.body) > len(asked) {
			t.Error("it keeps more than came")
		}
		if untrusted {
			return
		}
		var want []byte
		seen := map[uint32]bool{}
		for left := answered; len(left) >= packetHead; {
			n := min(4+int(binary.BigEndian.Uint32(left)), len(left))
			id := binary.BigEndian.Uint32(left[5:])
			if to, mine := own[id]; !mine || seen[id] || n < packetHead {
				want = append(want, left[:n]...)
			} else if seen[id] = n == 4+int(binary.BigEndian.Uint32(left)); seen[id] && to != nil {
				if a := <-to; a.kind != left[4] || !bytes.Equal(a.body, left[packetHead:n]) {
					t.Errorf("a request of our own is answered by %d, %x", a.kind, a.body)
				}
			}
			left = left[n:]
		}
		// What is at the end not enough to tell whose it is may be kept back.
		if !bytes.HasPrefix(got, want) && !bytes.HasPrefix(want, got) || len(got) < len(want)-packetHead || err != nil {
			t.Errorf("%v: the library gets\n%x, of\n%x", err, got, want)
		}
	})
}
