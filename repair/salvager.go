package repair

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/salvage"
	"dovemend/repair/store"
)

// place is where a message is stored. The zero value is nowhere.
type place struct {
	file   store.RelPath
	offset int64 // -1 where the file is the message
}

// fate is what became of a stored message.
type fate struct {
	told      bool // it is in the ledger
	whole     bool // and was written from beginning to end
	elsewhere bool // a mailbox that was not asked for has it
}

// salvager hands the messages of an account out one by one, and keeps the ledger.
type salvager struct {
	fsys    fs.FS
	acct    *reconstruct.Account
	all     bool                        // all mailboxes were asked for
	trash   map[*reconstruct.State]bool // what was left of mailboxes that were deleted
	out     Salvaged
	stored  []place                       // of Maildir and sdbox: every file that is a message
	named   map[store.RelPath]bool        // in out.Unread
	boxes   map[string]*reconstruct.State // those asked for, by storage name
	temp    map[place]fs.FileInfo
	seen    map[place]fate
	now     place // of the message that is being written
	away    bool  // it lies in the alternative storage
	notes   int   // how many notes it came with: any more tell that something is missing
	parts   *attachments
	storage storageFile
	byGUID  map[dovecot.GUID][]*reconstruct.Stored // mdbox
	bases   map[string]bool                        // Maildir: base names that are in cur or new
	yield   func(*salvage.Message, error) bool
	ended   bool
}

// newSalvager prepares to hand out what is known of an account; where all of it is asked for, what was left of deleted mailboxes too.
func (l *Local) newSalvager(ctx context.Context, acct *reconstruct.Account, all bool) (*salvager, error) {
	var trash map[*reconstruct.State]bool
	if all {
		var err error
		if trash, err = l.readTrash(ctx, acct); err != nil {
			return nil, err
		}
	}
	x := newSalvager(l.FS, acct, all)
	x.trash = trash
	return x, nil
}

func newSalvager(fsys fs.FS, acct *reconstruct.Account, all bool) *salvager {
	x := &salvager{fsys: fsys, acct: acct, all: all, named: map[store.RelPath]bool{}, boxes: map[string]*reconstruct.State{}, temp: map[place]fs.FileInfo{},
		seen: map[place]fate{}, bases: map[string]bool{}, parts: &attachments{fsys: fsys}, storage: storageFile{fsys: fsys}}
	for _, s := range acct.Boxes {
		if x.boxes[s.Mailbox.Storage] == nil {
			x.boxes[s.Mailbox.Storage] = s
		}
	}
	return x
}

// expected is how many messages there will be, roughly: for the progress alone.
func (x *salvager) expected() int {
	n := len(x.acct.Orphans)
	for _, s := range x.acct.Boxes {
		n += len(s.Messages)
	}
	return n
}

// messages hands all messages out, mailbox by mailbox, each to be opened while it is written.
func (x *salvager) messages() iter.Seq2[*salvage.Message, error] {
	return func(yield func(*salvage.Message, error) bool) {
		x.yield = yield
		for _, s := range x.acct.Others {
			for i := range s.Messages {
				if st := s.Messages[i].Place(); st != nil {
					x.seen[x.at(&s.Messages[i])] = fate{elsewhere: true}
				}
			}
		}
		for _, s := range x.acct.Boxes {
			for i := range s.Messages {
				x.ofMailbox(s, &s.Messages[i])
			}
		}
		for i := range x.acct.Orphans {
			x.orphan(&x.acct.Orphans[i])
		}
		if x.acct.Storage != nil {
			x.sweepStorage(x.acct.Storage)
		}
		for _, p := range x.stored {
			x.sweepFile(p)
		}
		for _, f := range x.seen {
			if f.elsewhere && !f.told {
				x.out.Ledger.Elsewhere++
			}
		}
	}
}

// at is where a message is stored.
func (x *salvager) at(m *reconstruct.Message) place {
	switch {
	case x.acct.Storage == nil && m.File != "":
		return place{m.File, -1}
	case m.Place() != nil:
		return place{m.File, m.Place().Offset}
	}
	return place{}
}

func (x *salvager) ofMailbox(s *reconstruct.State, m *reconstruct.Message) {
	class := salvage.Current
	if m.Stray && s.Layout != store.Maildir || x.trash[s] {
		class = salvage.Expunged
	}
	if s.Layout == store.Maildir {
		x.bases[path.Join(path.Dir(path.Dir(string(m.File))), m.Name.Base)] = true
	}
	x.give(s, s.Mailbox.Name, class, m)
}

// orphan hands out a message that is in no mailbox, unless it was saved to one that was not asked for.
func (x *salvager) orphan(o *reconstruct.Orphan) {
	s := x.box(o.From)
	if s == nil && o.From != "" && !x.all {
		x.pass(x.at(&o.Message))
		return
	}
	class, note := salvage.Orphan, ""
	switch o.Fate {
	case reconstruct.Expunged:
		class = salvage.Expunged
	case reconstruct.SetAside:
		class, note = salvage.Damaged, "Dovecot had found its file damaged and set it aside"
	case reconstruct.Uncommitted:
		note = "saving it was never finished, as far as can be told"
	case reconstruct.Unplaced:
		note = "some mailbox should hold it, and nothing tells which"
	}
	twin, settled := "", false
	if x.acct.Storage != nil {
		twin, settled = x.twin(&o.Message)
	}
	if !settled {
		x.give(s, x.name(s, o.From), class, &o.Message, note, twin)
	}
}

// pass leaves out what belongs to a mailbox that was not asked for.
func (x *salvager) pass(p place) {
	if _, ok := x.seen[p]; !ok && p != (place{}) {
		x.seen[p] = fate{elsewhere: true}
	}
}

// box is the mailbox of that storage name, of those asked for.
func (x *salvager) box(storage string) *reconstruct.State {
	if storage == "" {
		return nil
	}
	return x.boxes[storage]
}

// name is a mailbox's name for people, also where the mailbox itself is gone.
func (x *salvager) name(s *reconstruct.State, storage string) string {
	switch {
	case s != nil:
		return s.Mailbox.Name
	case storage == "":
		return "unknown mailbox"
	}
	var parts []string
	for part := range strings.SplitSeq(storage, "/") {
		parts = append(parts, store.DecodeName(part))
	}
	return strings.Join(parts, "/")
}

// sweepStorage hands out what is stored in mdbox and was not met yet.
func (x *salvager) sweepStorage(t *reconstruct.Storage) {
	for i := range t.Stored {
		st := &t.Stored[i]
		m := reconstruct.MessageOf(t, st)
		if _, met := x.seen[x.at(m)]; met {
			continue
		}
		s := x.box(st.Mailbox)
		if s == nil && st.Mailbox != "" && !x.all {
			x.pass(x.at(m))
			continue
		}
		class, note := salvage.Orphan, "no mailbox refers to it"
		if strings.HasSuffix(string(m.File), ".broken") {
			class = salvage.Damaged
		}
		if twin, settled := x.twin(m); !settled {
			x.give(s, x.name(s, st.Mailbox), class, m, note, twin)
		}
	}
}

// twin looks whether the same message is stored elsewhere and was written already, whole and saying the same: then it is not
// written again. Where the other one differs, it says so.
func (x *salvager) twin(m *reconstruct.Message) (note string, settled bool) {
	t, st, p := x.acct.Storage, m.Place(), x.at(m)
	if st == nil || st.GUID.IsZero() {
		return "", false
	}
	if x.byGUID == nil {
		x.byGUID = map[dovecot.GUID][]*reconstruct.Stored{}
		for i := range t.Stored {
			if st := &t.Stored[i]; !st.GUID.IsZero() {
				x.byGUID[st.GUID] = append(x.byGUID[st.GUID], st)
			}
		}
	}
	for _, o := range x.byGUID[st.GUID] {
		f, met := x.seen[place{t.Files[o.File].Name, o.Offset}]
		switch {
		case o == st || !met:
		case f.elsewhere && !f.told:
			x.pass(p)
			return "", true
		case f.whole && (o.BodySize == st.BodySize || len(gaps(m)) > 0):
			x.seen[p] = fate{told: true}
			x.out.Ledger.Duplicates++
			return "", true
		default:
			note = fmt.Sprintf("the same message is stored in %s at %d too, and is not the same there", t.Files[o.File].Name, o.Offset)
		}
	}
	return note, false
}

// sweepFile hands out a file that was not met yet: one in which no message can be made out, or a delivery that was never
// finished.
func (x *salvager) sweepFile(p place) {
	if _, met := x.seen[p]; met {
		return
	}
	s := x.folderOf(p)
	if _, twin := slices.BinarySearch(s.Twins, p.file); twin { // they are sorted
		x.seen[p] = fate{told: true}
		x.out.Ledger.Duplicates++
		return
	}
	m := &reconstruct.Message{File: p.file, Size: -1, Body: reconstruct.Body{Size: -1, Virtual: -1, Plain: -1, Counted: -1}}
	class, note := salvage.Orphan, ""
	if info := x.temp[p]; s.Layout == store.Maildir && info != nil {
		n := dovecot.ParseMaildirName(info.Name())
		if x.bases[path.Join(string(s.Mailbox.Dir), n.Base)] {
			x.seen[p] = fate{told: true}
			x.out.Ledger.Duplicates++
			return
		}
		note = "its delivery was never finished, as far as can be told"
		m.Received, m.Saved = info.ModTime().UTC().Truncate(time.Second), time.Unix(n.Time, 0).UTC()
		m.Body.File, m.Body.Size = p.file, info.Size()
	}
	x.give(s, s.Mailbox.Name, class, m, note)
}

// folderOf is the mailbox in whose folder a file lies.
func (x *salvager) folderOf(p place) *reconstruct.State {
	dir := path.Dir(string(p.file))
	for _, s := range x.acct.Boxes {
		if d := string(s.Mailbox.Dir); d == dir || s.Layout == store.Maildir && d == path.Dir(dir) {
			return s
		}
	}
	return x.acct.Boxes[0] // not reached: only their folders are listed
}

// give hands out one message.
func (x *salvager) give(s *reconstruct.State, mailbox string, class salvage.Class, m *reconstruct.Message, notes ...string) {
	if x.ended {
		return
	}
	out := &salvage.Message{Mailbox: mailbox, Class: class, UID: m.UID, Flags: m.Flags & dovecot.FlagsIMAP, Keywords: m.Keywords, GUID: m.GUID,
		Received: m.Received, Saved: m.Saved, Source: salvage.Source{File: m.File, Offset: -1}}
	if s != nil {
		out.UIDValidity = s.UIDValidity
	}
	if x.acct.Storage != nil {
		out.Source.Offset = int64(m.Stored.Offset)
		if st := m.Place(); st != nil {
			out.Source.Offset = st.Offset
		}
	}
	if m.By.UID == reconstruct.ByNothing {
		out.UID = 0 // the one it has is made up
	}
	for _, n := range append(notes, remarks(m, class)...) {
		if n != "" {
			out.Notes = append(out.Notes, n)
		}
	}
	x.now, x.away = x.at(m), s != nil && s.Away(m)
	x.notes = len(out.Notes)
	out.Open = func() (io.ReadCloser, error) { return x.open(s, m) }
	if !x.yield(out, nil) {
		x.ended = true
	}
}

// remarks are what is uncertain of a message whose text is there.
func remarks(m *reconstruct.Message, class salvage.Class) (list []string) {
	if class == salvage.Current && m.By.Flags == reconstruct.ByNothing && !m.Lost {
		list = append(list, "nothing tells its flags any more")
	}
	if d := m.Body.Damage; d != 0 && len(gaps(m)) == 0 {
		list = append(list, fmt.Sprintf("its framing on the host is damaged (%s); its text is whole, as far as can be told", d))
	}
	if m.Body.Altered && len(gaps(m)) == 0 {
		list = append(list, "its file's name tells other sizes")
	}
	return list
}
