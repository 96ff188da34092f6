//go:build !windows

package remote

import (
	"context"
	"io"
	"os"
)

func defaultAgentSocket() string { return os.Getenv("SSH_AUTH_SOCK") }

func dialAgent(ctx context.Context, socket string) (io.ReadWriteCloser, error) {
	return dialUnixAgent(ctx, socket)
}
