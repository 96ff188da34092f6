//go:build unix

package ui

import "os"

// controllingTerminal opens /dev/tty, or gives nil where the program has none (cron, a service, a pipe from nowhere).
func controllingTerminal() *os.File {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil
	}
	if !isTerminal(f) {
		f.Close()
		return nil
	}
	return f
}
