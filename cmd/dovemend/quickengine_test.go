package main

import (
	"context"
	"net"
	"os"
	"time"

	"dovemend/repair"
)

// quickEngine is package repair with a short wait after the processes have ended, and the connection made as a test wants.
type quickEngine struct {
	realEngine
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	grace time.Duration // how long a process may take to end; 0 as ever
}

func (e quickEngine) hurry(o repair.Options) repair.Options {
	o.Remote.NoAgent = true
	o.Quiesce.Grace, o.Quiesce.Settle, o.Quiesce.Tries = e.grace, 20*time.Millisecond, 2
	if e.dial != nil {
		o.Remote.Dial = e.dial
	}
	return o
}

func (e quickEngine) Connect(ctx context.Context, o repair.Options, r repair.Reporter) (session, error) {
	return e.realEngine.Connect(ctx, e.hurry(o), r)
}

func (e quickEngine) Resume(ctx context.Context, o repair.Options, id string, r repair.Reporter) (job, error) {
	return e.realEngine.Resume(ctx, e.hurry(o), id, r)
}

func (e quickEngine) Undo(ctx context.Context, o repair.Options, id string, r repair.Reporter) (job, error) {
	return e.realEngine.Undo(ctx, e.hurry(o), id, r)
}

// quickMain is main with the quick engine, and without pauses between connections over IMAP: for tests that need a process of its own.
func quickMain() {
	p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, engine: quickEngine{}, pause: -1}
	os.Exit(p.run(os.Args))
}
