package main

import (
	"slices"
	"strings"

	"dovemend/cmd/internal/ui"
	"dovemend/repair"
	"dovemend/repair/plan"
)

// chooseRemedy shows every remedy and asks; nil where the person stops with the copy.
func (w *wizard) chooseRemedy(offers []repair.Offer) (*repair.Offer, error) {
	w.progress.Done()
	w.tell("\nWhat can be done:")
	ui.PrintOffers(w.tty, offers)
	var possible []*repair.Offer
	var choices []ui.Choice
	preset := -1
	for i := range offers {
		o := &offers[i]
		if o.Refused != "" {
			continue
		}
		if o.Recommended {
			preset = len(possible)
		}
		possible = append(possible, o)
		choices = append(choices, ui.Choice{Label: remedyLabel(*o), Hint: remedyHint(*o)})
	}
	if len(possible) == 0 {
		w.tell("\nNone of these has anything to do here.")
		return nil, nil
	}
	choices = append(choices, ui.Choice{Label: "stop here; keep the copy and change nothing"})
	if preset < 0 {
		preset = len(possible)
	}
	n, err := w.ask.Select(w.ctx(), ui.Question{Title: "Which remedy?",
		Help: "The choice shows the plan first; it changes nothing yet.", Flag: "--remedy"}, choices, preset)
	if err != nil || n == len(possible) {
		return nil, err
	}
	return possible[n], w.accept(possible[n])
}

func remedyLabel(o repair.Offer) string {
	if o.Recommended {
		return string(o.Remedy) + " (recommended)"
	}
	return string(o.Remedy)
}

// remedyHint says in a few words what a remedy costs.
func remedyHint(o repair.Offer) string {
	if len(o.Costs) == 0 {
		return "costs nothing"
	}
	var losses []string
	for _, c := range o.Costs {
		if l := string(c.Loss); !slices.Contains(losses, l) {
			losses = append(losses, l)
		}
	}
	return "costs " + strings.Join(losses, ", ")
}

// accept asks whether what the remedy costs may be lost, and where what it takes away shall go.
func (w *wizard) accept(o *repair.Offer) error {
	for _, l := range plan.Losses() {
		costs := slices.DeleteFunc(slices.Clone(o.Costs), func(c plan.Cost) bool { return c.Loss != l })
		if len(costs) == 0 {
			continue
		}
		yes, err := w.ask.Confirm(w.ctx(), ui.Question{
			Title: "Accept this loss: " + strings.Join(ui.CostTexts(costs), "; ") + "?",
			Help:  "The copy keeps what the files hold now, and undo brings the files back.",
			Flag:  "--accept-loss " + string(l),
		})
		if err != nil {
			return err
		}
		if !yes {
			return &endError{exitRefused, "not accepted: nothing on the host was changed", "dovemend wizard, and another remedy"}
		}
		w.settings.Losses = append(w.settings.Losses, l)
	}
	if o.Remedy == plan.Evacuate {
		n, err := w.ask.Select(w.ctx(), ui.Question{Title: "Where shall the messages be in the end?", Flag: "--move-back",
			Help: "They are moved back in small batches, and read after each, so that one that breaks the mailbox is found."},
			[]ui.Choice{{Label: "in the new mailbox; I look at them there"}, {Label: "back in the mailbox"}}, 0)
		if err != nil {
			return err
		}
		w.settings.MoveBack = n == 1
	}
	if !w.account.Tree {
		w.settings.Aside = true
		return nil
	}
	n, err := w.ask.Select(w.ctx(), ui.Question{Title: "What shall happen to the files that are taken away?", Flag: "--aside",
		Help: "The copy on this machine is kept in either case."},
		[]ui.Choice{{Label: "set them aside on the host, in dovemend-aside/"}, {Label: "remove them from the host"}}, 0)
	w.settings.Aside = n == 0
	return err
}
