//go:build !windows

package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"dovemend/remote/remotetest/proxy"
)

// absent takes a program away that a host of pathHost has.
const absent = "-"

// pathHost is a host whose commands find only these programs: a name, to the file it leads to or the script it is.
func pathHost(t *testing.T, programs map[string]string, change ...func(*fakeHost, *Config)) *Host {
	t.Helper()
	bin := t.TempDir()
	all := map[string]string{"sh": "", "id": "", "uname": "", "cat": "", "pwd": "", "sleep": "", "sha256sum": ""}
	for name, to := range programs {
		all[name] = to
	}
	for name, to := range all {
		file := filepath.Join(bin, name)
		switch {
		case to == absent:
		case strings.Contains(to, "\n"):
			if err := os.WriteFile(file, []byte("#!/bin/sh\n"+to), 0o755); err != nil {
				t.Fatal(err)
			}
		default:
			if to == "" {
				to = name
			}
			p, err := exec.LookPath(to)
			if err != nil {
				needProgram(t, to)
			}
			if err := os.Symlink(p, file); err != nil {
				t.Fatal(err)
			}
		}
	}
	f := &fakeHost{shell: []string{"/usr/bin/env", "PATH=" + bin, "/bin/sh", "-c"}}
	cfg := Config{}
	for _, c := range change {
		c(f, &cfg)
	}
	real := startFake(t, f).config(t)
	real.Engine, real.Connections, real.Compress = cfg.Engine, cfg.Connections, cfg.Compress
	return dial(t, real)
}

// needProgram skips the test for want of a program, or fails it where all are required.
func needProgram(t *testing.T, name string) {
	t.Helper()
	if os.Getenv("DOVEMEND_TEST_REQUIRE") != "" {
		t.Fatalf("%s is required and not installed", name)
	}
	t.Skipf("%s is not installed", name)
}

var tarTools = []struct {
	name     string
	programs map[string]string
}{
	{"gnu", map[string]string{"tar": "", "find": "", "gzip": ""}},
	{"gnu and zstd", map[string]string{"tar": "", "find": "", "zstd": ""}},
	{"bsd", map[string]string{"tar": "bsdtar", "gzip": ""}},
	{"busybox without -T", map[string]string{"tar": "exec /usr/bin/busybox tar \"$@\"\n", "find": "exec /usr/bin/busybox find \"$@\"\n", "gzip": "exec /usr/bin/busybox gzip \"$@\"\n"}},
	{"none", nil},
}

// oddNames are names a mail store of a careless program may hold.
var oddNames = []string{"plain", "with space", "-dash", "--to-command=x", "new\nline", `back\slash`, "q'uote", `d"q`, "$HOME", "`id`", "*", "[a-z]?", "caf\xe9", "\x81\x88\xff", "ümläut", "cr\r", "tab\t", " lead", "trail ", "!bang", "%s%n", "@x", "-C", "a:b", strings.Repeat("x", 250), "sub/deep/" + strings.Repeat("y", 240) + "/z"}

// fetchTree makes a tree of oddly named and of many plain files.
func fetchTree(t *testing.T) (dir string, files map[string][]byte, wanted []Wanted) {
	t.Helper()
	dir, files = makeTree(t)
	for i, n := range oddNames {
		files[n] = []byte(strings.Repeat("contents of "+n, i*i*i))
	}
	for i := range 300 {
		files[fmt.Sprintf("cur/%d.M1P1.host:2,S", i)] = randomBytes(i*97, uint64(i))
	}
	for name, b := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, b, 0o640); err != nil {
			t.Fatal(err)
		}
		wanted = append(wanted, Wanted{name, int64(len(b))})
	}
	slices.SortFunc(wanted, func(a, b Wanted) int { return strings.Compare(a.Name, b.Name) })
	return dir, files, wanted
}

// fetchAll fetches and gives what came whole.
func fetchAll(t *testing.T, ctx context.Context, h *Host, dir string, wanted []Wanted) (map[string][]byte, Fetched, error) {
	t.Helper()
	var mu sync.Mutex
	came := map[string][]byte{}
	out, err := h.Fetch(ctx, dir, wanted, func(i int, r io.Reader) error {
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if _, twice := came[wanted[i].Name]; twice {
			t.Errorf("%q came twice", wanted[i].Name)
		}
		came[wanted[i].Name] = b
		return nil
	})
	return came, out, err
}

func wantFiles(t *testing.T, came, files map[string][]byte, except ...string) {
	t.Helper()
	for name, b := range files {
		if got, ok := came[name]; !slices.Contains(except, name) && (!ok || !bytes.Equal(got, b)) {
			t.Errorf("%q: came %t, %d bytes of %d", name, ok, len(got), len(b))
		}
	}
	for name := range came {
		if _, ok := files[name]; !ok || slices.Contains(except, name) {
			t.Errorf("%q came", name)
		}
	}
}

func TestFetchBringsEveryFileWithEveryTool(t *testing.T) {
	dir, files, wanted := fetchTree(t)
	for _, tool := range tarTools {
		for _, pack := range []Compression{CompressOff, CompressOn, ""} {
			t.Run(tool.name+"/"+string(pack), func(t *testing.T) {
				h := pathHost(t, tool.programs, func(_ *fakeHost, c *Config) { c.Connections, c.Compress = 3, pack })
				came, out, err := fetchAll(t, t.Context(), h, dir, wanted)
				if err != nil || len(out.Notes) > 0 || len(out.Doubtful) > 0 {
					t.Fatalf("%+v, %v", out, err)
				}
				wantFiles(t, came, files)
				want := EngineTar
				if tool.name == "none" || strings.HasPrefix(tool.name, "busybox") {
					want = EngineSFTP
				}
				if out.Engine != want || out.Connections != 3 {
					t.Errorf("%+v", out)
				}
				// Unless told, it is measured whether compressing pays, and on a busy machine that may come out either way.
				if packed := out.Compressed > 0; pack != "" && packed != (pack == CompressOn && want == EngineTar) {
					t.Errorf("%d bytes compressed", out.Compressed)
				}
			})
		}
	}
}

func TestFetchFromRealSSHD(t *testing.T) {
	dir, files, wanted := fetchTree(t)
	id, pub := newIdentity(t, "ed25519", "")
	for name, extra := range map[string]string{"shell": "", "SFTP only": "ForceCommand internal-sftp", "one session": "MaxSessions 1"} {
		t.Run(name, func(t *testing.T) {
			cfg := startSSHD(t, extra, pub).config(id)
			cfg.Connections = 4
			h := dial(t, cfg)
			came, out, err := fetchAll(t, t.Context(), h, dir, wanted)
			if err != nil || len(out.Doubtful) > 0 {
				t.Fatalf("%+v, %v", out, err)
			}
			wantFiles(t, came, files)
			if sftp := out.Engine == EngineSFTP; sftp != (name == "SFTP only") || out.Connections != 4 {
				t.Errorf("%+v", out)
			}
		})
	}
}

func TestFetchByEngine(t *testing.T) {
	dir, files, wanted := fetchTree(t)
	for _, e := range []Engine{EngineTar, EngineSFTP} {
		h := pathHost(t, tarTools[0].programs, func(_ *fakeHost, c *Config) { c.Engine, c.Connections = e, 1 })
		came, out, err := fetchAll(t, t.Context(), h, dir, wanted)
		if err != nil || out.Engine != e || out.Connections != 1 {
			t.Errorf("%+v, %v", out, err)
		}
		wantFiles(t, came, files)
	}
}

// TestFetchLeavesOutWhatIsNotAsListed: files that grew, shrank, went away, may not be read or are something else now.
func TestFetchLeavesOutWhatIsNotAsListed(t *testing.T) {
	for _, tool := range tarTools {
		t.Run(tool.name, func(t *testing.T) {
			dir, files, wanted := fetchTree(t)
			at := func(n string) string { return filepath.Join(dir, n) }
			bad := []string{"chunk", "one", "empty", "large", "plain", "chunk+1", "tab\t"}
			for _, err := range []error{
				os.Truncate(at("chunk"), 10), os.Truncate(at("one"), 5000), os.Remove(at("empty")), os.Truncate(at("large"), 4<<20),
				os.Remove(at("plain")), syscall.Mkfifo(at("plain"), 0o600), os.Remove(at("chunk+1")), os.Mkdir(at("chunk+1"), 0o700),
				os.Remove(at("tab\t")), os.Symlink("large", at("tab\t")),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			if tool.name == "none" || strings.HasPrefix(tool.name, "busybox") { // opening a pipe over SFTP waits for a writer, as it does with any SFTP server
				os.Remove(at("plain"))
			}
			h := pathHost(t, tool.programs, func(_ *fakeHost, c *Config) { c.Engine, c.Connections, c.Compress = "", 2, CompressOff })
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			came, out, err := fetchAll(t, ctx, h, dir, wanted)
			if err != nil {
				t.Fatalf("%+v, %v", out, err)
			}
			for _, n := range bad {
				if b, ok := came[n]; ok && !bytes.Equal(b, files[n]) {
					t.Errorf("%q came with %d bytes", n, len(b))
				}
			}
			wantFiles(t, came, files, bad...)
		})
	}
}

func TestFetchGoesOnWhenConnectionsDie(t *testing.T) {
	dir, files, wanted := fetchTree(t)
	for i := range 40 {
		n := fmt.Sprintf("m.%d", i)
		files[n] = randomBytes(300_000, uint64(i))
		if err := os.WriteFile(filepath.Join(dir, n), files[n], 0o600); err != nil {
			t.Fatal(err)
		}
		wanted = append(wanted, Wanted{n, int64(len(files[n]))})
	}
	for _, e := range []Engine{EngineTar, EngineSFTP} {
		t.Run(string(e), func(t *testing.T) {
			var mu sync.Mutex
			var conns []net.Conn
			h := pathHost(t, tarTools[0].programs, func(f *fakeHost, c *Config) {
				c.Connections, c.Engine, c.Compress = 4, e, CompressOff
				f.accept = func(n net.Conn) net.Conn {
					mu.Lock()
					defer mu.Unlock()
					conns = append(conns, n)
					return n
				}
			})
			var cut atomic.Bool
			var taken atomic.Int64
			came := map[string][]byte{}
			_, err := h.Fetch(t.Context(), dir, wanted, func(i int, r io.Reader) error {
				b, err := io.ReadAll(r)
				if err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				came[wanted[i].Name] = b
				if taken.Add(1) > 20 && cut.CompareAndSwap(false, true) {
					for _, c := range conns[1:3] {
						c.Close()
					}
				}
				return nil
			})
			if err != nil || !cut.Load() {
				t.Fatalf("cut %t, %v", cut.Load(), err)
			}
			wantFiles(t, came, files)
		})
	}
}

func TestFetchWithOneConnectionOnly(t *testing.T) {
	dir, files, wanted := fetchTree(t)
	var conns atomic.Int32
	h := pathHost(t, tarTools[0].programs, func(f *fakeHost, c *Config) {
		c.Connections = 4
		f.accept = func(n net.Conn) net.Conn {
			if conns.Add(1) > 1 {
				return nil
			}
			return n
		}
	})
	for range 2 {
		came, out, err := fetchAll(t, t.Context(), h, dir, wanted)
		if err != nil || out.Connections != 1 || len(out.Notes) > 0 {
			t.Fatalf("%+v, %v", out, err)
		}
		wantFiles(t, came, files)
	}
	if conns.Load() != 4 {
		t.Errorf("%d connections were tried, and what is refused is not to be tried again", conns.Load())
	}
}

func TestFetchEndsWithItsContextAndItsTaker(t *testing.T) {
	dir, _, wanted := fetchTree(t)
	for _, e := range []Engine{EngineTar, EngineSFTP} {
		h := pathHost(t, tarTools[0].programs, func(_ *fakeHost, c *Config) { c.Engine, c.Connections = e, 2 })
		mine := errors.New("the disk is full")
		if _, err := h.Fetch(t.Context(), dir, wanted, func(i int, r io.Reader) error {
			if i == 17 {
				return mine
			}
			_, err := io.Copy(io.Discard, r)
			return err
		}); !errors.Is(err, mine) {
			t.Errorf("%s: the taker's error: %v", e, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := h.Fetch(ctx, dir, wanted, func(i int, r io.Reader) error {
			cancel()
			_, err := io.Copy(io.Discard, r)
			return err
		}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: cancelled: %v", e, err)
		}
	}
}

func TestLanesAreClosedAndMadeAgain(t *testing.T) {
	dir, files, wanted := fetchTree(t)
	var f *fakeHost
	h := pathHost(t, tarTools[0].programs, func(fake *fakeHost, c *Config) { f, c.Connections = fake, 3 })
	h.Prepare(t.Context(), muchFiles-1, muchBytes-1)
	if h.lanes.ready != nil {
		t.Error("further connections are made for a little")
	}
	h.Prepare(t.Context(), muchFiles, 0)
	for round := range 2 {
		came, out, err := fetchAll(t, t.Context(), h, dir, wanted)
		if err != nil || out.Connections != 3 {
			t.Fatalf("%+v, %v", out, err)
		}
		wantFiles(t, came, files)
		if n := f.conns.Load(); n != int32(3+2*round) {
			t.Errorf("round %d: %d connections", round, n)
		}
		h.lanes.mu.Lock()
		h.lanes.closeAll()
		h.lanes.mu.Unlock()
	}
}

// TestConnectionsAreMadeAtOnceWhereMuchIsToComeFromAfar: only there, and none is left when the host is let go.
func TestConnectionsAreMadeAtOnceWhereMuchIsToComeFromAfar(t *testing.T) {
	for _, tt := range []struct {
		eager bool
		asks  bool          // a person types the password
		delay time.Duration // each way
		want  int
	}{{true, false, 30 * time.Millisecond, farConnections}, {true, true, 30 * time.Millisecond, 1}, {false, false, 30 * time.Millisecond, 1}, {true, false, 0, 1}} {
		f := startFake(t, &fakeHost{})
		c := f.config(t)
		c.Eager = tt.eager
		if tt.asks {
			c.Password, c.Ask = nil, &asker{secrets: []string{"right"}}
		}
		if tt.delay > 0 {
			p, err := proxy.Start(f.addr, proxy.Options{Delay: tt.delay})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { p.Close() })
			c.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, p.Addr())
			}
		}
		began := time.Now()
		h := dial(t, c)
		if h.lanes.ready != nil {
			<-h.lanes.ready
		}
		slow := tt.delay == 0 && time.Since(began) > farLogin // this machine is busy
		if n := int(f.conns.Load()); n != tt.want && !slow {
			t.Errorf("%+v: %d connections", tt, n)
		}
		h.Close()
		if h.lanes.extra != nil {
			t.Errorf("%+v: %d connections are left", tt, len(h.lanes.extra))
		}
	}
}

// touchKey is the public half of a security key.
type touchKey struct{ ssh.PublicKey }

func (touchKey) Type() string { return "sk-ssh-ed25519@openssh.com" }

func TestSecurityKeyIsNotTouchedForFurtherConnections(t *testing.T) {
	h := pathHost(t, tarTools[0].programs, func(*fakeHost, *Config) {})
	h.rtt = time.Second
	if n := h.wantedLanes(); n != farConnections {
		t.Errorf("%d connections far away", n)
	}
	a := &login{creds: h.creds, hop: &h.route[0], current: &attempt{key: touchKey{newKey(t).PublicKey()}}}
	if a.done(); h.wantedLanes() != 1 {
		t.Errorf("%d connections with a security key", h.wantedLanes())
	}
	if h.cfg.Connections = 3; h.wantedLanes() != 3 {
		t.Error("what was asked for does not count")
	}
}
