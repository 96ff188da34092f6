package repair

import (
	"strings"
	"testing"

	"dovemend/repair/check"
	"dovemend/repair/dovecot"
	"dovemend/repair/plan"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// reportOf is a mailbox of four messages with an index, with these findings and outcomes.
func reportOf(layout store.Layout, asIs, noIndex check.Outcome, damaged int, findings ...check.Finding) *check.Report {
	s := &reconstruct.State{Layout: layout, Files: dovecot.Files{Index: []byte{7}}, Messages: make([]reconstruct.Message, 4)}
	return &check.Report{State: s, AsIs: asIs, NoIndex: noIndex, Damaged: damaged, Findings: findings}
}

func TestRecommendation(t *testing.T) {
	var (
		fine    check.Outcome
		flags   = check.Outcome{Flags: 3}
		gone    = check.Outcome{Gone: 4}
		two     = check.Outcome{Gone: 2, Flags: 1, UIDs: 2}
		index   = check.Finding{Severity: check.Broken, Cure: check.CureDropIndex}
		none    = check.Finding{Severity: check.Broken}
		cache   = check.Finding{Severity: check.Suspect, Cure: check.CureCache}
		message = check.Finding{Severity: check.Broken, Cure: check.CureClear}
		note    = check.Finding{Severity: check.Note, Cure: check.CureDropIndex}
	)
	for _, c := range []struct {
		name    string
		reports []*check.Report
		want    plan.Remedy // "" for none
	}{
		{"healthy", []*check.Report{reportOf(store.SDBox, fine, flags, 0)}, plan.DropCache},
		{"only notes", []*check.Report{reportOf(store.SDBox, fine, fine, 0, note)}, plan.DropCache},
		{"index damaged, the log tells all", []*check.Report{reportOf(store.MDBox, gone, fine, 0, index)}, plan.DropIndex},
		{"index damaged, dropping it saves some", []*check.Report{reportOf(store.MDBox, gone, two, 0, index)}, plan.DropIndex},
		{"log damaged, the index is all there is", []*check.Report{reportOf(store.MDBox, fine, gone, 0, none)}, ""},
		{"index damaged, Dovecot mends it better by itself", []*check.Report{reportOf(store.SDBox, flags, two, 0, none)}, ""},
		{"two mailboxes, dropping the index harms one", []*check.Report{reportOf(store.MDBox, gone, fine, 0, index), reportOf(store.MDBox, fine, gone, 0)}, ""},
		{"cache alone", []*check.Report{reportOf(store.MDBox, fine, gone, 0, cache)}, plan.DropCache},
		{"cache and map", []*check.Report{reportOf(store.MDBox, fine, fine, 0, cache, none)}, ""},
		{"cache and index", []*check.Report{reportOf(store.Maildir, two, fine, 0, cache, index)}, plan.DropIndex},
		{"one message of four", []*check.Report{reportOf(store.SDBox, fine, fine, 1, message)}, ""},
		{"all messages", []*check.Report{reportOf(store.SDBox, fine, fine, 4, message, message, message, message)}, plan.Clear},
		{"all messages, in mdbox's storage", []*check.Report{reportOf(store.MDBox, gone, gone, 4, message)}, ""},
		{"all messages in one mailbox, one in another", []*check.Report{reportOf(store.Maildir, fine, fine, 4, message), reportOf(store.Maildir, fine, fine, 1, message)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			offers := []Offer{{Remedy: plan.DropCache}, {Remedy: plan.DropIndex}, {Remedy: plan.Clear, Costs: []plan.Cost{{Loss: plan.LossMessages}}}}
			recommend(offers, c.reports, nil)
			got := plan.Remedy("")
			for _, o := range offers {
				if o.Recommended && got != "" {
					t.Errorf("both %s and %s are recommended", got, o.Remedy)
				}
				if o.Recommended {
					got = o.Remedy
				}
				if o.Why == "" {
					t.Errorf("%s: no reason is given", o.Remedy)
				}
			}
			if got != c.want {
				t.Errorf("recommended is %q, want %q", got, c.want)
			}
		})
	}
}

func TestRecommendationTellsToKeepTheCopyWhereNothingHelps(t *testing.T) {
	offers := []Offer{{Remedy: plan.DropCache}, {Remedy: plan.DropIndex}, {Remedy: plan.Clear}}
	recommend(offers, []*check.Report{reportOf(store.MDBox, check.Outcome{}, check.Outcome{Gone: 4}, 0, check.Finding{Severity: check.Broken})}, nil)
	if why := offers[1].Why; !strings.Contains(why, "lose more than doing nothing") || !strings.Contains(why, "Keep the copy") {
		t.Errorf("drop-index: %s", why)
	}
}

func TestRefusedRemediesAreNotRecommended(t *testing.T) {
	offers := []Offer{{Remedy: plan.DropCache, Refused: "there is nothing for it to do"}, {Remedy: plan.DropIndex, Refused: "no copy"}}
	recommend(offers, []*check.Report{reportOf(store.Maildir, check.Outcome{Gone: 4}, check.Outcome{}, 0, check.Finding{Severity: check.Broken, Cure: check.CureDropIndex})}, nil)
	for _, o := range offers {
		if o.Recommended || o.Why != "" {
			t.Errorf("%+v", o)
		}
	}
}
