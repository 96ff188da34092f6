package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// How long a password command may take (it may unlock a keyring, or ask by itself), and how much it may say.
const (
	secretTimeout = 2 * time.Minute
	secretLimit   = 64 << 10
)

// secret gives a way to get a password: from the command if one is given, else from the environment variable, else nil.
// Neither is ever stored, logged or passed on as an argument.
func secret(command, variable string, stderr io.Writer) func(context.Context) (string, error) {
	if command != "" {
		return func(ctx context.Context) (string, error) { return secretFrom(ctx, command, stderr) }
	}
	if v := os.Getenv(variable); v != "" {
		return func(context.Context) (string, error) { return v, nil }
	}
	return nil
}

// secretFrom runs a command through the shell and gives the first line it writes. What it writes to standard error is
// shown, so that it can ask.
func secretFrom(ctx context.Context, command string, stderr io.Writer) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, secretTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Stdin = os.Stdin
	cmd.Stderr = stderr
	cmd.WaitDelay = time.Second
	cmd.Env = withoutSecrets(os.Environ())
	var out limited
	cmd.Stdout = &out
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("run password command: %w", ctx.Err())
	case err != nil:
		return "", fmt.Errorf("run password command: %w", err)
	}
	line, _, _ := bytes.Cut(out.b, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return "", fmt.Errorf("run password command: the first line it wrote is empty")
	}
	return string(line), nil
}

// limited keeps the first bytes that are written to it and lets the rest go.
type limited struct{ b []byte }

func (l *limited) Write(p []byte) (int, error) {
	if room := secretLimit - len(l.b); room > 0 {
		l.b = append(l.b, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// secretVariables are the environment variables that hold a secret.
var secretVariables = []string{"DOVEMEND_SSH_PASSWORD", "DOVEMEND_IMAP_PASSWORD", "DOVEMEND_PING"}

// withoutSecrets takes our own secrets out of an environment.
func withoutSecrets(env []string) []string {
	var out []string
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		if !slices.Contains(secretVariables, name) {
			out = append(out, v)
		}
	}
	return out
}
