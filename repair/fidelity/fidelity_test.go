package fidelity

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dovemend/remote/remotetest/damage"
)

// enforced makes the test fail by what it finds. It is to be set with repair --remedy auto, which has to pass it: the remedies that there
// are so far (removing dovecot.index, or clearing the folder) are those that Dovecot's users know, and lose what those lose. A
// full run fails by it in any case.
const enforced = false

func TestFidelity(t *testing.T) {
	s := readSettings(t)
	all := &report{full: s.full && s.only == nil}
	began := time.Now()
	t.Run("cells", func(t *testing.T) { // ends when all that run in parallel have ended
		for _, layout := range layouts {
			cells := s.cells(layout)
			if len(cells) == 0 {
				continue
			}
			t.Run(layout, func(t *testing.T) {
				if os.Getuid() == 0 {
					t.Parallel() // else all hosts belong to one user, and a repair ends the processes of the others
				}
				wanted := make(map[string]bool)
				for _, c := range cells {
					wanted[c.store] = true
				}
				h := newHost(t, layout, wanted)
				all.version(h.version(t))
				for _, c := range cells {
					t.Run(fmt.Sprint(c.kind, "/", c.store, "/", c.seed), func(t *testing.T) {
						if r := h.test(t, c); r != nil {
							all.add(*r)
						}
					})
				}
			})
		}
	})
	if len(all.results) == 0 {
		return
	}
	complete := !t.Failed() // what was done could be counted
	t.Logf("%d damages in %v", len(all.results), time.Since(began).Round(time.Second))
	t.Logf("\n%s", all.plain())
	say := t.Logf
	if enforced || s.full {
		say = t.Errorf
	}
	if failures := all.failures(); len(failures) > 0 {
		say("%d failures:\n%s", len(failures), strings.Join(failures, "\n"))
	}
	if s.write && complete {
		if err := os.WriteFile(filepath.Join("..", "..", "docs", "fidelity.md"), []byte(all.markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// result is what came of a damage.
type result struct {
	cell
	broken  []string
	ways    map[string]tally
	aborted bool // doveadm died of an assertion
	mended  mended
	told    []verdict // what dovemend lost, and whether the broken files told it
}

// verdict is one thing that was lost.
type verdict struct {
	lost
	recoverable bool   // some chain of bytes that tells it is whole
	unknown     bool   // the oracle knows of none even in the sound files
	gone        string // the bytes that told it
}

// test does one damage and all ways of treating it. It gives nil where the store has nothing to damage so.
func (h *host) test(t *testing.T, c cell) *result {
	t.Helper()
	b := h.stores[c.store]
	h.lay(t, b.saved)
	changes, err := damage.Break(h.target(c.mailbox()), c.kind, c.seed)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := &result{cell: c, broken: h.broken(c, b, changes), ways: make(map[string]tally)}
	ruins := ruinsOf(h.MailRoot(), b.links, changes)
	h.checkTold(t, b, changes, ruins)
	if damage.Looked(c.kind) {
		h.dovecotLooks(t, b, ruins)
	}
	broken := filepath.Join(h.Dir(), "broken")
	h.quiet(t)
	copyTree(t, h.MailRoot(), broken)
	for _, w := range ways {
		h.lay(t, broken)
		at := h.logSize(t)
		began := time.Now()
		done := w.does(t, h, r.broken)
		acted := time.Since(began)
		readings := h.look(t, b.truth)
		n := count(b.truth, h.numbers, readings)
		log := h.logFrom(t, at)
		n.addLog(log)
		r.ways[w.name] = n
		if w.name == own {
			r.mended = done
		}
		r.aborted = r.aborted || w.name == resyncs && done.err != nil && strings.Contains(done.err.Error(), "Panic: ")
		t.Logf("%-18s %s %v %s (%v, looked %v)", w.name, n.text(), stateOf(done), errText(done.err), acted.Round(time.Millisecond), (time.Since(began) - acted).Round(time.Millisecond))
	}
	for _, l := range r.ways[own].lost {
		r.told = append(r.told, judge(&b.oracle, ruins, l))
	}
	for _, text := range grouped(r.told) {
		t.Logf("lost: %s", text)
	}
	return r
}

func stateOf(m mended) string {
	if m.state == "" {
		return ""
	}
	return fmt.Sprintf("[%s: %s]", m.remedy, m.state)
}

// errText is the beginning of an error: Dovecot's can be pages.
func errText(err error) string {
	if err == nil {
		return ""
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text[:min(len(text), 200)]
}

// judge asks the oracle about a loss.
func judge(o *oracle, r *ruins, l lost) verdict {
	e := o.tells(l)
	if e == nil {
		return verdict{lost: l, unknown: true}
	}
	v := verdict{lost: l, recoverable: e.told(r)}
	if !v.recoverable {
		files := make(map[string]bool)
		e.lacks(r, files)
		v.gone = r.text(files)
		v.unknown = v.gone == ""
	}
	return v
}

// grouped tells verdicts in words, those of one mailbox and one kind together.
func grouped(all []verdict) []string {
	numbers := make(map[string][]string)
	for _, v := range all {
		how := "told by " + v.gone
		switch {
		case v.recoverable:
			how = "which the broken files tell"
		case v.unknown:
			how = "of which the oracle knows nothing"
		}
		k := fmt.Sprintf("%s in %s, %s", v.what, v.mailbox, how)
		numbers[k] = append(numbers[k], fmt.Sprint(v.number))
	}
	var texts []string
	for _, k := range slices.Sorted(maps.Keys(numbers)) {
		texts = append(texts, fmt.Sprintf("%d × %s (%s)", len(numbers[k]), k, strings.Join(numbers[k], " ")))
	}
	return texts
}

// checkTold holds what the damage tells of its changes against the files.
func (h *host) checkTold(t *testing.T, b *base, changes []damage.Change, r *ruins) {
	t.Helper()
	touched := make(map[string]bool)
	for _, c := range changes {
		rel, err := filepath.Rel(h.MailRoot(), c.File)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range append([]string{rel}, b.links[rel]...) {
			touched[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		data, err := os.ReadFile(filepath.Join(h.MailRoot(), name))
		if touched[name] {
			continue
		}
		if err != nil || string(data) != string(b.files[name]) {
			t.Fatalf("%s was changed, and the damage does not tell: %v", name, err)
		}
	}
	for name, lost := range r.lost {
		if _, ok := b.files[name]; !ok && lost[0].to > 0 { // else it is a directory
			t.Fatalf("%s was changed and was not there before", name)
		}
	}
}

// dovecotLooks lets Dovecot look at the broken mailboxes before anybody does anything. What it writes over counts as lost.
func (h *host) dovecotLooks(t *testing.T, b *base, r *ruins) {
	t.Helper()
	h.look(t, b.truth)
	h.quiet(t)
	for name, was := range b.files {
		now, err := os.ReadFile(filepath.Join(h.MailRoot(), name))
		if errors.Is(err, fs.ErrNotExist) {
			r.gone[name] = true
		} else if err != nil {
			t.Fatal(err)
		}
		if string(now) != string(was) {
			r.lose(name, int64(len(was)))
		}
	}
}

// report is what came of all damages.
type report struct {
	mu      sync.Mutex
	full    bool
	dovecot string // its version
	results []result
}

func (r *report) version(v string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dovecot = v
}

func (r *report) add(one result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, one)
}
