package remote

import (
	"context"
	"io"
	"os"
	"strings"
)

// windowsAgent is the pipe of the OpenSSH agent that comes with Windows.
const windowsAgent = `\\.\pipe\openssh-ssh-agent`

func defaultAgentSocket() string {
	if s := os.Getenv("SSH_AUTH_SOCK"); s != "" {
		return s
	}
	if _, err := os.Stat(windowsAgent); err != nil {
		return ""
	}
	return windowsAgent
}

func dialAgent(ctx context.Context, socket string) (io.ReadWriteCloser, error) {
	if strings.HasPrefix(socket, `\\.\pipe\`) {
		return os.OpenFile(socket, os.O_RDWR, 0)
	}
	return dialUnixAgent(ctx, socket)
}
