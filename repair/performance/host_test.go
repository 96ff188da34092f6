//go:build unix

package performance

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dovemend/remote/remotetest/proxy"
	"dovemend/remote/remotetest/realhost"
)

// way is how a host is reached.
type way struct {
	name  string
	delay time.Duration // one way
	rate  int64         // bytes a second, of all connections together; 0 for no limit
}

var ways = []way{{name: "loopback"}, {name: "40ms", delay: 20 * time.Millisecond}, {name: "100mbit", delay: 20 * time.Millisecond, rate: 100_000_000 / 8}}

// server is a host with an account, and the ways to it.
type server struct {
	*realhost.Host
	root  string
	ports map[string]string // of each way
	known map[string]string // its file of host keys
}

func startServer(t *testing.T, c corpus, scale int, o realhost.Options) *server {
	t.Helper()
	o.Layout, o.NoDovecot, o.Logf = c.layout, true, t.Logf
	h, err := realhost.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &server{Host: h, root: h.MailRoot(h.Account()), ports: map[string]string{}, known: map[string]string{}}
	if err := os.MkdirAll(s.root, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := c.lay(s.root, scale, rand.New(rand.NewPCG(7, 11))); err != nil {
		t.Fatal(err)
	}
	if err := h.Adopt(h.Dir()); err != nil {
		t.Fatal(err)
	}
	keys, err := os.ReadFile(h.KnownHostsFile())
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(string(keys), " ")
	for _, w := range ways {
		addr := h.Addr()
		if w.delay > 0 || w.rate > 0 {
			p, err := proxy.Start(h.Addr(), proxy.Options{Delay: w.delay, BytesPerSecond: w.rate})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { p.Close() })
			addr = p.Addr()
		}
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		s.ports[w.name] = port
		s.known[w.name] = filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(s.known[w.name], fmt.Appendf(nil, "[127.0.0.1]:%s %s", port, key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}
