package repair

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"dovemend/repair/check"
	"dovemend/repair/store"
)

// LookHarm is a mailbox that a look over IMAP would harm: Dovecot would rebuild it as soon as somebody opens it, and come
// to less than the files still tell.
type LookHarm struct {
	Mailbox string
	Why     string // what is wrong, and what would be lost; safe to print
}

// LookHarms tells, from the copy, which of the run's mailboxes a look over IMAP would harm. With mdbox, damage to the
// storage, which all mailboxes share, makes a look at any of them harmful.
func (r *Run) LookHarms(ctx context.Context) ([]LookHarm, error) {
	if r.reports == nil {
		if err := r.examine(ctx); err != nil {
			return nil, err
		}
	}
	shared := ""
	if f := r.sharedDamage(); f != nil {
		shared = "the storage that all mailboxes share is damaged: " + f.Text
	}
	var harms []LookHarm
	for _, rep := range r.reports {
		why := shared
		if rep.AsIs.Loses() {
			why = "Dovecot would make it anew and lose " + losses(rep.AsIs)
		}
		if why != "" {
			harms = append(harms, LookHarm{Mailbox: rep.State.Mailbox.Name, Why: why})
		}
	}
	return harms, nil
}

// sharedDamage is what makes a look at any of an mdbox account's mailboxes harmful; nil where nothing does.
func (r *Run) sharedDamage() *check.Finding {
	i := slices.IndexFunc(r.shared, func(f check.Finding) bool { return f.Severity == check.Broken })
	if i < 0 || r.account.Layout != store.MDBox {
		return nil
	}
	return &r.shared[i]
}

// KeepProbe keeps what a probe of this run's mailboxes has told, as JSON, in the run's folder: probe.json.
func (r *Run) KeepProbe(told any) error { return r.dir.WriteJSON("probe.json", told) }

// losses says in words what an outcome loses.
func losses(o check.Outcome) string {
	var l []string
	for _, x := range []struct {
		n    int
		what string
	}{{o.Gone, "%s"}, {o.Flags, "the flags of %s"}, {o.Keywords, "the keywords of %s"}, {o.UIDs, "the numbers (UIDs) of %s, which mail programs then download anew"}} {
		if x.n > 0 {
			l = append(l, fmt.Sprintf(x.what, counted(x.n, "message", "messages")))
		}
	}
	return "up to " + strings.Join(l, ", ")
}

// Suspects gives the UIDs of a mailbox's messages of which the copy tells that they may make Dovecot fail: damaged ones,
// and those whose bytes are gone. At most 1000.
func (r *Run) Suspects(mailbox string) []uint32 {
	var uids []uint32
	for _, rep := range r.reports {
		if rep.State.Mailbox.Name != mailbox {
			continue
		}
		for i := range rep.State.Messages {
			m := &rep.State.Messages[i]
			if m.UID != 0 && (m.Lost || rep.State.Breaks(m)) && len(uids) < 1000 {
				uids = append(uids, uint32(m.UID))
			}
		}
	}
	return uids
}
