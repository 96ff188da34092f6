package probe

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"dovemend/remote/imap"
)

// plain is a set as a map, to compare with.
func plain(s uidSet) map[uint32]bool {
	m := map[uint32]bool{}
	for i, r := range s {
		if r.First == 0 || r.Last < r.First || i > 0 && uint64(s[i-1].Last)+1 >= uint64(r.First) {
			panic(fmt.Sprint("not a set: ", s))
		}
		for u := r.First; u <= r.Last; u++ {
			m[u] = true
		}
	}
	return m
}

func TestUIDSetsAgreeWithPlainOnes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func() uidSet {
		var uids []uint32
		for range r.IntN(20) {
			uids = append(uids, uint32(1+r.IntN(40)))
		}
		return setOf(uids...)
	}
	for range 3000 {
		a, b := random(), random()
		pa, pb := plain(a), plain(b)
		minus, and, or := plain(a.minus(b)), plain(a.and(b)), plain(a.or(b))
		n := r.IntN(25)
		first, rest := a.cut(n)
		pf, pr := plain(first), plain(rest)
		if len(pf) != min(n, len(pa)) || len(pf)+len(pr) != len(pa) || a.size() != len(pa) {
			t.Fatalf("%v cut at %d: %v, %v", a, n, first, rest)
		}
		bridged := plain(a.bridge(b.minus(a)))
		for u := uint32(1); u <= 41; u++ {
			if minus[u] != (pa[u] && !pb[u]) || and[u] != (pa[u] && pb[u]) || or[u] != (pa[u] || pb[u]) || a.has(u) != pa[u] || pa[u] != (pf[u] || pr[u]) {
				t.Fatalf("%v and %v at %d", a, b, u)
			}
			if pa[u] && !bridged[u] || !pa[u] && pb[u] && bridged[u] {
				t.Fatalf("%v bridged around %v: %v", a, b, a.bridge(b.minus(a)))
			}
		}
		for i := range len(pa) {
			if !pa[a.at(i)] || i > 0 && a.at(i) <= a.at(i-1) {
				t.Fatalf("%v at %d: %d", a, i, a.at(i))
			}
		}
	}
	if top := (uidSet{{First: 5, Last: 1<<32 - 1}}).minus(setOf(1<<32 - 1)); top[0].Last != 1<<32-2 {
		t.Errorf("the highest UID stays: %v", top)
	}
}

func TestUIDRangesAreWrittenAsIMAPDoes(t *testing.T) {
	b, err := json.Marshal([]imap.UIDRange{{First: 3, Last: 9}, {First: 17, Last: 17}})
	if err != nil || string(b) != `["3:9","17"]` {
		t.Errorf("%s, %v", b, err)
	}
	var back []imap.UIDRange
	if err := json.Unmarshal(b, &back); err != nil || fmt.Sprint(back) != "[3:9 17]" {
		t.Errorf("%v, %v", back, err)
	}
	for _, bad := range []string{`["0"]`, `["9:3"]`, `["1:x"]`, `[""]`, `["5000000000"]`} {
		if json.Unmarshal([]byte(bad), &back) == nil {
			t.Errorf("%s is taken for a range", bad)
		}
	}
}
