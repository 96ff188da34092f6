//go:build !windows

package remote

import (
	"log/slog"
	"testing"
)

// testLog writes the log to the test's output as long as the test runs.
func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}
