package main

import (
	"context"

	"dovemend/remote"
	"dovemend/repair"
	"dovemend/repair/plan"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// engine is what the verbs drive: package repair, or in tests something that stands for it.
type engine interface {
	Connect(ctx context.Context, o repair.Options, r repair.Reporter) (session, error)
	Resume(ctx context.Context, o repair.Options, id string, r repair.Reporter) (job, error)
	Undo(ctx context.Context, o repair.Options, id string, r repair.Reporter) (job, error)
}

// session is a connection to a host, a [repair.Session].
type session interface {
	Info() remote.Info
	Accounts(ctx context.Context) ([]store.Account, error)
	Measure(ctx context.Context, a store.Account) ([]store.Size, store.Size, error)
	Choose(ctx context.Context) (store.Account, []store.Mailbox, error)
	Mailboxes(a store.Account) ([]store.Mailbox, error)
	NewRun(ctx context.Context, kind string, a store.Account, m []store.Mailbox) (job, error)
	Processes(ctx context.Context) ([]remote.Process, error)
	Quiesce(ctx context.Context, o remote.QuiesceOptions) (remote.Quiet, error)
	Look(ctx context.Context, a store.Account) (*repair.Look, error)
	LookByLogin(a store.Account) (*repair.Look, error)
	Close() error
}

// copied is what a run's snapshot holds, and what making it took.
type copied struct {
	verified string // as the manifest says it
	stats    snapshot.Stats
	notable  []snapshot.Entry // torn, or not readable
}

// job is a run, a [repair.Run].
type job interface {
	ID() string
	Folder() string
	Snapshot(ctx context.Context) (copied, error)
	Examine(ctx context.Context) (*repair.Checked, error)
	Account() store.Account
	LookHarms(ctx context.Context) ([]repair.LookHarm, error)
	Suspects(mailbox string) []uint32
	KeepProbe(told any) error
	Accept(losses []plan.Loss, confirm []string)
	SetAside(aside bool)
	SetMoveBack(back bool)
	Evacuated() *repair.Evacuated
	Offers(ctx context.Context) ([]repair.Offer, error)
	Plan(ctx context.Context, r plan.Remedy) (*plan.Plan, error)
	Apply(ctx context.Context) error
	Verify(ctx context.Context) (*repair.Verification, error)
	Saved() (*repair.Saved, error)
	End(exit int, err error) error
	Close() error
}
