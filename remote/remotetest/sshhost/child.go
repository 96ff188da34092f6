package sshhost

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// The environment by which a copy of this program knows that it is one of the host's own processes.
const (
	childEnv = "DOVEMEND_SSHHOST_CHILD"
	tableEnv = "DOVEMEND_SSHHOST_TABLE"
	commEnv  = "DOVEMEND_SSHHOST_COMM"

	childWait     = "wait"
	childStubborn = "stubborn"
	childPS       = "ps"
)

// hooked says that this program calls MaybeChild, so that copies of it can be started.
var hooked bool

// MaybeChild must be called first of all in main, and in an init function or TestMain of tests. In a copy of the program
// that [Host.Spawn] or the host's ps has started it does that copy's work and does not return; otherwise it does nothing.
func MaybeChild() {
	hooked = true
	switch os.Getenv(childEnv) {
	case "":
		return
	case childPS:
		os.Exit(ps(os.Args[1:], os.Getenv(tableEnv), os.Getenv(commEnv), os.Stdout, os.Stderr))
	case childStubborn:
		signal.Ignore(syscall.SIGTERM)
	}
	// Linux takes the main thread's name for the process's short name, as ps -o comm shows it. Elsewhere there is no such file.
	if f, err := os.OpenFile("/proc/self/comm", os.O_WRONLY, 0); err == nil {
		fmt.Fprint(f, os.Getenv(commEnv))
		f.Close()
	}
	os.Stdout.Write([]byte{'.'})
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}
