package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Survey says what [Host.Surveyed] looks at.
type Survey struct {
	Places []string // absolute paths; a "*" stands for any text within one component
	Depth  int      // how many levels beneath them
	Prune  []string // names of directories that are not looked into
}

// A survey ends when it has taken this long or this much: what it has not seen is asked for by itself.
var (
	surveyTime    = 2 * time.Second
	surveyEntries = 40_000
	surveyText    = 8 << 20 // bytes of paths
)

// survey is what one command told of the host's directories, by path as in [FS].
type survey struct {
	at      map[string]*fileInfo
	in      map[string][]fs.DirEntry // what lies in the directories that were looked into
	links   map[string]string        // where symbolic links lead
	missing map[string]bool
	last    string
	taken   int // entries
	text    int // bytes of their paths
}

// Surveyed gives the host's files as [Host.FS] does, but lists first, with one command, what lies at and beneath some places:
// Lstat, ReadLink and ReadDir answer from that where they can. It is for looking around over a slow line, not for deciding by it, as what it
// tells is as old as the survey. Where the host has no shell or no find for it, or it fails, the files are those of [Host.FS].
func (h *Host) Surveyed(ctx context.Context, s Survey) *FS {
	f := h.FS(ctx)
	if !h.Info().Shell || !h.bulk.sameHome || h.bulk.find != "gnu" || h.bulk.noFind.Load() || h.cfg.Engine == EngineSFTP {
		return f
	}
	v := &survey{at: map[string]*fileInfo{}, in: map[string][]fs.DirEntry{}, links: map[string]string{}, missing: map[string]bool{}}
	err := h.survey(ctx, s, v)
	switch {
	case err == nil:
	case errors.Is(err, errSurveyCut):
		// Of the directories that find was in, there may be more.
		for dir := v.last; ; dir = path.Dir(dir) {
			delete(v.in, dir)
			if dir == "." {
				break
			}
		}
	default:
		h.log.Info("the host's directories are looked at one by one", "reason", err)
		return f
	}
	for dir, list := range v.in {
		slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
		v.in[dir] = slices.CompactFunc(list, func(a, b fs.DirEntry) bool { return a.Name() == b.Name() })
	}
	h.log.Debug("surveyed", "entries", len(v.at), "whole", err == nil)
	f.known = v
	return f
}

// errSurveyCut: the survey has reached a bound.
var errSurveyCut = errors.New("there is much")

func (h *Host) survey(ctx context.Context, s Survey, v *survey) error {
	script, err := s.script()
	if err != nil {
		return err
	}
	l, err := h.readable(ctx)
	if err != nil {
		return err
	}
	brief, cancel := context.WithTimeout(ctx, surveyTime)
	defer cancel()
	err = l.list(brief, script, func(facts string, e Listed) error { return v.take(facts, e) })
	if ctx.Err() == nil && brief.Err() != nil {
		err = errSurveyCut
	}
	return err
}

// take notes one entry. Before its facts stands "-" where a directory was not looked into, or how deep it lies and how deep was
// looked, as in "2/9:".
func (v *survey) take(prefix string, e Listed) error {
	if _, err := remotePath("list", e.Path); err != nil {
		return err
	}
	if v.taken, v.text = v.taken+1, v.text+len(e.Path); v.taken > surveyEntries || v.text > surveyText {
		return errSurveyCut
	}
	if prefix == "missing" {
		v.missing[e.Path] = true
		return nil
	}
	v.last = e.Path
	info := &fileInfo{name: path.Base(e.Path), size: e.Size, mode: e.Type | e.Mode, mtime: e.MTime, stat: e.Stat}
	v.at[e.Path] = info
	if e.Type == fs.ModeSymlink && validRemote(e.Target) {
		v.links[e.Path] = e.Target
	}
	if e.Path != "." {
		dir := path.Dir(e.Path)
		if list, ok := v.in[dir]; ok {
			v.in[dir] = append(list, fs.FileInfoToDirEntry(info))
		}
	}
	var depth, most int
	if n, _ := fmt.Sscanf(prefix, "%d/%d", &depth, &most); n == 2 && depth < most && e.Type == fs.ModeDir && e.Err == nil {
		if v.in[e.Path] == nil {
			v.in[e.Path] = []fs.DirEntry{}
		}
	}
	return nil
}

// script prints what lies on the ways to the places, then what lies at and beneath them.
func (s Survey) script() (string, error) {
	ways, wide, plain := map[string]bool{}, map[string]bool{}, map[string]bool{}
	var starred []string
	for _, p := range s.Places {
		rel := strings.TrimPrefix(path.Clean(p), "/")
		if _, err := remotePath("survey", strings.ReplaceAll(rel, "*", "x")); err != nil || !path.IsAbs(p) {
			return "", &fs.PathError{Op: "survey", Path: p, Err: fs.ErrInvalid}
		}
		dir := "."
		for c := range strings.SplitSeq(path.Dir(rel), "/") {
			if strings.Contains(c, "*") {
				wide[dir] = true
				break
			}
			dir = path.Join(dir, c)
			ways[dir] = true
		}
		if strings.Contains(rel, "*") {
			starred = append(starred, rel)
		} else {
			plain[rel] = true
		}
	}
	var b strings.Builder
	b.WriteString("cd / || exit 1\nLC_ALL=C; export LC_ALL\n")
	// What is not there is told where that can be known.
	b.WriteString(`t() { if [ -e "$1" ] || [ -h "$1" ]; then return 0; fi
if [ -x "${1%/*}" ]; then printf 'missing:n 0 0 0 0 0 0\0%s\0\0' "$1"; fi; return 1; }
`)
	words := func(set map[string]bool) {
		b.WriteString("set --\n")
		for _, p := range slices.Sorted(maps.Keys(set)) {
			fmt.Fprintf(&b, "t %s && set -- \"$@\" %[1]s\n", quote(dotted(p)))
		}
	}
	words(ways)
	fmt.Fprintf(&b, "[ \"$#\" -eq 0 ] || find \"$@\" -maxdepth 0 -printf %s || exit 1\n", quote("-:"+findFormat))
	words(wide)
	fmt.Fprintf(&b, "[ \"$#\" -eq 0 ] || find \"$@\" -ignore_readdir_race -maxdepth 1 -printf %s || exit 1\n", quote("%d/1:"+findFormat))
	words(plain)
	for _, p := range starred {
		star := strings.Index(p, "*")
		end := len(p)
		if i := strings.Index(p[star:], "/"); i >= 0 {
			end = star + i
		}
		parts := strings.Split(dotted(p[:end]), "*")
		for i := range parts {
			parts[i] = quote(parts[i])
		}
		rest := strings.Split(p[end:], "*")
		for i := range rest {
			rest[i] = quote(rest[i])
		}
		fmt.Fprintf(&b, "for d in %s; do for p in \"$d\"%s; do\n", strings.Join(parts, "*"), strings.Join(rest, "*"))
		for _, q := range slices.Sorted(maps.Keys(plain)) {
			fmt.Fprintf(&b, "[ \"$p\" != %s ] || continue\n", quote(dotted(q)))
		}
		b.WriteString("t \"$p\" && set -- \"$@\" \"$p\"\ndone; done\n")
	}
	fmt.Fprintf(&b, "[ \"$#\" -eq 0 ] || exec find \"$@\" -ignore_readdir_race -maxdepth %d %s -printf %s -prune -o", s.Depth, findUnreadable, quote("-:!"+findFormat))
	if len(s.Prune) > 0 {
		b.WriteString(` -type d \( `)
		for i, name := range s.Prune {
			if i > 0 {
				b.WriteString(" -o ")
			}
			b.WriteString("-name " + quote(globEscape(name)))
		}
		fmt.Fprintf(&b, ` \) -printf %s -prune -o`, quote("-:"+findFormat))
	}
	fmt.Fprintf(&b, " -printf %s\n", quote(fmt.Sprintf("%%d/%d:", s.Depth)+findFormat))
	if b.Len() > lineLimit/5 {
		return "", fmt.Errorf("survey: %d places are too many", len(s.Places))
	}
	return b.String(), nil
}

// lstat gives what is known of a name. ok is false where nothing is.
func (v *survey) lstat(name string) (info fs.FileInfo, err error, ok bool) {
	if v == nil {
		return nil, nil, false
	}
	if at, ok := v.at[name]; ok {
		return at, nil, true
	}
	_, whole := v.in[path.Dir(name)]
	gone := whole && name != "."
	for p := name; p != "." && !gone; p = path.Dir(p) {
		gone = v.missing[p]
	}
	if gone {
		return nil, &fs.PathError{Op: "lstat", Path: name, Err: fs.ErrNotExist}, true
	}
	return nil, nil, false
}

// link gives where a symbolic link leads, "" where that is not known.
func (v *survey) link(name string) string {
	if v == nil {
		return ""
	}
	return v.links[name]
}

// list gives what lies in a directory, where that is known.
func (v *survey) list(name string) ([]fs.DirEntry, bool) {
	if v == nil {
		return nil, false
	}
	list, ok := v.in[name]
	return slices.Clone(list), ok
}
