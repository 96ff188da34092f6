package fidelity

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"dovemend/remote/remotetest/damage"
)

// ruins are what a damage took from a store.
type ruins struct {
	lost map[string][]stretch // bytes, by the names of files relative to the mail root
	gone map[string]bool      // names of files that are there no more
}

// stretch is a part of a file.
type stretch struct{ from, to int64 }

// ruinsOf collects what some changes destroyed. What is written into a file with several names is written into it under all of them;
// what is removed is one name.
func ruinsOf(root string, links map[string][]string, changes []damage.Change) *ruins {
	r := &ruins{lost: make(map[string][]stretch), gone: make(map[string]bool)}
	for _, c := range changes {
		if !c.Destroys() {
			continue
		}
		rel, err := filepath.Rel(root, c.File)
		if err != nil {
			rel = c.File
		}
		names := []string{rel}
		if c.What == damage.Removed {
			r.gone[rel] = true
		} else {
			names = append(names, links[rel]...)
		}
		for _, name := range names {
			r.lost[name] = append(r.lost[name], stretch{c.Offset, c.Offset + c.Length})
		}
	}
	return r
}

// lose takes a whole file.
func (r *ruins) lose(file string, size int64) { r.lost[file] = append(r.lost[file], stretch{0, size}) }

func (r *ruins) intact(file string, from, to int64) bool {
	return !r.gone[file] && !slices.ContainsFunc(r.lost[file], func(s stretch) bool { return s.from < to && from < s.to })
}

// within counts the lost bytes of a part of a file.
func (r *ruins) within(file string, from, to int64) (n int64) {
	for _, s := range r.lost[file] {
		n += max(0, min(s.to, to)-max(s.from, from))
	}
	return n
}

// text tells what is lost of some files.
func (r *ruins) text(files map[string]bool) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		switch s := slices.SortedFunc(slices.Values(r.lost[name]), func(a, b stretch) int { return cmp.Compare(a.from, b.from) }); {
		case r.gone[name]:
			parts = append(parts, name+" (removed)")
		case len(s) > 0:
			var l []string
			for _, s := range s {
				l = append(l, fmt.Sprintf("%d–%d", s.from, s.to-1))
			}
			parts = append(parts, name+" "+strings.Join(l, ", "))
		}
	}
	return strings.Join(parts, "; ")
}

// evidence is something that tells a fact as long as some bytes are there.
type evidence interface {
	told(*ruins) bool
	// lacks adds the files whose loss it is that the fact is not told.
	lacks(r *ruins, files map[string]bool)
}

// bytesOf tells a fact by some bytes of a file.
type bytesOf struct {
	file     string
	from, to int64
}

func (b bytesOf) told(r *ruins) bool { return r.intact(b.file, b.from, b.to) }

func (b bytesOf) lacks(r *ruins, files map[string]bool) {
	if !b.told(r) {
		files[b.file] = true
	}
}

// nameOf tells a fact by a file's being there, whatever is in it. Its name may be another one since: where a damage gives it one, that
// one tells as much.
type nameOf string

func (n nameOf) told(r *ruins) bool { return !r.gone[string(n)] }

func (n nameOf) lacks(r *ruins, files map[string]bool) {
	if !n.told(r) {
		files[string(n)] = true
	}
}

// fieldOf tells a fact by a field of an index's header. In a header in which more than one field is wrong, none can be believed.
type fieldOf bytesOf

const (
	indexHeader = 120 // struct mail_index_header
	oneField    = 4
)

func (f fieldOf) told(r *ruins) bool {
	return r.intact(f.file, f.from, f.to) && r.within(f.file, 0, indexHeader) <= oneField
}

func (f fieldOf) lacks(r *ruins, files map[string]bool) {
	if !f.told(r) {
		files[f.file] = true
	}
}

// every tells a fact if all of its parts are told; nothing at all is needed for an empty one.
type every []evidence

func (e every) told(r *ruins) bool {
	return !slices.ContainsFunc(e, func(part evidence) bool { return !part.told(r) })
}

func (e every) lacks(r *ruins, files map[string]bool) {
	for _, part := range e {
		part.lacks(r, files)
	}
}

// either tells a fact if one of its parts is told. An empty one never does: nothing in the sound files tells the fact in a way
// that the oracle knows.
type either []evidence

func (e either) told(r *ruins) bool {
	return slices.ContainsFunc(e, func(part evidence) bool { return part.told(r) })
}

func (e either) lacks(r *ruins, files map[string]bool) {
	if e.told(r) {
		return
	}
	for _, part := range e {
		part.lacks(r, files)
	}
}
