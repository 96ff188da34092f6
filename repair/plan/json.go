package plan

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// A plan's JSON, in this order: what stands before the steps, the steps, what stands after them.
type (
	planHead struct {
		Version   int             `json:"version"`
		Run       string          `json:"run"`
		Of        string          `json:"of,omitempty"`
		Root      pathtext.Path   `json:"root"`
		Layout    store.Layout    `json:"layout"`
		Remedy    Remedy          `json:"remedy"`
		Aside     bool            `json:"aside"`
		Mailboxes []pathtext.Path `json:"mailboxes"`
	}
	planTail struct {
		Folders  []Folder  `json:"folders,omitempty"`
		Costs    []Cost    `json:"costs,omitempty"`
		Facts    []Facts   `json:"facts,omitempty"`
		Promise  []Promise `json:"promise,omitempty"`
		Notes    []string  `json:"notes,omitempty"`
		Snapshot string    `json:"snapshot,omitempty"`
		Moves    *Moves    `json:"moves,omitempty"`
	}
	planRest struct {
		planHead
		planTail
	}
)

// MarshalJSON writes the plan with lower-case names and paths that survive.
func (p Plan) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	err := p.write(&b, false)
	return b.Bytes(), err
}

// WriteJSON writes what MarshalJSON gives, indented by two spaces and ended by a newline, but holds one step of it at a time.
func (p Plan) WriteJSON(w io.Writer) error { return p.write(w, true) }

func (p Plan) write(to io.Writer, indent bool) error {
	w := bufio.NewWriter(to)
	marshal, field, between, last, end := json.Marshal, `,"steps":`, "", "", "}"
	if indent {
		marshal = func(v any) ([]byte, error) { return json.MarshalIndent(v, "", "  ") }
		field, between, last, end = ",\n  \"steps\": ", "\n    ", "\n  ", "\n}"
	}
	head, headErr := marshal(planHead{p.Version, p.Run, p.Of, pathtext.Path(p.Root), p.Layout, p.Remedy, p.Aside, pathtext.Of(p.Mailboxes)})
	tail, tailErr := marshal(planTail{p.Folders, p.Costs, p.Facts, p.Promise, p.Notes, p.Snapshot, p.Moves})
	if err := errors.Join(headErr, tailErr); err != nil {
		return err
	}
	w.Write(bytes.TrimSuffix(head, []byte(end)))
	w.WriteString(field)
	var step bytes.Buffer
	for i, s := range p.Steps {
		b, err := s.MarshalJSON()
		if err != nil {
			return err
		}
		if indent {
			step.Reset()
			if err := json.Indent(&step, b, between[1:], "  "); err != nil {
				return err
			}
			b = step.Bytes()
		}
		w.WriteByte("[,"[min(i, 1)])
		w.WriteString(between)
		w.Write(b)
	}
	switch {
	case len(p.Steps) > 0:
		w.WriteString(last + "]")
	case p.Steps == nil:
		w.WriteString("null")
	default:
		w.WriteString("[]")
	}
	if inner := bytes.TrimSuffix(tail[1:], []byte(end)); !bytes.Equal(inner, []byte("}")) && len(inner) > 0 {
		w.WriteByte(',')
		w.Write(inner)
	}
	w.WriteString(end)
	if indent {
		w.WriteByte('\n')
	}
	return w.Flush()
}

// UnmarshalJSON reads what MarshalJSON wrote, and refuses a version it does not know.
func (p *Plan) UnmarshalJSON(b []byte) error { return p.ReadJSON(bytes.NewReader(b)) }

// ReadJSON is UnmarshalJSON of all that r gives, which is held a step at a time.
func (p *Plan) ReadJSON(r io.Reader) error {
	dec := json.NewDecoder(r)
	if err := expectDelim(dec, '{'); err != nil {
		return err
	}
	rest := map[string]json.RawMessage{}
	var steps []Step
	same := map[string]string{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		if key == "steps" {
			if steps, err = readSteps(dec, same); err != nil {
				return err
			}
			continue
		}
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return err
		}
		rest[key.(string)] = v
	}
	if err := expectDelim(dec, '}'); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("something follows the plan")
	}
	b, err := json.Marshal(rest)
	if err != nil {
		return err
	}
	var j planRest
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	if j.Version != version {
		return fmt.Errorf("plan of version %d: only version %d is known here", j.Version, version)
	}
	*p = Plan{j.Version, j.Run, j.Of, store.HostPath(j.Root), j.Layout, j.Remedy, j.Aside, pathtext.To[string](j.Mailboxes),
		steps, j.Moves, j.Folders, j.Costs, j.Facts, j.Promise, j.Notes, j.Snapshot}
	return nil
}

// readSteps reads the list of steps, or null. What many of them say alike they share.
func readSteps(dec *json.Decoder, same map[string]string) ([]Step, error) {
	switch t, err := dec.Token(); {
	case err != nil:
		return nil, err
	case t == nil:
		return nil, nil
	case t != json.Delim('['):
		return nil, fmt.Errorf("the steps are %v and no list", t)
	}
	share := func(s *string) {
		if had, ok := same[*s]; ok {
			*s = had
		} else if len(same) < 1000 {
			same[*s] = *s
		}
	}
	steps := []Step{}
	for dec.More() {
		var s Step
		if err := dec.Decode(&s); err != nil {
			return nil, err
		}
		share((*string)(&s.Op))
		share(&s.Class)
		share(&s.ToClass)
		share(&s.Why)
		steps = append(steps, s)
	}
	return steps, expectDelim(dec, ']')
}

func expectDelim(dec *json.Decoder, want json.Delim) error {
	t, err := dec.Token()
	if err == nil && t != want {
		err = fmt.Errorf("%v where %q should be", t, want)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
