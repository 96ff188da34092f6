package remote

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// startProxy runs a ProxyCommand of the user's own configuration; SSH then runs over its standard input and output.
func startProxy(p *hop) (net.Conn, error) {
	if strings.ContainsAny(p.user+p.host+p.port, "'\"`\\$;&|<>(){}*?!#\n") {
		return nil, errors.New("user and host hold characters that cannot be handed to a ProxyCommand")
	}
	cmd := proxyShell(p.expandTokens(p.command))
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start ProxyCommand: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start ProxyCommand: %w", err)
	}
	errs := newBounded(4 << 10)
	errs.drop = true
	cmd.Stderr = errs
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start ProxyCommand: %w", err)
	}
	return &proxyConn{in: in, out: out, cmd: cmd, errs: errs, addr: tunnelAddr(p.addr()), gone: make(chan struct{})}, nil
}

// proxyConn is the connection through a running ProxyCommand.
type proxyConn struct {
	in   io.WriteCloser
	out  io.ReadCloser
	cmd  *exec.Cmd
	errs *bounded
	addr tunnelAddr
	once sync.Once
	gone chan struct{} // closed when the command has ended
}

// said ends the command and gives what it wrote to its standard error, safe to print. It may take two seconds.
func (c *proxyConn) said() string {
	c.Close()
	<-c.gone
	return Safe(strings.TrimSpace(string(c.errs.bytes())))
}

func (c *proxyConn) Read(p []byte) (int, error)  { return c.out.Read(p) }
func (c *proxyConn) Write(p []byte) (int, error) { return c.in.Write(p) }

// Close ends the command: by the end of its input, and when that is not enough within a second by force.
func (c *proxyConn) Close() error {
	c.once.Do(func() {
		c.in.Close()
		go func() {
			defer close(c.gone)
			timer := time.AfterFunc(time.Second, func() { c.cmd.Process.Kill() })
			defer timer.Stop()
			c.cmd.Wait()
		}()
	})
	return nil
}

func (c *proxyConn) LocalAddr() net.Addr  { return tunnelAddr("local") }
func (c *proxyConn) RemoteAddr() net.Addr { return c.addr }

func (c *proxyConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *proxyConn) SetReadDeadline(t time.Time) error {
	if f, ok := c.out.(*os.File); ok {
		return f.SetReadDeadline(t)
	}
	return os.ErrNoDeadline
}

func (c *proxyConn) SetWriteDeadline(t time.Time) error {
	if f, ok := c.in.(interface{ SetWriteDeadline(time.Time) error }); ok {
		return f.SetWriteDeadline(t)
	}
	return os.ErrNoDeadline
}
