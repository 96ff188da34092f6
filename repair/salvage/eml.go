package salvage

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"path"

	"dovemend/repair/snapshot"
)

// emlFormat writes each message to a file of its own, byte for byte, and beside it a sidecar, an [Entry]. The sidecar is what
// tells our files from others': it has the hash of the text that we wrote.
type emlFormat struct{ w *writer }

func (x *emlFormat) path(top, mailbox string, try int) string { return treePath(top, mailbox, try) }

func (x *emlFormat) make(f *Folder) error {
	f.fresh = !x.w.exists(f.Path)
	return x.w.mkdirAll(f.Path)
}

func (x *emlFormat) open(f *Folder) error { f.state = x; return x.w.mkdirAll(f.Path) }
func (x *emlFormat) start() error         { return nil }
func (x *emlFormat) finish() error        { return nil }

// baseName is the same for a message in every run: UID and GUID, or else where it was found.
func baseName(m *Message) string {
	guid := ""
	if !m.GUID.IsZero() {
		guid = m.GUID.String()
	}
	switch {
	case m.UID != 0 && guid != "":
		return fmt.Sprintf("%010d-%s", m.UID, guid[:8])
	case m.UID != 0:
		return fmt.Sprintf("%010d", m.UID)
	case guid != "":
		return guid
	}
	return sourceName(m)
}

func sourceName(m *Message) string {
	h := fnv.New32a()
	io.WriteString(h, string(m.Source.File))
	name := snapshot.PortableName(path.Base(string(m.Source.File)), 60)
	if m.Source.Offset >= 0 {
		name += fmt.Sprintf("-%d", m.Source.Offset)
	}
	return fmt.Sprintf("%s-%08x", name, h.Sum32())
}

func (x *emlFormat) put(m *Message) (*Entry, error) {
	w := x.w
	e := entryOf(m)
	if x.mayExist(m) {
		t, err := copyText(w.ctx, m, io.Discard, w.buf)
		if err != nil {
			return nil, err
		}
		if e.read(t); e.unreadable() {
			return e, nil
		}
		temp := ""
		return e, x.name(m, e, &temp)
	}
	temp, err := w.stage(m, e)
	if err != nil || temp == "" {
		return e, err
	}
	return e, x.name(m, e, &temp)
}

// mayExist reports whether an earlier run may have written this message, so that it pays to look before writing.
func (x *emlFormat) mayExist(m *Message) bool {
	for _, class := range []Class{m.Class, Damaged} {
		if f := x.w.folders.known(class, m.Mailbox); f != nil && !f.fresh && x.w.exists(path.Join(f.Path, baseName(m)+".eml")) {
			return true
		}
	}
	return false
}

// name finds the name for a message and lets its files wait for it, where they are not there already. temp is its staged text;
// where that is "", it is staged when it turns out to be needed, and e is brought up to date.
func (x *emlFormat) name(m *Message, e *Entry, temp *string) error {
	w := x.w
	f, err := w.folders.get(e.Class, m.Mailbox)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		base := path.Join(f.Path, baseName(m))
		if try > 1 {
			base += fmt.Sprintf("~%d", try)
		}
		e.File = base + ".eml"
		there, ours := nothing, []byte(nil)
		if !f.fresh {
			if there, ours, err = x.look(e); err != nil {
				return err
			}
		}
		if there == taken || w.given(e.File) { // by another message, of this run or an earlier one
			continue
		}
		if there == foreign {
			w.foreign(e.File)
			continue
		}
		e.Writer = writerName
		side, err := jsonText(e, "  ")
		if err != nil {
			return err
		}
		if there == equal {
			w.sum.Kept++
			if *temp != "" {
				if err := w.staging.drop(*temp); err != nil {
					return err
				}
			}
		} else {
			if *temp == "" {
				before := *e
				*e = *entryOf(m)
				if *temp, err = w.stage(m, e); err != nil {
					return err
				}
				if e.SHA256 != before.SHA256 || e.Class != before.Class { // the disk it is on is failing
					w.take(before.File)
					if *temp == "" {
						return nil
					}
					return x.name(m, e, temp)
				}
				e.File = before.File
			}
			w.sum.Written++
			if err := w.staging.add(move{temp: *temp, final: e.File, replace: there == older}, e.Size); err != nil {
				return err
			}
		}
		if !bytes.Equal(side, ours) {
			err = w.staging.write(side, move{final: sidecarOf(e.File), replace: ours != nil})
		}
		e.Writer = ""
		return err
	}
}

// presence is what stands under the name of a message.
type presence int

const (
	nothing presence = iota
	equal            // its text
	older            // another text of the same message, as an earlier run wrote it
	taken            // another message, as an earlier run wrote it
	foreign          // something else
)

// look compares what stands under e.File and the name of its sidecar with e. ours is the sidecar, if there is one of ours.
func (x *emlFormat) look(e *Entry) (there presence, ours []byte, err error) {
	w := x.w
	side, raw, sideThere, err := w.sidecar(sidecarOf(e.File))
	if err != nil {
		return 0, nil, err
	}
	switch {
	case sideThere && side == nil:
		return foreign, nil, nil
	case side != nil && !side.same(e):
		return taken, nil, nil
	}
	sum, other, err := w.hashOf(e.File)
	switch {
	case err != nil:
		return 0, nil, err
	case other:
		return foreign, nil, nil
	case sum == "":
		return nothing, raw, nil
	case sum == e.SHA256: // also where a run ended before it wrote the sidecar
		return equal, raw, nil
	case side != nil && side.SHA256 == sum:
		return older, raw, nil
	}
	return foreign, nil, nil
}
