package rundir

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"dovemend/repair/pathtext"
	"dovemend/repair/store"
)

// Kind says what a run is for.
type Kind string

// The kinds of run.
const (
	KindRepair  Kind = "repair"
	KindBackup  Kind = "backup"
	KindUndo    Kind = "undo"
	KindRestore Kind = "restore"
)

// Stage is how far a run came.
type Stage string

// The stages, in their order. A run stays at the last one it reached.
const (
	StageNew      Stage = "new"      // the folder is there, nothing else
	StageSnapshot Stage = "snapshot" // the snapshot is complete and verified
	StagePlanned  Stage = "planned"  // plan.json is written, nothing on the host is changed
	StageApplying Stage = "applying" // the host may be changed: resume or undo
	StageApplied  Stage = "applied"  // every step is done
	StageVerified Stage = "verified" // and compared with what was promised
	StageFailed   Stage = "failed"   // ended with an error, nothing on the host was changed
	StageUndone   Stage = "undone"   // taken back by the run UndoneBy
)

// Meta is what run.json tells of a run. Nothing in it is secret; it is shown, sent and kept.
type Meta struct {
	ID        string         `json:"id"`
	Kind      Kind           `json:"kind"`
	Created   time.Time      `json:"created"`
	Ended     time.Time      `json:"ended,omitzero"`   // when the run's last command ended
	Target    string         `json:"target,omitempty"` // as --host was given
	User      string         `json:"user,omitempty"`   // login name on the host
	Addr      string         `json:"addr,omitempty"`   // host:port connected to
	HostKey   string         `json:"host_key,omitempty"`
	MailRoot  store.HostPath `json:"mail_root,omitempty"`
	Address   string         `json:"address,omitempty"` // user@domain where known
	Layout    store.Layout   `json:"layout,omitempty"`
	Mailboxes []string       `json:"mailboxes,omitempty"` // names for people
	Remedy    string         `json:"remedy,omitempty"`
	NoCopy    bool           `json:"no_copy,omitempty"` // a restore that has no snapshot of its mailbox
	Stage     Stage          `json:"stage"`
	Of        string         `json:"of,omitempty"`        // for an undo: the run that is undone
	UndoneBy  string         `json:"undone_by,omitempty"` // the run that undid this one
	PartOf    string         `json:"part_of,omitempty"`   // the run that this one is a part of: it is resumed and undone with that one
	Exit      int            `json:"exit"`                // exit code of the last command, once Ended is set
	Error     string         `json:"error,omitempty"`     // why it failed, in words; untrusted text may be in it
	Version   string         `json:"version,omitempty"`   // of dovemend
}

// plain is Meta without its methods.
type plain Meta

// metaJSON is Meta with a mail root that survives JSON whatever bytes it holds.
type metaJSON struct {
	*plain
	MailRoot pathtext.Path `json:"mail_root,omitempty"`
}

// MarshalJSON writes the mail root by package pathtext.
func (m Meta) MarshalJSON() ([]byte, error) {
	return json.Marshal(metaJSON{plain: (*plain)(&m), MailRoot: pathtext.Path(m.MailRoot)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (m *Meta) UnmarshalJSON(b []byte) error {
	j := metaJSON{plain: new(plain)}
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*m = Meta(*j.plain)
	m.MailRoot = store.HostPath(j.MailRoot)
	return nil
}

// Key names the account a run works on: the same host (by its key's fingerprint where known, else by its address) and
// the same mail root, or where that is not known, as over IMAP alone, the same login, have the same key. It is 32 hex digits, safe as the name of a file.
func (m Meta) Key() string {
	host := m.HostKey
	if host == "" {
		host = strings.ToLower(m.Addr)
	}
	h := sha256.New()
	of := []string{"dovemend account 1", host, string(m.MailRoot)}
	if m.MailRoot == "" {
		of = append(of, m.User)
	}
	for _, s := range of {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// HasSnapshot reports whether the run came so far that its snapshot is complete.
func (m Meta) HasSnapshot() bool {
	if m.NoCopy {
		return false
	}
	switch m.Stage {
	case StageSnapshot, StagePlanned, StageApplying, StageApplied, StageVerified, StageUndone:
		return true
	}
	return false
}

// CanUndo says whether the run may have changed something on the host that is not taken back yet. A part of another run is
// taken back with that one only.
func (m Meta) CanUndo() bool { return m.PartOf == "" && m.Stands() }

// Stands says the same of a run and of a part of one.
func (m Meta) Stands() bool {
	switch m.Stage {
	case StageApplying, StageApplied, StageVerified:
		return m.Kind != KindBackup
	}
	return false
}

// Meta gives what is known of the run.
func (d *Dir) Meta() Meta {
	m := d.meta
	m.Mailboxes = append([]string(nil), m.Mailboxes...)
	return m
}

// SetMeta writes run.json anew: whole or not at all, and synced. The ID of a run never changes.
func (d *Dir) SetMeta(m Meta) error {
	if m.ID != d.ID() {
		return fmt.Errorf("write run %s: metadata of run %q", d.ID(), m.ID)
	}
	m.Error = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, m.Error)
	if err := d.WriteJSON(MetaFile, m); err != nil {
		return err
	}
	d.meta = m
	return nil
}

// Update changes some fields of run.json.
func (d *Dir) Update(change func(*Meta)) error {
	m := d.Meta()
	change(&m)
	return d.SetMeta(m)
}
