package inspect

import (
	"slices"

	"dovemend/repair/dovecot"
)

// byName is the number of an extension in an introduction that goes by its name.
const byName = 0xffffffff

// logExts follows which extension the records of a log are about. A log introduces an extension by its name when it makes
// it, and later by its number, which is its position in the index.
type logExts struct {
	names []string // by number
	known bool     // the numbers are known: the log starts from nothing, or its index is there

	name string // the one introduced last, "" if it is not known
	size int    // the size of its records by that introduction
}

// newLogExts begins with a log. base gives the index it belongs to, or nil; it is only asked where it is needed.
func newLogExts(l *dovecot.Log, base func() *dovecot.Index) *logExts {
	x := &logExts{known: l.Header.PrevSeq == 0}
	if x.known {
		return x
	}
	if base := base(); base != nil && base.Header.IndexID == l.Header.IndexID {
		x.known = true
		for i := range base.Exts {
			x.names = append(x.names, base.Exts[i].Name)
		}
	}
	return x
}

// follow takes notice of a record that introduces extensions. The first keyword makes the extension "keywords" without
// a word, which takes a number too.
func (x *logExts) follow(r *dovecot.LogRecord) {
	switch r.Type {
	case dovecot.LogKeywordUpdate:
		x.add("keywords")
	case dovecot.LogExtIntro:
		for e := range r.ExtIntros() {
			x.size = int(e.RecordSize)
			if x.name = e.Name; e.ID == byName {
				x.add(e.Name)
				continue
			}
			if x.name = ""; x.known && int64(e.ID) < int64(len(x.names)) && (!r.Recovered || fits(x.names[e.ID], x.size)) {
				x.name = x.names[e.ID]
			}
		}
	}
}

func (x *logExts) add(name string) {
	if x.known && !slices.Contains(x.names, name) {
		x.names = append(x.names, name)
	}
}

// fits reports whether records of an extension may have this size: behind damage an introduction may be missing, and
// the numbers after it are others.
func fits(name string, size int) bool {
	parts, ok := extValues[name]
	if !ok {
		return size == 0 || extHeaders[name] == nil
	}
	last := parts[len(parts)-1]
	return last.at+last.size <= size
}
