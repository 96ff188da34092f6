package remote

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// agentTimeout bounds how long the agent may take to list its keys. Signing is not bounded: it may wait for a touch.
const agentTimeout = 10 * time.Second

// agentKeys are the keys an agent holds; close ends the talk with it, after which its signers fail.
type agentKeys struct {
	signers []ssh.Signer
	close   func()
}

// agentSocket finds where the agent listens: "" for none.
func (p *hop) agentSocket() string {
	switch {
	case strings.EqualFold(p.agent, "none"):
		return ""
	case p.agent == "SSH_AUTH_SOCK":
		return defaultAgentSocket()
	case strings.HasPrefix(p.agent, "$") && !strings.HasPrefix(p.agent, "${"):
		return os.Getenv(p.agent[1:])
	}
	return p.expandFile(p.agent)
}

// openAgent lists the keys of the agent. One that does not answer is told of and counts as having none.
func openAgent(ctx context.Context, socket string, warn func(string)) agentKeys {
	none := agentKeys{close: func() {}}
	if socket == "" {
		return none
	}
	dialCtx, cancel := context.WithTimeout(ctx, agentTimeout)
	defer cancel()
	conn, err := dialAgent(dialCtx, socket)
	if err != nil {
		warn(fmt.Sprintf("the ssh agent at %s cannot be reached: %s", Safe(socket), Safe(err.Error())))
		return none
	}
	stop := context.AfterFunc(dialCtx, func() { conn.Close() })
	signers, err := agent.NewClient(conn).Signers()
	if !stop() && err == nil {
		err = context.DeadlineExceeded
	}
	if err != nil {
		conn.Close()
		warn(fmt.Sprintf("the ssh agent at %s does not list its keys: %s", Safe(socket), Safe(err.Error())))
		return none
	}
	end := context.AfterFunc(ctx, func() { conn.Close() })
	return agentKeys{signers: signers, close: func() {
		end()
		conn.Close()
	}}
}

// dialUnixAgent connects to an agent's unix socket, which Windows knows too.
func dialUnixAgent(ctx context.Context, socket string) (io.ReadWriteCloser, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", socket)
}
