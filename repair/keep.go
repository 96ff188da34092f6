package repair

import (
	"log/slog"
	"sync/atomic"
	"time"

	"dovemend/remote"
	"dovemend/remote/imap"
	"dovemend/repair/check"
	"dovemend/repair/pathtext"
	"dovemend/repair/probe"
	"dovemend/repair/snapshot"
)

// The files in which a run keeps what a report needs later, besides run.json, plan.json, journal and log. Each is written whole;
// one that cannot be written is said in the log and stops nothing. Runs of earlier versions have none of them.
const (
	hostFile         = "host.json"
	copyFile         = "copy.json"
	checkedFile      = "checked.json"
	verificationFile = "verification.json"
)

// mostKept bounds how many entries of one kind a kept file holds: findings, paths, replies.
const mostKept = 2000

// keptHost is host.json: what the host told of itself.
type keptHost struct {
	At        time.Time `json:"at"`
	SSHServer string    `json:"ssh_server,omitempty"` // as it calls itself
	Shell     bool      `json:"shell"`
	OS        string    `json:"os,omitempty"`      // uname -s
	Dovecot   string    `json:"dovecot,omitempty"` // as its own program gives its version
}

// keptCopy is copy.json: what the copy holds.
type keptCopy struct {
	At         time.Time       `json:"at"`
	Files      int             `json:"files"`
	Bytes      int64           `json:"bytes"`
	Verified   string          `json:"verified,omitempty"`
	TornCount  int             `json:"torn_count"`
	Torn       []pathtext.Path `json:"torn,omitempty"`
	UnreadN    int             `json:"unreadable_count"`
	Unreadable []pathtext.Path `json:"unreadable,omitempty"`
}

// keptChecked is checked.json: what was found in the copy.
type keptChecked struct {
	At        time.Time     `json:"at"`
	Mailboxes []keptMailbox `json:"mailboxes"`
	Shared    []keptFinding `json:"shared,omitempty"`
	More      int           `json:"more,omitempty"` // findings that were left out
}

type keptMailbox struct {
	Mailbox     pathtext.Path `json:"mailbox"`
	Folder      pathtext.Path `json:"folder"`
	Messages    int           `json:"messages"` // -1 unknown
	Seen        int           `json:"seen"`
	Flagged     int           `json:"flagged"`
	Keywords    int           `json:"keywords"` // how many different ones
	UIDValidity uint32        `json:"uidvalidity"`
	UIDNext     uint32        `json:"uidnext"`
	Bytes       int64         `json:"bytes"`
	Findings    []keptFinding `json:"findings,omitempty"`
}

type keptFinding struct {
	Severity check.Severity `json:"severity"`
	Rule     string         `json:"rule"`
	File     pathtext.Path  `json:"file"`
	Offset   int64          `json:"offset"` // -1 the whole file
	Text     string         `json:"text"`
	Effect   string         `json:"effect,omitempty"`
	Cure     check.Cure     `json:"cure,omitempty"`
	Advice   string         `json:"advice,omitempty"`
}

// keptVerification is verification.json: how the comparison after the last attempt ended, and each look at the mailboxes.
type keptVerification struct {
	At        time.Time    `json:"at"`
	Remedy    string       `json:"remedy"`
	OK        bool         `json:"ok"`
	Files     []string     `json:"files,omitempty"`
	FileNotes []string     `json:"file_notes,omitempty"`
	IMAP      string       `json:"imap,omitempty"`
	IMAPNot   string       `json:"imap_not,omitempty"`
	Greeting  string       `json:"greeting,omitempty"` // how the IMAP server has greeted
	Boxes     []BoxVerdict `json:"boxes,omitempty"`
	Looks     []keptLook   `json:"looks,omitempty"`
}

type keptLook struct {
	At      time.Time     `json:"at"`
	Mailbox string        `json:"mailbox"`
	Exists  int           `json:"exists"`
	Opened  bool          `json:"opened"`
	Replies []probe.Reply `json:"replies,omitempty"` // what the server answered that was not OK
	Log     []probe.Reply `json:"log,omitempty"`     // what its imap process logged
}

// keep writes one of the files.
func (r *Run) keep(name string, v any) {
	if err := r.dir.WriteJSON(name, v); err != nil {
		r.log.Warn("not kept for a report", "file", name, "error", err)
	}
}

// keepHost keeps what the host told of itself.
func (r *Run) keepHost() {
	if r.s.host == nil {
		return
	}
	i := r.s.host.Info()
	r.keep(hostFile, keptHost{At: time.Now().UTC(), SSHServer: i.Server, Shell: i.Shell, OS: i.OS, Dovecot: i.Dovecot})
}

// keepCopy keeps what the copy holds.
func (r *Run) keepCopy(s *snapshot.Stored) {
	st := s.Stats()
	k := keptCopy{At: time.Now().UTC(), Files: st.Files, Bytes: st.Bytes, Verified: s.Head().Verified, TornCount: st.Torn, UnreadN: st.Missing}
	for _, e := range s.Notable() {
		switch {
		case e.Err != "" && len(k.Unreadable) < mostKept:
			k.Unreadable = append(k.Unreadable, pathtext.Path(e.Path))
		case e.Err == "" && len(k.Torn) < mostKept:
			k.Torn = append(k.Torn, pathtext.Path(e.Path))
		}
	}
	r.keep(copyFile, k)
}

// keepChecked keeps what was found in the copy.
func (r *Run) keepChecked() {
	k := keptChecked{At: time.Now().UTC(), Mailboxes: []keptMailbox{}}
	kept := 0
	findings := func(list []Finding) (out []keptFinding) {
		for _, f := range list {
			if kept++; kept > mostKept {
				k.More++
				continue
			}
			out = append(out, keptFinding{f.Severity, f.Rule, pathtext.Path(f.File), f.Offset, f.Text, f.Effect, f.Cure, f.Advice})
		}
		return out
	}
	for _, d := range r.found {
		k.Mailboxes = append(k.Mailboxes, keptMailbox{Mailbox: pathtext.Path(d.Mailbox.Name), Folder: pathtext.Path(d.Mailbox.Dir), Messages: d.Messages,
			Seen: d.Seen, Flagged: d.Flagged, Keywords: len(d.Keywords), UIDValidity: d.UIDValidity, UIDNext: d.UIDNext, Bytes: d.Bytes, Findings: findings(d.Findings)})
	}
	k.Shared = findings(r.shared)
	r.keep(checkedFile, k)
}

// looked notes what one look at the mailboxes said.
func (k *keptVerification) looked(at time.Time, readings []probe.Reading) {
	for i := range readings {
		g := &readings[i]
		if len(k.Looks) < mostKept {
			k.Looks = append(k.Looks, keptLook{At: at, Mailbox: g.Mailbox, Exists: g.Exists, Opened: g.Opened, Replies: g.Replies, Log: g.Stderr})
		}
	}
}

// failed notes why there was no look: what the server answered to the login.
func (k *keptVerification) failed(err error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	k.Looks = append(k.Looks, keptLook{At: now, Exists: -1,
		Replies: []probe.Reply{{Text: remote.Safe(err.Error()), Count: 1, At: now, Last: now, Explanation: imap.Explain(err)}}})
}

// keepVerification keeps how the comparison ended.
func (r *Run) keepVerification(k *keptVerification, v *Verification) {
	k.At, k.Remedy = time.Now().UTC(), string(r.plan.Remedy)
	k.OK, k.Files, k.FileNotes, k.IMAP, k.IMAPNot, k.Boxes = v.OK, v.Files, v.FileNotes, v.IMAP, v.IMAPNot, v.Boxes
	k.Files, k.FileNotes, k.Boxes = k.Files[:min(len(k.Files), mostKept)], k.FileNotes[:min(len(k.FileNotes), mostKept)], k.Boxes[:min(len(k.Boxes), mostKept)]
	r.keep(verificationFile, k)
}

// noting is a Reporter that also tells the log of the run in progress what a person is told: stages and warnings.
type noting struct {
	Reporter
	log atomic.Pointer[slog.Logger]
}

func (n *noting) Stage(text string) {
	if log := n.log.Load(); log != nil {
		log.Info("stage begins", "text", text)
	}
	n.Reporter.Stage(text)
}

func (n *noting) Warn(text string) {
	if log := n.log.Load(); log != nil {
		log.Warn("warning", "text", text)
	}
	n.Reporter.Warn(text)
}

// note has what the session's Reporter is told stand in the run's log too.
func (r *Run) note() {
	if n, ok := r.s.rep.(*noting); ok {
		n.log.Store(r.log)
	}
}
