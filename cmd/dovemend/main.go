// Command dovemend brings a broken Dovecot mailbox on a shared host back to life, with nothing but an SSH (or only SFTP)
// login. Each verb is a file here; what a verb does is in package repair, what it says in cmd/internal/ui.
package main

import (
	"os"
	"runtime/debug"

	"dovemend/remote/remotetest/sshhost"
)

// ballast is memory that nobody touches, so that it is none. It counts as used: while there is little else, garbage is collected a tenth as often.
var ballast = make([]byte, 6<<20)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(40) // memory is worth more to a laptop than the little time this costs
	}
	ballast = ballast[:0] // which keeps it
	sshhost.MaybeChild()  // the demo's host starts copies of this program as its mail processes
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}
