//go:build !windows

package remote

import (
	"os"
	"os/exec"
)

// proxyShell runs a command as OpenSSH does: by the user's shell, which it replaces.
func proxyShell(command string) *exec.Cmd {
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "/bin/sh"
	}
	return exec.Command(shell, "-c", "exec "+command)
}
