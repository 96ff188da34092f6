package watch

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Verdict is what a look means.
type Verdict struct {
	State  *State  // to be remembered
	Alarms []Alarm // the weightiest first; empty: healthy
	Notes  []string
	First  bool // it was the first look, which only learns
}

// Judge compares what was seen with what is remembered. old is not changed.
func Judge(old *State, o Observation, p Policy) Verdict {
	j := &judge{p: p, o: o, old: old, s: old.clone(), now: o.At.UTC().Truncate(time.Second), renames: map[string]bool{}, arrived: map[string]int{}}
	j.first = old.First()
	j.account()
	if !o.Waited {
		j.list()
		j.mailboxes()
		j.connections()
	}
	j.carry()
	j.remember()
	return Verdict{State: j.s, Alarms: j.alarms, Notes: j.notes, First: j.first}
}

type judge struct {
	p      Policy
	o      Observation
	old    *State
	s      *State
	now    time.Time
	first  bool
	alarms []Alarm
	notes  []string

	unasked  []string        // alarms of mailboxes that were not asked for this time
	renames  map[string]bool // new names of mailboxes
	arrived  map[string]int  // messages that are new in a mailbox
	unmissed int             // of all these those that no other mailbox misses yet
}

func (j *judge) raise(a ...Alarm) { j.alarms = append(j.alarms, a...) }

func (j *judge) note(format string, args ...any) {
	if len(j.notes) < 100 {
		j.notes = append(j.notes, fmt.Sprintf(format, args...))
	}
}

// account judges whether the account could be looked at at all.
func (j *judge) account() {
	switch o := j.o; {
	case o.Waited && j.s.Wait.Failures == 0: // another dovemend works on the account
	case o.Waited:
		j.raise(j.s.Wait.Why.alarm(""))
	case o.Failure != nil:
		j.s.Wait = j.p.fail(j.s.Wait, *o.Failure, j.now, o.Host, o.Banned)
		j.raise(o.Failure.alarm(""))
	default:
		j.s.Wait = Wait{}
	}
	if j.o.Limit > 0 {
		j.s.Limit = j.o.Limit
	}
}

// carry keeps the alarms that could not be judged now: nothing was looked at, or not this mailbox.
func (j *judge) carry() {
	raised := map[string]bool{}
	for i := range j.alarms {
		raised[j.alarms[i].key()] = true
	}
	for _, key := range slices.Sorted(maps.Keys(j.old.Raised)) {
		a, ok := parseKey(key)
		if !ok || raised[key] || j.judged(a) {
			continue
		}
		if !j.watched(a.Mailbox) && a.Mailbox != "" {
			j.unasked = append(j.unasked, key)
			continue
		}
		if a.Kind == Failed {
			m := j.s.Mailboxes[a.Mailbox]
			if a.Mailbox == "" || m == nil || m.Wait.Failures == 0 {
				continue
			}
			a = m.Wait.Why.alarm(a.Mailbox)
			if raised[a.key()] {
				continue
			}
		} else {
			a = a.Kind.alarm(a.Mailbox, "as seen before: %s", words[a.Kind])
		}
		j.raise(a)
	}
}

// judged says whether what an alarm is about was looked at now.
func (j *judge) judged(a Alarm) bool {
	if j.o.Waited {
		return false
	}
	i := slices.IndexFunc(j.o.Mailboxes, func(s Seen) bool { return s.Name == a.Mailbox })
	switch a.Kind {
	case Gone, NoMailboxes:
		return j.o.ListKnown
	case NearLimit:
		return true
	case Failed:
		return a.Mailbox == "" || i >= 0 && (j.o.Mailboxes[i].Looked || j.o.Mailboxes[i].Failure != nil || j.o.Mailboxes[i].Waited)
	case FilesBroken, CacheGrows, LogGrows, IndexGrows:
		return i >= 0 && j.o.Mailboxes[i].Files != nil || a.Mailbox == "" && j.o.Storage != nil || j.s.Mailboxes[a.Mailbox] == nil && a.Mailbox != ""
	}
	return i >= 0 && j.o.Mailboxes[i].Looked || j.s.Mailboxes[a.Mailbox] == nil
}

// words name the kinds where an alarm is repeated without a look.
var words = map[Kind]string{
	FilesBroken: "the files are damaged", Lost: "messages are gone", NewValidity: "the mailbox has a new UIDVALIDITY", UIDNextBack: "UIDNEXT went back",
	AllUnread: "no message is read any more", Gone: "the mailbox is not listed any more", NoMailboxes: "no mailbox is listed",
	NearLimit: "the limit of connections is near", CacheGrows: "the cache is large", LogGrows: "the log is large", IndexGrows: "the index is large",
}

// watched says whether a mailbox is one that was asked for.
func (j *judge) watched(name string) bool {
	return j.o.Asked == nil || slices.Contains(j.o.Asked, name)
}

// list judges what LIST told: what is gone, and what was renamed.
func (j *judge) list() {
	if !j.o.ListKnown {
		return
	}
	if len(j.o.Listed) == 0 {
		j.raise(NoMailboxes.alarm("", "the server lists no mailbox"))
		return
	}
	listed := map[string]bool{}
	for _, name := range j.o.Listed {
		listed[name] = true
	}
	for _, name := range j.o.Asked {
		if m := j.s.Mailboxes[name]; !listed[name] && (m == nil || !m.Known) {
			j.raise(Gone.alarm(name, "there is no mailbox of this name"))
		}
	}
	for _, name := range j.s.names() {
		m := j.s.Mailboxes[name]
		if listed[name] || !j.watched(name) || !m.Known {
			if !listed[name] && !m.Known {
				delete(j.s.Mailboxes, name)
			}
			continue
		}
		to := j.renamed(m.Numbers)
		switch {
		case to != "":
			j.note("%s is called %s now", name, to)
			j.s.Mailboxes[to], j.renames[to] = m, true
			delete(j.s.Mailboxes, name)
		case m.Numbers.Messages == 0:
			j.note("%s, which was empty, is not listed any more", name)
			delete(j.s.Mailboxes, name)
		default:
			a := Gone.alarm(name, "the mailbox with %s is not listed any more", messages(m.Numbers.Messages))
			if j.held(&a) {
				delete(j.s.Mailboxes, name)
			}
		}
	}
}

// renamed finds the mailbox that is new and was made when the one with these numbers was: renaming keeps UIDVALIDITY.
func (j *judge) renamed(n Numbers) string {
	for _, m := range j.o.Mailboxes {
		if was := j.old.Mailboxes[m.Name]; m.Looked && (was == nil || !was.Known) && m.Numbers.UIDValidity == n.UIDValidity &&
			m.Numbers.UIDNext >= n.UIDNext && m.Numbers.Messages*2 >= n.Messages {
			return m.Name
		}
	}
	return ""
}

// held decides about an alarm of loss: it is raised, or taken for what is to be because it was accepted or told for long enough.
func (j *judge) held(a *Alarm) (accepted bool) {
	was, before := j.old.Raised[a.key()]
	switch {
	case j.p.Accept:
		j.note("accepted: %s%s", prefix(a.Mailbox), a.Text)
		return true
	case before && j.p.Hold > 0 && j.now.Sub(was.Since) >= j.p.Hold:
		j.note("told since %s, and now taken for what is to be: %s%s", was.Since.Format("2006-01-02 15:04"), prefix(a.Mailbox), a.Text)
		return true
	}
	j.raise(*a)
	return false
}

func prefix(mailbox string) string {
	if mailbox == "" {
		return ""
	}
	return mailbox + ": "
}

func (j *judge) mailboxes() {
	j.arrivals()
	if f := j.o.Storage; f != nil {
		if why := StorageDamage(f); why != "" {
			j.raise(FilesBroken.alarm("", "%s", why))
		}
		j.raise(growth("", "storage/dovecot.map.index", f, j.p)...)
	}
	for i := range j.o.Mailboxes {
		o := &j.o.Mailboxes[i]
		if len(o.Name) > maxName {
			j.note("a mailbox whose name has %d bytes is not watched", len(o.Name))
			continue
		}
		m := j.s.Mailboxes[o.Name]
		if m == nil {
			if len(j.s.Mailboxes) >= MaxMailboxes {
				j.note("more than %d mailboxes: %s is not watched", MaxMailboxes, o.Name)
				continue
			}
			m = &Mailbox{}
			j.s.Mailboxes[o.Name] = m
		}
		j.files(o, m)
		switch {
		case o.Failure != nil:
			m.Wait = j.p.fail(m.Wait, *o.Failure, j.now, false, false)
			j.raise(o.Failure.alarm(o.Name))
		case o.Waited:
			j.raise(m.Wait.Why.alarm(o.Name))
		case o.Looked:
			m.Wait = Wait{}
			j.numbers(o, m)
		}
	}
}

// files judges a mailbox's files and remembers which there are.
func (j *judge) files(o *Seen, m *Mailbox) {
	f := o.Files
	if f == nil {
		return
	}
	why := damage(m, f, j.p.Accept)
	if why != "" {
		j.raise(FilesBroken.alarm(o.Name, "%s", why))
	} else {
		m.UIDList = f.UIDList > 0
	}
	j.raise(growth(o.Name, "dovecot.index", f, j.p)...)
}

// connections judges how near the limit is.
func (j *judge) connections() {
	limit := j.s.Limit
	if j.p.Limit > 0 {
		limit = j.p.Limit
	}
	if limit <= 0 || j.o.Processes < 0 {
		return
	}
	// The limit counts by the client's address; where the host does not tell addresses, all may be from one.
	most, from := j.o.Processes, ""
	if len(j.o.Clients) > 0 {
		most = 0
		for _, addr := range slices.Sorted(maps.Keys(j.o.Clients)) {
			if n := j.o.Clients[addr]; n > most {
				most, from = n, " from "+addr
			}
		}
	}
	if most >= near(limit) {
		j.raise(NearLimit.alarm("", "%d connections%s are open, and the host allows %d", most, from, limit))
	}
}

// remember notes since when each alarm stands, and puts them in order.
func (j *judge) remember() {
	raised := map[string]Raised{}
	for i := range j.alarms {
		a := &j.alarms[i]
		was, before := j.old.Raised[a.key()]
		a.New, a.Since = !before, j.now
		if before && !was.Since.IsZero() {
			a.Since = was.Since
		}
		if len(raised) < 2*MaxMailboxes {
			raised[a.key()] = Raised{Since: a.Since}
		}
	}
	slices.SortStableFunc(j.alarms, func(a, b Alarm) int {
		if d := slices.Index(Kinds, a.Kind) - slices.Index(Kinds, b.Kind); d != 0 {
			return d
		}
		return inOrder(a.Mailbox, b.Mailbox)
	})
	for _, key := range j.unasked {
		raised[key] = j.old.Raised[key]
	}
	j.s.Raised = raised
	if !j.o.Waited {
		j.s.Looks++
		if j.o.Failure == nil {
			j.s.Looked, j.s.Spare = j.now, j.unmissed
		}
	}
}
