//go:build !linux

package realhost

import (
	"context"
	"os/exec"
	"syscall"
)

// Elsewhere than on Linux Start refuses before any of these is called.

const markEnv = "DOVEMEND_TEST_HOST"

type process struct {
	pid, group int
	dovecot    bool
	zombie     bool
}

type groups struct{}

var ownHosts groups

func (groups) set(int, bool) {}
func (groups) has(int) bool  { return false }

func start(*exec.Cmd, syscall.Signal, int, int) error { return ErrMissing }
func killGroup(int, syscall.Signal)                   {}
func processesOf(int) ([]process, error)              { return nil, ErrMissing }
func (h *Host) endLeftovers() error                   { return nil }
func lock(context.Context, string) (func(), error)    { return nil, ErrMissing }
