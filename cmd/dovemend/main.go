// Command dovemend brings a broken Dovecot mailbox on a shared host back to life, with nothing but an SSH (or only SFTP)
// login. Each verb is a file here; what a verb does is in package repair, what it says in cmd/internal/ui.
package main

import (
	"os"
	"runtime"
	"runtime/debug"

	"dovemend/remote/remotetest/sshhost"
)

const (
	gcPercent = 30 // memory is worth more to a laptop than the little time this costs
	// gcPercentSFTP is the same where files come over SFTP, in many small pieces and with much garbage: it saves a seventh of the processor time.
	gcPercentSFTP = 45
)

// collectAt has garbage collected when so many per cent have come to what is in use, unless GOGC says otherwise.
func collectAt(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

func main() {
	collectAt(gcPercent)
	sshhost.MaybeChild() // the demo's host starts copies of this program as its mail processes
	// Nobody touches this, so it takes no memory; but it counts as used, and garbage is not collected at every megabyte: a copy takes a
	// tenth less processor time.
	ballast := make([]byte, 6<<20)
	code := run(os.Args, os.Stdin, os.Stdout, os.Stderr)
	runtime.KeepAlive(ballast)
	os.Exit(code)
}
