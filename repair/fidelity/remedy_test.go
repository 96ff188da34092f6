package fidelity

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dovemend/remote"
	"dovemend/repair"
	"dovemend/repair/apply"
	"dovemend/repair/plan"
	"dovemend/repair/store"
)

// mended is what dovemend says it did.
type mended struct {
	remedy   plan.Remedy // "" where it did nothing
	state    string      // how the command would have ended
	accepted []plan.Cost // losses that were accepted for it
	salvaged int         // messages saved on the local disk alone
	err      error
}

// mend repairs mailboxes with repair --remedy auto, as somebody does who takes dovemend's advice and accepts whatever loss it names.
func mend(ctx context.Context, r *repair.Run) (m mended) {
	var names []string
	for _, b := range r.Mailboxes() {
		names = append(names, b.Name)
	}
	r.Accept(plan.Losses(), names)
	p, err := r.Plan(ctx, plan.Auto)
	if err != nil {
		return mended{state: "refused", err: err}
	}
	if len(p.Steps) == 0 {
		return mended{state: "nothing to do"}
	}
	m.remedy, m.accepted = p.Remedy, p.Costs
	if err := r.Apply(ctx); err != nil {
		m.state, m.err = "not applied", err
		var stopped *repair.StoppedError
		if errors.As(err, &stopped) {
			m.state = "stopped midway"
		} else if errors.Is(err, apply.ErrChanged) {
			m.state = "changed meanwhile"
		}
		return m
	}
	v, err := r.Verify(ctx)
	switch {
	case err != nil:
		m.state, m.err = "applied, not seen", err
	case !v.OK:
		m.state = "applied, something missing"
	default:
		m.state = "done and verified"
	}
	return m
}

// copied are the stores of which an earlier copy is that of another one: as it was before it lived on.
var copied = map[string]string{"young": "young", "rotated": "rotated", "changed": "rotated"}

// copyBefore has dovemend copy a store before it is broken, and keeps its folder.
func (h *host) copyBefore(t *testing.T, store string) {
	t.Helper()
	store = copied[store]
	if h.copies[store] != "" {
		return
	}
	h.lay(t, h.stores[store].saved)
	if err := os.RemoveAll(h.stateDir); err != nil {
		t.Fatal(err)
	}
	r, err := h.begin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = r.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if h.copies == nil {
		h.copies = make(map[string]string)
	}
	h.copies[store] = filepath.Join(h.Dir(), "copies", store)
	if err := os.MkdirAll(filepath.Dir(h.copies[store]), 0o755); err != nil {
		t.Fatal(err)
	}
	copyTree(t, h.stateDir, h.copies[store])
}

// dovemend repairs broken mailboxes, from the connection to the verification. It knows only the copies of a folder that was kept; ""
// for none.
func (h *host) dovemend(t *testing.T, broken []string, kept string) mended {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := os.RemoveAll(h.stateDir); err != nil { // a copy of another damage is no copy of this one
		t.Fatal(err)
	}
	if kept != "" {
		copyTree(t, kept, h.stateDir)
	}
	r, err := h.begin(ctx, broken)
	if err != nil {
		h.disconnect(t)
		return mended{state: "error", err: err}
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := r.Snapshot(ctx); err != nil {
		return mended{state: "error", err: err}
	}
	if _, err := r.Examine(ctx); err != nil {
		return mended{state: "error", err: err}
	}
	return mend(ctx, r)
}

// begin connects, unless a connection is there, and begins a run.
func (h *host) begin(ctx context.Context, broken []string) (*repair.Run, error) {
	if h.session == nil {
		s, err := repair.Connect(ctx, repair.Options{StateDir: h.stateDir, Account: h.Account(), All: true,
			Remote: remote.Config{Target: h.User() + "@" + h.Addr(), Identities: []string{h.Identity()}, KnownHosts: []string{h.KnownHosts()},
				ConfigFile: "none", NoAgent: true},
			Quiesce: remote.QuiesceOptions{Settle: 20 * time.Millisecond},
			// Through the host's own Dovecot, whose log is counted; the processes that a preauth look starts have another one.
			IMAP: repair.IMAPOptions{Addr: h.IMAP(), TLS: "none", Password: func() (string, error) { return h.Password(), nil }}}, repair.Silent{})
		if err != nil {
			return nil, err
		}
		h.session = s
	}
	account, boxes, err := h.session.Choose(ctx)
	if err != nil {
		return nil, err
	}
	var some []store.Mailbox
	for _, name := range broken {
		if m, err := account.Mailbox(name); err == nil {
			some = append(some, m)
		}
	}
	if len(some) == 0 {
		some = boxes
	}
	return h.session.NewRun(ctx, "repair", account, some)
}

func (h *host) disconnect(t *testing.T) {
	t.Helper()
	if h.session != nil {
		if err := h.session.Close(); err != nil {
			t.Logf("end the connection: %v", err)
		}
		h.session = nil
	}
}
