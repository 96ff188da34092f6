package main

import (
	"context"
	"errors"

	"dovemend/repair"
)

// realEngine is package repair itself.
type realEngine struct{}

var errNotYet = errors.New("this build cannot reach hosts yet")

func (realEngine) Connect(context.Context, repair.Options, repair.Reporter) (session, error) {
	return nil, errNotYet
}

func (realEngine) Resume(context.Context, repair.Options, string, repair.Reporter) (job, error) {
	return nil, errNotYet
}

func (realEngine) Undo(context.Context, repair.Options, string, repair.Reporter) (job, error) {
	return nil, errNotYet
}
