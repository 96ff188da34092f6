package repair

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"dovemend/remote"
	"dovemend/repair/rundir"
	"dovemend/repair/salvage"
)

// RestoreSource is where messages come from: a run's copy, or a path.
type RestoreSource struct {
	Run  string `json:"run,omitempty"`  // ID
	Path string `json:"path,omitempty"` // absolute

	Kind     string `json:"-"` // in words, once it is open
	messages iter.Seq2[*salvage.Message, error]
	skipped  func() (int, []string)
	close    []func() error
}

// Close lets go of the source.
func (s *RestoreSource) Close() error {
	var errs []error
	for i := len(s.close) - 1; i >= 0; i-- {
		errs = append(errs, s.close[i]())
	}
	s.close = nil
	return errors.Join(errs...)
}

// Skipped says how many files were passed over because they hold no message, and names some.
func (s *RestoreSource) Skipped() (int, []string) {
	if s.skipped == nil {
		return 0, nil
	}
	return s.skipped()
}

// Open opens the source: a run's copy, the folder of a run or a snapshot, a salvage folder, .eml, .emlx, mbox, Maildir, a folder
// with any of these, or a copy of an account that another tool has made. Its error is a [salvage.NoMailError] where it is none of
// these.
func (s *RestoreSource) Open(ctx context.Context, state string) error {
	if s.Run != "" {
		l, err := OpenRun(ctx, state, s.Run)
		if err != nil {
			return err
		}
		s.Run = l.Where // in full
		return s.copy(ctx, l)
	}
	if s.isCopy() {
		return s.copyAt(ctx)
	}
	r, err := salvage.OpenReader(s.Path)
	if err != nil {
		return err
	}
	s.Kind, s.messages, s.skipped = r.Kind, r.Messages(ctx), r.Skipped
	s.close = append(s.close, r.Close)
	return nil
}

// Check says, before any host is reached, whether a path holds mail of some form; copies of accounts are only looked at when they are opened.
func (s *RestoreSource) Check() error {
	if s.Path == "" || s.isCopy() {
		return nil
	}
	r, err := salvage.OpenReader(s.Path)
	if err != nil {
		return err
	}
	return r.Close()
}

// isCopy tells a copy of an account from files of mail.
func (s *RestoreSource) isCopy() bool {
	for _, sub := range []string{"", rundir.SnapshotDir} {
		if _, err := os.Stat(filepath.Join(s.Path, sub, "manifest.json")); err == nil {
			return true
		}
	}
	return isDbox(s.Path)
}

// isDbox tells a copy of a dbox account, or of a folder above one, from a folder of mail files.
func isDbox(dir string) bool {
	for _, pattern := range []string{"mailboxes", "*/mailboxes", "*/*/mailboxes"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			continue
		}
		for _, m := range found {
			for _, box := range []string{"*/dbox-Mails", "*/*/dbox-Mails"} {
				if l, err := filepath.Glob(filepath.Join(m, box)); err == nil && len(l) > 0 {
					return true
				}
			}
		}
	}
	return false
}

func (s *RestoreSource) copyAt(ctx context.Context) error {
	l, err := OpenLocal(ctx, s.Path, "")
	if err != nil {
		return err
	}
	return s.copy(ctx, l)
}

func (s *RestoreSource) copy(ctx context.Context, l *Local) error {
	s.close = append(s.close, l.Close)
	if len(l.Altered) > 0 { // what flags it tells, and what is in it, may be less than there was
		return errors.Join(&AlteredError{Where: l.Where, Run: s.Run != "", Files: l.Altered}, s.Close())
	}
	x, err := l.salvager(ctx)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	s.close = append(s.close, func() error { x.storage.close(); return nil })
	s.Kind = "a copy of " + remote.Safe(l.name())
	if s.Run != "" {
		s.Kind = "the copy of run " + s.Run
	}
	s.messages = x.handOut()
	return nil
}

// salvager reads the copy, to hand its messages out.
func (l *Local) salvager(ctx context.Context) (*salvager, error) {
	acct, err := l.read(ctx, l.Account.Mailboxes)
	if err != nil {
		return nil, fmt.Errorf("examine the copy: %w", err)
	}
	x, err := l.newSalvager(ctx, acct, true)
	if err != nil {
		return nil, fmt.Errorf("examine the copy: %w", err)
	}
	if err := x.list(ctx); err != nil {
		x.storage.close()
		return nil, fmt.Errorf("examine the copy: %w", err)
	}
	return x, nil
}

// handOut gives the messages, each of which counts as written: a message that a mailbox has is not an orphan, too.
func (x *salvager) handOut() iter.Seq2[*salvage.Message, error] {
	return func(yield func(*salvage.Message, error) bool) {
		for m, err := range x.messages() {
			if !yield(m, err) {
				return
			}
			if err == nil {
				x.written(&salvage.Entry{Class: m.Class, Size: 1})
			}
		}
	}
}
