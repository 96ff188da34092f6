package plan

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"time"

	"dovemend/repair/pathtext"
	"dovemend/repair/store"
)

// The JSON forms. Field names are part of what scripts read and are only ever added to; paths are written by package
// pathtext, since a path need not be Unicode.

type stepJSON struct {
	Seq     int             `json:"seq"`
	Op      Op              `json:"op"`
	Path    pathtext.Path   `json:"path"`
	To      pathtext.Path   `json:"to,omitempty"`
	Temp    pathtext.Path   `json:"temp,omitempty"`
	Class   string          `json:"class"`
	ToClass string          `json:"to_class,omitempty"`
	Expect  Expect          `json:"expect"`
	Clear   []pathtext.Path `json:"clear,omitempty"`
	Source  pathtext.Path   `json:"source,omitempty"`
	Size    int64           `json:"size,omitempty"`
	SHA256  string          `json:"sha256,omitempty"`
	Mode    fs.FileMode     `json:"mode,omitempty"`
	MTime   time.Time       `json:"mtime,omitzero"`
	Why     string          `json:"why"`
}

// MarshalJSON writes the step with paths that survive.
func (s Step) MarshalJSON() ([]byte, error) {
	return json.Marshal(stepJSON{Seq: s.Seq, Op: s.Op, Path: pathtext.Path(s.Path), To: pathtext.Path(s.To),
		Temp: pathtext.Path(s.Temp), Class: s.Class, ToClass: s.ToClass, Expect: s.Expect, Clear: pathtext.Of(s.Clear), Source: pathtext.Path(s.Source),
		Size: s.Size, SHA256: s.SHA256, Mode: s.Mode, MTime: s.MTime, Why: s.Why})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Step) UnmarshalJSON(b []byte) error {
	var j stepJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*s = Step{Seq: j.Seq, Op: j.Op, Path: store.RelPath(j.Path), To: store.RelPath(j.To), Temp: store.RelPath(j.Temp),
		Class: j.Class, ToClass: j.ToClass, Expect: j.Expect, Clear: pathtext.To[store.RelPath](j.Clear), Source: store.RelPath(j.Source), Size: j.Size,
		SHA256: j.SHA256, Mode: j.Mode, MTime: j.MTime, Why: j.Why}
	return nil
}

type folderJSON struct {
	Path    pathtext.Path `json:"path"`
	Mailbox pathtext.Path `json:"mailbox"`
	Scope   Scope         `json:"scope"`
	Mode    fs.FileMode   `json:"mode,omitempty"`
	MTime   time.Time     `json:"mtime,omitzero"`
}

// MarshalJSON writes the folder with a path that survives.
func (f Folder) MarshalJSON() ([]byte, error) {
	return json.Marshal(folderJSON{pathtext.Path(f.Path), pathtext.Path(f.Mailbox), f.Scope, f.Mode, f.MTime})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (f *Folder) UnmarshalJSON(b []byte) error {
	var j folderJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*f = Folder{store.RelPath(j.Path), string(j.Mailbox), j.Scope, j.Mode, j.MTime}
	return nil
}

type promiseJSON struct {
	Mailbox     pathtext.Path   `json:"mailbox"`
	Messages    int             `json:"messages"`
	Flags       bool            `json:"flags"`
	UIDs        bool            `json:"uids"`
	UIDValidity uint32          `json:"uidvalidity,omitempty"`
	Again       bool            `json:"again,omitempty"`
	LeftOut     []uint32        `json:"left_out,omitempty"`
	Gone        []pathtext.Path `json:"gone,omitempty"`
	Kept        []pathtext.Path `json:"kept,omitempty"`
}

// MarshalJSON writes the promise with paths that survive.
func (p Promise) MarshalJSON() ([]byte, error) {
	return json.Marshal(promiseJSON{pathtext.Path(p.Mailbox), p.Messages, p.Flags, p.UIDs, p.UIDValidity, p.Again, p.LeftOut, pathtext.Of(p.Gone), pathtext.Of(p.Kept)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (p *Promise) UnmarshalJSON(b []byte) error {
	var j promiseJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*p = Promise{string(j.Mailbox), j.Messages, j.Flags, j.UIDs, j.UIDValidity, j.Again, j.LeftOut, pathtext.To[store.RelPath](j.Gone), pathtext.To[store.RelPath](j.Kept)}
	return nil
}

type planJSON struct {
	Version   int             `json:"version"`
	Run       string          `json:"run"`
	Of        string          `json:"of,omitempty"`
	Root      pathtext.Path   `json:"root"`
	Layout    store.Layout    `json:"layout"`
	Remedy    Remedy          `json:"remedy"`
	Aside     bool            `json:"aside"`
	Mailboxes []pathtext.Path `json:"mailboxes"`
	Steps     []Step          `json:"steps"`
	Folders   []Folder        `json:"folders,omitempty"`
	Costs     []Cost          `json:"costs,omitempty"`
	Facts     []Facts         `json:"facts,omitempty"`
	Promise   []Promise       `json:"promise,omitempty"`
	Notes     []string        `json:"notes,omitempty"`
	Snapshot  string          `json:"snapshot,omitempty"`
	Moves     *Moves          `json:"moves,omitempty"`
}

// MarshalJSON writes the plan with lower-case names and paths that survive.
func (p Plan) MarshalJSON() ([]byte, error) {
	return json.Marshal(planJSON{p.Version, p.Run, p.Of, pathtext.Path(p.Root), p.Layout, p.Remedy, p.Aside,
		pathtext.Of(p.Mailboxes), p.Steps, p.Folders, p.Costs, p.Facts, p.Promise, p.Notes, p.Snapshot, p.Moves})
}

// UnmarshalJSON reads what MarshalJSON wrote, and refuses a version it does not know.
func (p *Plan) UnmarshalJSON(b []byte) error {
	var j planJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	if j.Version != version {
		return fmt.Errorf("plan of version %d: only version %d is known here", j.Version, version)
	}
	*p = Plan{j.Version, j.Run, j.Of, store.HostPath(j.Root), j.Layout, j.Remedy, j.Aside, pathtext.To[string](j.Mailboxes),
		j.Steps, j.Moves, j.Folders, j.Costs, j.Facts, j.Promise, j.Notes, j.Snapshot}
	return nil
}
