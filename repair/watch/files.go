package watch

import "fmt"

// damage says in words why a mailbox must not be opened over IMAP, or "". What it goes by is evident: an index that Dovecot
// throws away, or one that is gone and whose log does not tell all. For a Maildir, whose index files are helpers, it is
// the list of UIDs, which a person may accept to be made anew.
func damage(old *Mailbox, f *Files, accept bool) string {
	if f.Layout == "maildir" {
		switch {
		case f.UIDList == 0 && !accept:
			return "dovecot-uidlist has 0 bytes: all messages would get new UIDs"
		case f.UIDList < 0 && old != nil && old.UIDList && !accept:
			return "dovecot-uidlist is gone since the last look: all messages would get new UIDs"
		}
		return ""
	}
	return indexDamage("dovecot.index", f)
}

func indexDamage(name string, f *Files) string {
	whole := f.LogWhole && f.Log >= 0
	switch {
	case f.Index == 0:
		return name + " has 0 bytes, as after a full disk"
	case f.Index > 0 && f.BadIndex != "":
		return fmt.Sprintf("%s has a damaged header (%s): Dovecot throws it away when the mailbox is opened", name, f.BadIndex)
	case f.Index < 0 && f.Log < 0 && f.Mail:
		return name + " and its log are gone, and messages are there"
	case f.Index < 0 && f.Log >= 0 && !whole:
		return name + " is gone, and its log does not reach back to the beginning"
	}
	return ""
}

// Damage says in words why a mailbox must not be opened over IMAP now, or "". accept is that of the policy.
func (s *State) Damage(name string, f *Files, accept bool) string {
	if f == nil {
		return ""
	}
	return damage(s.Mailboxes[name], f, accept)
}

// StorageDamage says why no mailbox of an mdbox account must be opened over IMAP now, or "".
func StorageDamage(f *Files) string {
	if f == nil {
		return ""
	}
	return indexDamage("storage/dovecot.map.index", f)
}

// growth gives the alarms about sizes.
func growth(name, what string, f *Files, p Policy) (alarms []Alarm) {
	for _, x := range []struct {
		kind Kind
		file string
		size int64
		max  int64
	}{
		{CacheGrows, what + ".cache", f.Cache, p.MaxCache},
		{LogGrows, what + ".log", f.Log, p.MaxLog},
		{IndexGrows, what, f.Index, p.MaxIndex},
	} {
		if x.size >= x.max && x.max > 0 {
			alarms = append(alarms, x.kind.alarm(name, "%s has %s; from %s on it is told", x.file, mega(x.size), mega(x.max)))
		}
	}
	return alarms
}

func mega(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }
