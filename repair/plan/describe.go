package plan

import (
	"fmt"
	"strings"

	"dovemend/repair/store"
)

// mostPaths is how many paths of one kind [Describe] names before it counts the rest.
const mostPaths = 12

// Describe tells a plan in plain words, a line per entry, fit to print as they are: what it does to which files, what
// it costs, what will be true afterwards, and what the reader should know.
func Describe(p *Plan) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	names := make([]string, len(p.Mailboxes))
	for i, m := range p.Mailboxes {
		names[i] = safe(m)
	}
	add("%s: %s, %s in %s", p.Remedy, strings.Join(names, ", "), p.Layout, safe(string(p.Root)))
	if p.Of != "" {
		add("takes back run %s", p.Of)
	}
	if p.Moves != nil {
		lines = append(lines, p.Moves.lines(p.Remedy == Undo)...)
	}
	if p.Empty() {
		add("nothing to do")
	}
	for i := 0; i < len(p.Steps); {
		j := i
		var bytes int64
		for j < len(p.Steps) && alike(p.Steps[i], p.Steps[j]) {
			bytes += max(p.Steps[j].Expect.Size, p.Steps[j].Size)
			j++
		}
		lines = append(lines, describeSteps(p.Steps[i:j], bytes)...)
		i = j
	}
	for _, c := range p.Costs {
		add("costs, in %s: %s", safe(c.Mailbox), c.Text)
	}
	for _, pr := range p.Promise {
		add("afterwards, in %s: %s", safe(pr.Mailbox), pr.words())
	}
	for _, n := range p.Notes {
		add("note: %s", n)
	}
	return lines
}

// alike says whether two steps are told together.
func alike(x, y Step) bool {
	return x.Op == y.Op && x.Why == y.Why && (x.ToClass == ClassAside) == (y.ToClass == ClassAside)
}

func describeSteps(steps []Step, bytes int64) []string {
	s := steps[0]
	what := map[Op]string{OpRemove: "remove", OpRemoveDir: "remove empty directory", OpMkdir: "make directory",
		OpRename: "move back", OpPut: "put back from the snapshot", OpSetAttr: "set mode and time of"}[s.Op]
	switch {
	case s.ToClass == ClassAside:
		what = "set aside"
	case s.Op == OpPut && s.Class == ClassTemp:
		what = "copy to the host"
	case s.Op == OpRename && s.Class == ClassTemp:
		what = "put into place"
	case s.Op == OpRename && s.Class == s.ToClass:
		what = "rename"
	}
	unit := "file"
	if s.Op == OpMkdir || s.Op == OpRemoveDir || s.Op == OpSetAttr {
		unit = "path"
	}
	head := fmt.Sprintf("%s %s", what, count(len(steps), unit))
	if bytes > 0 {
		head += fmt.Sprintf(", %d bytes", bytes)
	}
	lines := []string{head + ": " + s.Why}
	for i, s := range steps {
		if i == mostPaths && len(steps) > mostPaths+1 {
			return append(lines, fmt.Sprintf("  … and %d more", len(steps)-i))
		}
		lines = append(lines, "  "+safe(string(shown(s))))
	}
	return lines
}

// words tells a promise.
func (p Promise) words() string {
	var w []string
	switch {
	case p.Messages >= 0:
		w = append(w, count(p.Messages, "message"))
	case !p.Flags && !p.UIDs:
		return "not foretold"
	default:
		w = append(w, "the messages that can be read")
	}
	if p.Messages != 0 {
		w = append(w, map[bool]string{true: "flags and keywords as before", false: "flags or keywords not as before"}[p.Flags])
		w = append(w, map[bool]string{true: "UIDs as before", false: "new UIDs"}[p.UIDs])
	}
	return strings.Join(w, ", ")
}

// shown is the path a person knows: not the one beneath dovemend-aside.
func shown(s Step) store.RelPath {
	if s.Op == OpRename && (s.Class == ClassAside || s.Class == ClassTemp) {
		return s.To
	}
	return s.Path
}
