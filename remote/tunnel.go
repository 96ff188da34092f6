package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"
)

// DialTCP connects to addr (host:port) from the host's side, over the SSH connection. The connection knows deadlines, and ends
// with the SSH connection. It is not made anew.
func (h *Host) DialTCP(ctx context.Context, addr string) (net.Conn, error) {
	l, err := h.current()
	if err != nil {
		return nil, err
	}
	far, err := l.client.DialContext(ctx, "tcp", addr)
	if err != nil {
		if lost := l.lost(); lost != nil {
			return nil, lost
		}
		var refused *ssh.OpenChannelError
		if errors.As(err, &refused) {
			if refused.Reason == ssh.Prohibited {
				return nil, fmt.Errorf("connect to %s through SSH: the host forbids forwarding (%s)", Safe(addr), Safe(refused.Message))
			}
			return nil, fmt.Errorf("connect to %s through SSH: %s", Safe(addr), Safe(refused.Message))
		}
		return nil, fmt.Errorf("connect to %s through SSH: %w", Safe(addr), err)
	}
	near, inner := net.Pipe() // an SSH channel has no deadlines of its own; a pipe does
	var once sync.Once
	end := func() {
		once.Do(func() {
			inner.Close()
			go far.Close()
		})
	}
	go func() {
		io.Copy(inner, far)
		end()
	}()
	go func() {
		io.Copy(far, inner)
		end()
	}()
	return &tunnel{Conn: near, addr: tunnelAddr(addr)}, nil
}

// tunnel is a connection through the host.
type tunnel struct {
	net.Conn
	addr tunnelAddr
}

func (t *tunnel) RemoteAddr() net.Addr { return t.addr }

type tunnelAddr string

func (tunnelAddr) Network() string  { return "tcp" }
func (a tunnelAddr) String() string { return string(a) }
