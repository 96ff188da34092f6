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
	"testing"
	"time"

	"dovemend/remote/remotetest/damage"
)

// result is what came of a damage.
type result struct {
	cell
	broken  []string
	ways    map[string]tally
	aborted bool // doveadm died of an assertion
	mended  mended
	after   mended    // with an earlier copy
	told    []verdict // what dovemend lost, and whether the broken files told it
}

// test does one damage and all ways of treating it. It gives nil where the store has nothing to damage so.
func (h *host) test(t *testing.T, c cell) *result {
	t.Helper()
	b := h.stores[c.store]
	h.copyBefore(t, c.store)
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
	if dir := os.Getenv("DOVEMEND_FIDELITY_KEEP"); dir != "" { // to be looked at
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, strings.ReplaceAll(c.String(), "/", "-"))
		copyTree(t, broken, name)
		copyTree(t, h.copies[copied[c.store]], name+"-copied")
	}
	for _, w := range ways {
		h.lay(t, broken)
		at := h.logSize(t)
		began := time.Now()
		done := w.does(t, h, c, r.broken)
		acted := time.Since(began)
		readings := h.look(t, b.truth, true)
		n := count(b.truth, h.numbers, readings)
		log := h.logFrom(t, at)
		n.addLog(log)
		r.ways[w.name] = n
		if w.name == own {
			r.mended = done
		}
		if w.name == after {
			r.after = done
		}
		if w.name == own || w.name == after {
			for _, l := range complaints(log) {
				t.Logf("Dovecot complains: %s", l)
			}
		}
		r.aborted = r.aborted || w.name == resyncs && done.err != nil && strings.Contains(done.err.Error(), "Panic: ")
		t.Logf("%-18s %s %v %s (%v, looked %v)", w.name, n.text(), stateOf(done), errText(done.err), acted.Round(time.Millisecond), (time.Since(began) - acted).Round(time.Millisecond))
	}
	for _, l := range r.ways[own].lost {
		r.told = append(r.told, judge(&b.oracle, ruins, l))
	}
	withoutMail(r.told, b.truth)
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
	h.look(t, b.truth, false)
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
