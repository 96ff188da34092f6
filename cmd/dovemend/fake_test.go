package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"dovemend/remote"
	"dovemend/repair"
	"dovemend/repair/plan"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// fake is an engine without a host: it remembers what it was told to do, and can be made to fail.
type fake struct {
	mu       sync.Mutex
	did      []string
	options  repair.Options
	accounts []store.Account
	offers   []repair.Offer
	fail     map[string]error // by stage: "connect", "snapshot", "apply", …
	verdict  *repair.Verification
	saved    *repair.Saved
	applying func(ctx context.Context) error
	accepted []plan.Loss
	confirm  []string
	aside    bool
	back     bool
	exit     int
	harms    []repair.LookHarm
}

func newFake() *fake {
	boxes := []store.Mailbox{{Name: "INBOX", Storage: "INBOX", Dir: "mailboxes/INBOX/dbox-Mails"},
		{Name: "Entwürfe, alte", Storage: "Entw&APw-rfe, alte", Dir: "mailboxes/Entw&APw-rfe, alte/dbox-Mails"}}
	return &fake{
		accounts: []store.Account{{Address: "alice@example.org", Root: "/userdata01/web1/mail/example.org/alice", Layout: store.MDBox, Tree: true, Mailboxes: boxes}},
		offers: []repair.Offer{
			{Remedy: plan.DropCache, Does: "removes the cache", Recommended: true, Why: "it is damaged"},
			{Remedy: plan.DropIndex, Does: "removes the index", Costs: []plan.Cost{{Loss: plan.LossFlags, Mailbox: "INBOX", Count: 45, Text: "the flags of 45 messages"}}},
			{Remedy: plan.Clear, Does: "empties the folder"},
		},
		fail:    map[string]error{},
		verdict: &repair.Verification{OK: true, IMAP: "preauth", Boxes: []repair.BoxVerdict{{Mailbox: "INBOX", Messages: 45, Expected: 45, OK: true}}},
	}
}

func (f *fake) do(what string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.did = append(f.did, what)
	return f.fail[what]
}

// changedHost tells whether anything that changes the host was called.
func (f *fake) changedHost() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.did, func(s string) bool { return s == "apply" || s == "quiesce" || s == "undo" || s == "resume" })
}

func (f *fake) steps() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.did, " ")
}

func (f *fake) Connect(ctx context.Context, o repair.Options, r repair.Reporter) (session, error) {
	f.options = o
	if err := f.do("connect"); err != nil {
		return nil, err
	}
	return (*fakeSession)(f), ctx.Err()
}

func (f *fake) Resume(context.Context, repair.Options, string, repair.Reporter) (job, error) {
	return (*fakeJob)(f), f.do("resume")
}

func (f *fake) Undo(context.Context, repair.Options, string, repair.Reporter) (job, error) {
	return (*fakeJob)(f), f.do("undo")
}

type fakeSession fake

func (s *fakeSession) Info() remote.Info { return remote.Info{Shell: true, User: "web1"} }

func (s *fakeSession) Accounts(context.Context) ([]store.Account, error) {
	return s.accounts, (*fake)(s).do("accounts")
}

func (s *fakeSession) Measure(_ context.Context, a store.Account) ([]store.Size, store.Size, error) {
	return make([]store.Size, len(a.Mailboxes)), store.Size{Messages: -1, Bytes: 1000}, (*fake)(s).do("measure")
}

func (s *fakeSession) Choose(context.Context) (store.Account, []store.Mailbox, error) {
	if err := (*fake)(s).do("choose"); err != nil {
		return store.Account{}, nil, err
	}
	if len(s.accounts) > 1 {
		return store.Account{}, nil, &repair.AmbiguousError{Accounts: s.accounts}
	}
	boxes, err := s.Mailboxes(s.accounts[0])
	return s.accounts[0], boxes, err
}

func (s *fakeSession) Mailboxes(a store.Account) ([]store.Mailbox, error) {
	names := s.options.Mailboxes
	if len(names) == 0 {
		names = []string{"INBOX"}
	}
	var boxes []store.Mailbox
	for _, n := range names {
		i := slices.IndexFunc(a.Mailboxes, func(m store.Mailbox) bool { return m.Name == n })
		if i < 0 {
			return nil, &store.NotFoundError{Name: n, Near: []string{"INBOX"}}
		}
		boxes = append(boxes, a.Mailboxes[i])
	}
	return boxes, nil
}

func (s *fakeSession) NewRun(_ context.Context, kind string, _ store.Account, _ []store.Mailbox) (job, error) {
	if err := (*fake)(s).do("run:" + kind); err != nil {
		return nil, err
	}
	return (*fakeJob)(s), nil
}

func (s *fakeSession) Processes(context.Context) ([]remote.Process, error) {
	return []remote.Process{{PID: 4711, Service: "imap", Title: "dovecot/imap", Client: "192.0.2.7"}}, (*fake)(s).do("processes")
}

func (s *fakeSession) Quiesce(context.Context, remote.QuiesceOptions) (remote.Quiet, error) {
	return remote.Quiet{Stayed: true}, (*fake)(s).do("quiesce")
}

func (s *fakeSession) Look(ctx context.Context, a store.Account) (*repair.Look, error) {
	if err := (*fake)(s).do("look"); err != nil {
		return nil, err
	}
	return repair.Seer{IMAP: s.options.IMAP, Account: a, Log: slog.New(slog.DiscardHandler)}.Look(ctx)
}

func (s *fakeSession) LookByLogin(a store.Account) (*repair.Look, error) {
	return repair.Seer{IMAP: s.options.IMAP, Account: a, Log: slog.New(slog.DiscardHandler)}.LookByLogin()
}

func (s *fakeSession) Close() error { return (*fake)(s).do("disconnect") }

type fakeJob fake

func (j *fakeJob) ID() string { return "20260101-000000-abcd" }

func (j *fakeJob) Folder() string { return "/state/runs/20260101-000000-abcd" }

func (j *fakeJob) Snapshot(ctx context.Context) (copied, error) {
	if err := errors.Join((*fake)(j).do("snapshot"), ctx.Err()); err != nil {
		return copied{}, err
	}
	return copied{"hash", snapshot.Stats{Files: 1, Bytes: 1000, Fetched: 1, Down: 1000}, nil}, nil
}

func (j *fakeJob) Examine(context.Context) (*repair.Checked, error) {
	return &repair.Checked{Mailboxes: []repair.Diagnosis{{Mailbox: j.accounts[0].Mailboxes[0], Messages: 45,
		Findings: []repair.Finding{{Severity: "broken", File: "mailboxes/INBOX/dbox-Mails/dovecot.index.cache", Offset: -1, Text: "is damaged\x1b[2J", Cure: "drop-cache"}}}}}, (*fake)(j).do("examine")
}

func (j *fakeJob) Account() store.Account { return j.accounts[0] }

func (j *fakeJob) LookHarms(context.Context) ([]repair.LookHarm, error) {
	return j.harms, (*fake)(j).do("harms")
}

func (j *fakeJob) Suspects(string) []uint32 { return nil }

func (j *fakeJob) KeepProbe(any) error { return (*fake)(j).do("keep") }

func (j *fakeJob) Offers(context.Context) ([]repair.Offer, error) {
	return j.offers, (*fake)(j).do("offers")
}

func (j *fakeJob) Accept(l []plan.Loss, confirm []string) {
	j.accepted, j.confirm = append(j.accepted, l...), append(j.confirm, confirm...)
}

func (j *fakeJob) SetAside(aside bool) { j.aside = aside }

func (j *fakeJob) SetMoveBack(back bool) { j.back = back }

func (j *fakeJob) Evacuated() *repair.Evacuated { return nil }

func (j *fakeJob) Plan(_ context.Context, r plan.Remedy) (*plan.Plan, error) {
	p := &plan.Plan{Run: j.ID(), Remedy: r, Mailboxes: []string{"INBOX"}, Root: j.accounts[0].Root, Layout: store.MDBox,
		Steps: []plan.Step{{Seq: 1, Op: plan.OpRemove, Path: "mailboxes/INBOX/dbox-Mails/dovecot.index.cache", Why: "it is damaged"}}}
	if r == plan.Evacuate {
		p.Steps, p.Moves = nil, &plan.Moves{Mailbox: "INBOX", Backup: "BACKUP20260131", Messages: 45, Back: j.back}
	}
	return p, (*fake)(j).do("plan:" + string(r))
}

func (j *fakeJob) Apply(ctx context.Context) error {
	if err := (*fake)(j).do("apply"); err != nil {
		return err
	}
	if j.applying != nil {
		return j.applying(ctx)
	}
	return nil
}

func (j *fakeJob) Verify(context.Context) (*repair.Verification, error) {
	return j.verdict, (*fake)(j).do("verify")
}

func (j *fakeJob) Saved() (*repair.Saved, error) { return j.saved, nil }

func (j *fakeJob) End(exit int, _ error) error {
	j.exit = exit
	return (*fake)(j).do(fmt.Sprintf("end:%d", exit))
}

func (j *fakeJob) Close() error { return (*fake)(j).do("close") }
