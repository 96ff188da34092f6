package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"dovemend/repair/rebuild"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// tempPrefix begins the names of files that are not in their places yet.
const tempPrefix = ".dovemend-"

// rebuild turns the work of a rebuild into steps. All new files are on the host, under names of ours, before anything is taken
// out; then what they replace goes, group by group, and they take its place at once.
func (b *builder) rebuild() error {
	w := b.in.Rebuilt
	for _, text := range w.Notes {
		b.note("%s", text)
	}
	var puts []Step
	temps := map[store.RelPath]store.RelPath{}
	for i, f := range w.Put {
		temp := join(b.tempDir(parent(f.Path)), fmt.Sprintf("%s%s-%d", tempPrefix, b.in.Run, i+1))
		temps[f.Path] = temp
		puts = append(puts, Step{Op: OpPut, Path: temp, Temp: temp + ".part", Class: ClassTemp, Expect: Expect{Absent: true}, Source: store.RelPath(f.Source),
			Size: f.Size, SHA256: f.SHA256, Mode: f.Mode, MTime: f.MTime, Why: "the new files, not yet in their places"})
	}
	b.p.Steps = append(b.p.Steps, puts...)
	groups := []string{""} // what is shared comes first, so that no mailbox ever refers to what is not there yet
	for _, x := range w.Boxes {
		groups = append(groups, x.Mailbox.Name)
	}
	for _, name := range groups {
		if err := b.group(name, temps); err != nil {
			return err
		}
	}
	for _, x := range w.Boxes {
		b.rebuilt(x)
	}
	return nil
}

// group plans for what belongs to one mailbox, or with "" to all.
func (b *builder) group(mailbox string, temps map[store.RelPath]store.RelPath) error {
	w := b.in.Rebuilt
	dirs := map[store.RelPath]bool{}
	for _, m := range w.Move {
		if m.Mailbox != mailbox {
			continue
		}
		e, ok := b.at[m.From]
		if !ok {
			return &NoCopyError{Path: m.From, Why: "the snapshot does not hold it"}
		}
		if err := verified(e); err != nil {
			return err
		}
		b.p.Steps = append(b.p.Steps, Step{Op: OpRename, Path: m.From, To: m.To, Class: ClassMailboxFile, ToClass: ClassMailboxFile, Expect: expect(e), Why: m.Why})
		dirs[parent(m.From)] = true
	}
	for _, m := range w.Modes {
		e, ok := b.at[m.Path]
		if m.Mailbox != mailbox || !ok || slices.ContainsFunc(b.p.Steps, func(s Step) bool { return s.Op == OpSetAttr && s.Path == m.Path }) {
			continue
		}
		x := expect(e)
		x.SHA256, x.MTime = "", e.MTime
		b.p.Steps = append(b.p.Steps, Step{Op: OpSetAttr, Path: m.Path, Class: classOf(m.Path), Expect: x, Mode: m.Mode, Why: "it gets its permissions back: its owner may not read it"})
		dirs[parent(m.Path)] = true
	}
	for _, t := range w.Times {
		if t.Mailbox != mailbox {
			continue
		}
		e, ok := b.at[t.From]
		if !ok {
			return &NoCopyError{Path: t.From, Why: "the snapshot does not hold it"}
		}
		b.p.Steps = append(b.p.Steps, Step{Op: OpSetAttr, Path: t.Path, Class: ClassMailboxFile, Expect: expect(e), Mode: e.Mode, MTime: t.MTime,
			Why: "the time at which the message was received, as mail programs were told it"})
		dirs[parent(t.Path)] = true
	}
	takes := slices.DeleteFunc(slices.Clone(w.Take), func(t rebuild.TakeOut) bool { return t.Mailbox != mailbox })
	slices.SortStableFunc(takes, func(x, y rebuild.TakeOut) int { return takeOrder(x.Path, y.Path) })
	for _, t := range takes {
		e, ok := b.at[t.Path]
		if !ok {
			return &NoCopyError{Path: t.Path, Why: "the snapshot does not hold it"}
		}
		if err := b.takeAway(e, t.Why, t.Poison); err != nil {
			return err
		}
		dirs[parent(t.Path)] = true
	}
	for _, f := range w.Put {
		if f.Mailbox != mailbox {
			continue
		}
		s := Step{Op: OpRename, Path: temps[f.Path], To: f.Path, Class: ClassTemp, ToClass: classOf(f.Path),
			Expect: Expect{Size: f.Size, SHA256: f.SHA256}, Why: f.Why}
		if isIndex(f.Path) { // a log that stands there already is of a process that woke up in between
			s.Clear = []store.RelPath{f.Path + ".log"}
		}
		b.p.Steps = append(b.p.Steps, s)
		dirs[parent(f.Path)], dirs[parent(temps[f.Path])] = true, true
	}
	b.rebuiltFolders(mailbox, dirs)
	return nil
}

// takeAway removes a file or sets it aside. What is no index file of a mailbox is always set aside.
func (b *builder) takeAway(e snapshot.Entry, why string, poison bool) error {
	if err := verified(e); err != nil {
		return err
	}
	s := Step{Op: OpRemove, Path: e.Path, Class: classOf(e.Path), Expect: expect(e), Why: why}
	inTree := strings.HasPrefix(string(e.Path), "mailboxes/")
	if b.p.Aside || poison || !inTree || !isIndex(e.Path) {
		s.Op, s.To, s.ToClass = OpRename, aside(b.in.Run, e.Path), ClassAside
	}
	b.p.Steps = append(b.p.Steps, s)
	return nil
}

// rebuiltFolders remembers the folders that a group changes.
func (b *builder) rebuiltFolders(mailbox string, dirs map[store.RelPath]bool) {
	var names []store.RelPath
	for d := range dirs {
		names = append(names, d)
	}
	slices.Sort(names)
	for _, d := range names {
		if slices.ContainsFunc(b.p.Folders, func(f Folder) bool { return f.Path == d }) {
			continue
		}
		scope := ScopeAll
		switch base := path.Base(string(d)); {
		case mailbox == "":
			scope = ScopeIndex
		case b.in.Account.Layout != store.Maildir:
		case base == "cur" || base == "new" || base == "tmp":
			scope = ScopeTouched
		default:
			scope = ScopeOwn
		}
		b.folder(store.Mailbox{Name: mailbox}, d, scope)
	}
}

// rebuilt adds what is promised of one mailbox.
func (b *builder) rebuilt(x rebuild.Box) {
	b.p.Mailboxes = append(b.p.Mailboxes, x.Mailbox.Name)
	promise := Promise{Mailbox: x.Mailbox.Name, Messages: x.Messages, Flags: true, UIDs: true, UIDValidity: x.UIDValidity}
	name := safe(x.Mailbox.Name)
	switch x.How {
	case rebuild.Nothing:
		promise.UIDValidity = 0
		b.note("in %s nothing wrong was found that a rebuild would mend: it is left as it is", name)
	case rebuild.Access:
		promise = Promise{Mailbox: x.Mailbox.Name, Messages: -1, Again: true}
		b.note("in %s files could not be copied because their owner may not read them. They get their permissions back, and nothing else is done: after that, the same command looks what is in them", name)
	case rebuild.Cache:
		b.note("in %s only the cache is damaged", name)
	case rebuild.ByFlag:
		promise.Messages, promise.Flags, promise.UIDs = -1, false, false
	}
	if x.Regained > 0 && x.How == rebuild.Exact {
		text := "in %s %s that no longer stood in its list come back; flags that nothing tells any more they have lost"
		if x.Recalled {
			text = "in %s %s that no longer stood in its list come back"
		}
		b.note(text, name, count(x.Regained, "message"))
	}
	if x.Healed > 0 {
		b.note("in %s %s that were damaged or gone are put back as an earlier copy has them", name, count(x.Healed, "message"))
	}
	if x.Mended > 0 {
		b.note("in %s %s whose framing was damaged are mended; their text is as it was", name, count(x.Mended, "message"))
	}
	for i, l := range x.LeftOut {
		promise.LeftOut = append(promise.LeftOut, uint32(l.Message.UID))
		if i < 10 {
			b.note("in %s message %d, on which Dovecot fails, is moved out of the way: %s; first, what of it can be read is written to salvaged/ in the run's folder", name, l.Message.UID, l.Why)
		}
	}
	if n := len(x.LeftOut) - 10; n > 0 {
		b.note("and %d more of that kind", n)
	}
	for _, text := range x.Notes {
		b.note("in %s: %s", name, text)
	}
	if f, ok := b.facts(x.Mailbox.Name); ok {
		b.p.Facts = append(b.p.Facts, f)
		if x.How == rebuild.Cache && f.LeftAloneLoses {
			promise.Messages, promise.Flags, promise.UIDs = -1, false, false
		}
	}
	for _, s := range b.p.Steps {
		if s.Op == OpRemove && slices.ContainsFunc(b.in.Rebuilt.Take, func(t rebuild.TakeOut) bool { return t.Path == s.Path && t.Mailbox == x.Mailbox.Name }) &&
			!slices.ContainsFunc(b.in.Rebuilt.Put, func(f rebuild.NewFile) bool { return f.Path == s.Path }) {
			promise.Gone = append(promise.Gone, s.Path)
		}
	}
	b.p.Promise = append(b.p.Promise, promise)
}

// tempDir is where files lie before they take their places: in the same folder, for a Maildir in tmp, which Dovecot itself
// cleans of old files.
func (b *builder) tempDir(dir store.RelPath) store.RelPath {
	if b.in.Account.Layout != store.Maildir {
		return dir
	}
	if base := path.Base(string(dir)); base == "cur" || base == "new" {
		dir = parent(dir)
	}
	if e, ok := b.at[join(dir, "tmp")]; ok && e.Type.IsDir() {
		return join(dir, "tmp")
	}
	return dir
}

// indexPrefixes are the names of Dovecot's indexes: of a mailbox, of mdbox's storage, of the list of mailboxes.
var indexPrefixes = []string{"dovecot.index", "dovecot.map.index", "dovecot.list.index"}

// isIndex reports whether a path is one of the files of an index.
func isIndex(p store.RelPath) bool { return family(p) != "" }

// family is the index that a file belongs to, or "".
func family(p store.RelPath) string {
	name := path.Base(string(p))
	for _, prefix := range indexPrefixes {
		if end, ok := strings.CutPrefix(name, prefix); ok && slices.Contains([]string{"", ".cache", ".backup", ".log.2", ".log"}, end) {
			return prefix
		}
	}
	return ""
}

// takeOrder is the order in which files may go: message files first, and of an index the list of messages last.
func takeOrder(x, y store.RelPath) int {
	rank := func(p store.RelPath) int {
		if !isIndex(p) {
			return 0
		}
		for i, end := range []string{".cache", ".backup", ".log.2", ".log"} {
			if strings.HasSuffix(string(p), end) {
				return i + 1
			}
		}
		return 9
	}
	return rank(x) - rank(y)
}
