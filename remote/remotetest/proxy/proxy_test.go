package proxy

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func through(t *testing.T, o Options) (*Proxy, *net.TCPConn) {
	t.Helper()
	p, err := Start(echo(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p, connect(t, p)
}

func connect(t *testing.T, p *Proxy) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func TestProxyPassesEverythingUnchanged(t *testing.T) {
	_, c := through(t, Options{})
	sent := bytes.Repeat([]byte("0123456789abcdef"), 100000)
	go func() {
		c.Write(sent)
		c.CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(sent))
	}
}

func TestProxyDelaysEachWayAndKeepsTheRate(t *testing.T) {
	_, c := through(t, Options{Delay: 40 * time.Millisecond})
	begin := time.Now()
	c.Write([]byte("x"))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d < 80*time.Millisecond {
		t.Errorf("there and back in %v, want at least 80 ms", d)
	}
	_, c = through(t, Options{BytesPerSecond: 1 << 20})
	begin = time.Now()
	go c.Write(make([]byte, 256<<10))
	if _, err := io.ReadFull(c, make([]byte, 256<<10)); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d < 200*time.Millisecond {
		t.Errorf("256 KiB at 1 MiB/s in %v, want about 250 ms", d)
	}
}

func TestProxyConnectionsShareTheLine(t *testing.T) {
	p, a := through(t, Options{BytesPerSecond: 1 << 20})
	b := connect(t, p)
	begin := time.Now()
	for _, c := range []*net.TCPConn{a, b} {
		go c.Write(make([]byte, 128<<10))
	}
	for _, c := range []*net.TCPConn{a, b} {
		if _, err := io.ReadFull(c, make([]byte, 128<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if d := time.Since(begin); d < 200*time.Millisecond {
		t.Errorf("twice 128 KiB at 1 MiB/s in %v, want about 250 ms", d)
	}
}

func TestProxyCutsAtTheByte(t *testing.T) {
	p, c := through(t, Options{CutAfter: 1000})
	go c.Write(make([]byte, 100000))
	if n, _ := io.Copy(io.Discard, c); n > 1000 { // the echo of what had passed may be back before the cut
		t.Errorf("%d bytes came back, want a cut after 1000", n)
	}
	c = connect(t, p) // the next connection lives
	c.Write(make([]byte, 5000))
	if _, err := io.ReadFull(c, make([]byte, 5000)); err != nil {
		t.Errorf("after the cut: %v", err)
	}
	p.Cut()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("read after Cut")
	}
	a, b := Options{CutWithin: 1 << 30, Seed: 1}, Options{CutWithin: 1 << 30, Seed: 2}
	pa, _ := through(t, a)
	pb, _ := through(t, b)
	if pa.cutAt.Load() == pb.cutAt.Load() || pa.cutAt.Load() > 1<<30 {
		t.Errorf("random cuts at %d and %d", pa.cutAt.Load(), pb.cutAt.Load())
	}
}

func TestProxyFreezesInSilence(t *testing.T) {
	p, c := through(t, Options{})
	p.Freeze()
	c.Write([]byte("x"))
	c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Errorf("read %d bytes, %v while frozen", n, err)
	}
	p.Thaw()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Errorf("after Thaw: %v", err)
	}
}
