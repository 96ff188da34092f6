package ui

import (
	"strings"

	"dovemend/remote"
)

// Safe makes a text from the host fit to print on one line; see [remote.Safe], which does it.
func Safe(s string) string { return remote.Safe(s) }

// safeLines is [Safe] for texts of our own that may hold several lines, into which something from the host was put.
func safeLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = Safe(lines[i])
	}
	return strings.Join(lines, "\n")
}
