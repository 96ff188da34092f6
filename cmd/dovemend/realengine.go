package main

import (
	"context"
	"errors"

	"dovemend/remote"
	"dovemend/repair"
	"dovemend/repair/store"
)

// realEngine is package repair itself.
type realEngine struct{}

// realSession is a [repair.Session] as the verbs see it.
type realSession struct{ *repair.Session }

// realJob is a [repair.Run] as the verbs see it.
type realJob struct{ *repair.Run }

func (realEngine) Connect(ctx context.Context, o repair.Options, r repair.Reporter) (session, error) {
	s, err := repair.Connect(ctx, o, r)
	if err != nil {
		return nil, err
	}
	if o.Remote.Engine == remote.EngineSFTP || !s.Host().Info().Shell {
		collectAt(gcPercentSFTP)
	}
	return realSession{s}, nil
}

func (s realSession) Info() remote.Info { return s.Host().Info() }

func (s realSession) NewRun(ctx context.Context, kind string, a store.Account, m []store.Mailbox) (job, error) {
	r, err := s.Session.NewRun(ctx, kind, a, m)
	if err != nil {
		return nil, err
	}
	return realJob{r}, nil
}

func (r realJob) Snapshot(ctx context.Context) (copied, error) {
	s, err := r.Run.Snapshot(ctx)
	if err != nil {
		return copied{}, err
	}
	return copied{s.Head().Verified, s.Stats(), s.Notable()}, nil
}

// ownJob is a run that made its connection itself, and closes it.
type ownJob struct{ realJob }

func (r ownJob) Close() error {
	return errors.Join(r.Run.Close(), r.Session().Close())
}

func (realEngine) Resume(ctx context.Context, o repair.Options, id string, rep repair.Reporter) (job, error) {
	return own(repair.Resume(ctx, o, id, rep))
}

func (realEngine) Undo(ctx context.Context, o repair.Options, id string, rep repair.Reporter) (job, error) {
	return own(repair.UndoRun(ctx, o, id, rep))
}

func own(r *repair.Run, err error) (job, error) {
	if r == nil {
		return nil, err
	}
	return ownJob{realJob{r}}, err
}
