package repair

import (
	"slices"

	"dovemend/repair/check"
	"dovemend/repair/plan"
	"dovemend/repair/store"
)

// whole is what was found in all mailboxes of a run together.
type whole struct {
	found     bool // anything above a note
	other     bool // anything above a note that the cache has nothing to do with
	rebuild   bool // a rebuild cures a finding
	index     bool // dropping the index cures a finding
	harm      bool // dropping the index would lose more, in one of the mailboxes, than doing nothing
	cache     bool // dropping the cache cures a finding
	loses     bool // left alone, Dovecot loses something
	allBroken bool // every message of every mailbox is damaged itself, and clearing takes the damage away
}

func together(reports []*check.Report, shared []check.Finding) whole {
	w := whole{allBroken: len(reports) > 0}
	for _, f := range shared {
		if f.Severity != check.Note && f.Cure != check.CureNone { // what no remedy cures is no reason for one
			w.found, w.other, w.rebuild = true, true, w.rebuild || f.Cure == check.CureRebuild
		}
	}
	for _, r := range reports {
		for _, f := range r.Findings {
			if f.Severity == check.Note {
				continue
			}
			w.found = true
			w.rebuild = w.rebuild || f.Cure == check.CureRebuild
			w.index = w.index || f.Cure == check.CureDropIndex || f.Cure == check.CureRebuild && r.Helps()
			w.cache = w.cache || f.Cure == check.CureCache
			w.other = w.other || f.Cure != check.CureCache
		}
		w.harm = w.harm || r.State.Files.Index != nil && r.NoIndex.WorseThan(r.AsIs)
		w.loses = w.loses || r.AsIs.Loses()
		n := r.State.Counts().Messages
		w.allBroken = w.allBroken && n > 0 && r.Damaged >= n && r.State.Layout != store.MDBox
	}
	return w
}

// recommend marks the least destructive remedy that cures what was found, and says why the others are not it. A remedy
// that leaves a mailbox worse than doing nothing is never recommended; then none may be. Where nothing was found, it is the
// one that cannot harm.
func recommend(offers []Offer, reports []*check.Report, shared []check.Finding) {
	w := together(reports, shared)
	w.rebuild = w.rebuild && slices.ContainsFunc(offers, func(o Offer) bool { return o.Remedy == plan.Rebuild && o.Refused == "" })
	for i := range offers {
		o := &offers[i]
		if o.Refused != "" {
			continue
		}
		switch o.Remedy {
		case plan.DropCache:
			o.Recommended, o.Why = w.dropCache()
		case plan.Rebuild:
			o.Recommended, o.Why = w.rebuilding()
		case plan.DropIndex:
			o.Recommended, o.Why = w.dropIndex(len(o.Costs) > 0)
		case plan.Evacuate:
			o.Recommended, o.Why = w.evacuate()
		case plan.Clear:
			o.Recommended, o.Why = w.clear()
		}
	}
}

func (w whole) dropCache() (bool, string) {
	switch {
	case !w.found:
		return true, "nothing wrong was found in the files. A cache that makes Dovecot fail often looks sound, and removing it is harmless"
	case w.cache && !w.other:
		return true, "what was found is in the cache alone, and removing it is harmless"
	case w.cache:
		return false, "it is harmless and mends the cache, but not the rest of what was found"
	}
	return false, "it is harmless, but mends nothing of what was found"
}

func (w whole) rebuilding() (bool, string) {
	switch {
	case w.rebuild:
		return true, "it keeps everything that any file still tells, and what it writes is proven before anything on the host is touched"
	case w.found && !w.other:
		return false, "not needed: what was found is in the cache alone"
	case w.found:
		return false, "it mends nothing of what was found" + keep
	}
	return false, "not needed: no damage was found"
}

func (w whole) dropIndex(costs bool) (bool, string) {
	switch {
	case w.rebuild && w.index && !costs:
		return false, "it costs nothing here either, but leaves it to Dovecot to make the list anew; rebuild is the surer way"
	case w.rebuild && costs:
		return false, "not recommended: rebuild costs less"
	case w.rebuild:
		return false, "it mends less than rebuild"
	case w.index && !w.harm && !costs:
		return true, "the list of messages is damaged, and removing it costs nothing here: Dovecot makes it anew from what the other files tell"
	case w.index && !w.harm && w.loses:
		return true, "left alone, Dovecot loses no less. The copy keeps all of it"
	case w.index && !w.harm:
		return true, "it is the least that makes Dovecot build its list of messages anew. What it costs is named above, and the copy keeps all of it"
	case w.harm:
		return false, "not recommended: it would lose more than doing nothing" + keep
	case w.found:
		return false, "not recommended: it mends nothing of what was found" + keep
	case costs:
		return false, "not recommended: no damage was found in it, and removing it costs something"
	}
	return false, "if removing the cache does not help, this costs nothing here either"
}

func (w whole) evacuate() (bool, string) {
	switch {
	case w.rebuild:
		return false, "rebuild costs less: with it UIDs stay, and mail programs download nothing anew"
	case w.found:
		return false, "not recommended: it costs every UID, and what was found needs less, or is not mended by it"
	}
	return false, "for a mailbox that Dovecot fails in although its files look sound, when removing the cache did not help"
}

func (w whole) clear() (bool, string) {
	if w.allBroken && !w.index && !w.rebuild {
		return true, "every message of the mailbox is damaged itself, and Dovecot fails on them for as long as they are in the folder. The copy keeps everything"
	}
	return false, "the last resort: it takes every message out of the mailbox. The copy keeps them, but the mailbox is empty afterwards"
}

// keep is what to do where no remedy is good.
const keep = ". Keep the copy; what to do is told with each finding"
