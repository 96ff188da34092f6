package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// stopper turns the first ctrl-C into the end of the context, and the second into the end of the program.
type stopper struct {
	mu      sync.Mutex
	acting  bool     // a plan is being applied: the current step ends first
	restore []func() // put the terminal back before the program ends at once
	cancel  context.CancelFunc
	signals chan os.Signal
	done    chan struct{}
}

// watchSignals gives a context that ends with the first SIGINT, SIGTERM or SIGHUP.
func watchSignals(parent context.Context, stderr io.Writer) (context.Context, *stopper) {
	ignoreSizeLimit()
	ctx, cancel := context.WithCancel(parent)
	s := &stopper{cancel: cancel, signals: make(chan os.Signal, 2), done: make(chan struct{})}
	signal.Notify(s.signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go s.watch(stderr)
	return ctx, s
}

func (s *stopper) watch(stderr io.Writer) {
	for n := 0; ; n++ {
		select {
		case <-s.done:
			return
		case <-s.signals:
		}
		s.mu.Lock()
		acting, restore := s.acting, s.restore
		s.mu.Unlock()
		if n > 0 {
			for _, f := range restore {
				f()
			}
			fmt.Fprintln(stderr, "\nended at once; the run's journal is kept\nnext: dovemend runs, which tells how to go on")
			os.Exit(exitInterrupted)
		}
		if acting {
			fmt.Fprintln(stderr, "\nstopping after the current step; ctrl-C again ends at once")
		}
		s.cancel()
	}
}

// act marks the time in which a plan is applied.
func (s *stopper) act() (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acting = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.acting = false
	}
}

// onExit adds what has to be done before the program ends at once.
func (s *stopper) onExit(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restore = append(s.restore, f)
}

func (s *stopper) close() {
	signal.Stop(s.signals)
	close(s.done)
	s.cancel()
}
