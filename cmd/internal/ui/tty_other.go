//go:build !unix

package ui

import "os"

// controllingTerminal gives nil: on this system only standard input and error are used.
func controllingTerminal() *os.File { return nil }
