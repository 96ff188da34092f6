package check

import (
	"fmt"
	"path"
	"strings"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// index tells what is wrong with the index files.
func (x *examiner) index() {
	before := len(x.Findings)
	x.faults()
	x.marked()
	if x.Verdict != dovecot.VerdictSame && x.worst(before) != Note {
		return
	}
	x.missing()
}

// marked tells of the mark by which Dovecot rebuilds a dbox mailbox the next time it is opened. It sets it when it has mended an
// index, and takes it away when it has rebuilt the mailbox; a Maildir has no use for it, and may keep it for ever.
func (x *examiner) marked() {
	if !x.dbox() || x.State.Files.Index == nil || x.State.Index.Header.Flags&dovecot.IndexFsckd == 0 {
		return
	}
	f := Finding{Severity: Suspect, Rule: "index-fsckd", File: x.file("dovecot.index"), Offset: 20, Cure: CureRebuild, Advice: written,
		Text:   "dovecot.index, the list of this mailbox's messages, is marked as one that Dovecot has mended",
		Effect: "Dovecot rebuilds the mailbox by its own rules when it is next opened: flags may be lost, and deleted mail may come back"}
	if !x.readable() {
		f.Cure, f.Advice = CureNone, chmod
	}
	x.find(f)
}

// faults names each damaged index file once, with the first thing that is wrong with it.
func (x *examiner) faults() {
	var order []store.RelPath
	first := map[store.RelPath]reconstruct.FileFault{}
	more := map[store.RelPath]int{}
	for _, f := range x.State.Faults {
		if f.Rule == "log-missing" {
			continue // told in words below
		}
		if _, ok := first[f.File]; ok {
			more[f.File]++
			continue
		}
		first[f.File] = f
		order = append(order, f.File)
	}
	for _, file := range order {
		fault := first[file]
		f := Finding{Severity: x.severity(fault), Rule: fault.Rule, File: file, Offset: fault.Offset}
		switch tail := detail(fault.Detail, more[file]); {
		case fault.Rule == "index-byte-order" || fault.Rule == "log-byte-order":
			f.Text = purpose(file) + " was written on a computer with another byte order, or is damaged " + tail
		case strings.HasSuffix(fault.Rule, "-major-version") && laterVersion(x.fileBytes(file), fault.Rule):
			f.Text = purpose(file) + " was written by a newer version of Dovecot, or is damaged " + tail
		default:
			f.Text = purpose(file) + " is damaged " + tail
		}
		x.find(x.told(f))
	}
}

// fileBytes is what the copy has of an index file.
func (x *examiner) fileBytes(file store.RelPath) []byte {
	f := x.State.Files
	switch path.Base(string(file)) {
	case "dovecot.index":
		return f.Index
	case "dovecot.index.log":
		return f.Log
	case "dovecot.index.log.2":
		return f.Log2
	case "dovecot.index.backup":
		return f.Backup
	}
	return nil
}

// laterVersion reports whether the first byte of an index file may be the major version of a Dovecot that is yet to come.
func laterVersion(b []byte, rule string) bool {
	known := byte(7)
	if rule == "log-major-version" {
		known = 1
	}
	const some = 8 // versions: what is further off is damage
	return len(b) > 0 && b[0] > known && b[0] <= known+some
}

// newer reports whether a newer Dovecot wrote the account's index files, by all that they say: every one of them says so, and they are more
// than one, or several mailboxes' and all logs are of the version that is known.
func newer(acct *reconstruct.Account) bool {
	indexes, later, logs, laterLogs := 0, 0, 0, 0
	for _, s := range acct.All() {
		if b := s.Files.Index; b != nil {
			indexes++
			if laterVersion(b, "") {
				later++
			}
		}
		if b := s.Files.Log; b != nil {
			logs++
			if laterVersion(b, "log-major-version") {
				laterLogs++
			}
		}
	}
	return later == indexes && laterLogs == logs && later+laterLogs > 1 || later == indexes && later > 1 && laterLogs == 0
}

// newerAdvice is what to do then.
const newerAdvice = "if the mailboxes work, all is well; this version of dovemend does not know the format, and must not write it: get a newer dovemend"

// withhold takes the cures that write index files off findings.
func withhold(list []Finding, advice string) {
	for i := range list {
		if f := &list[i]; f.Cure == CureRebuild || f.Cure == CureDropIndex {
			f.Cure, f.Advice = CureNone, advice
		}
	}
}

// purpose says in plain words what an index file is for.
func purpose(file store.RelPath) string {
	name := path.Base(string(file))
	switch name {
	case "dovecot.index":
		return name + ", the list of this mailbox's messages,"
	case "dovecot.index.log":
		return name + ", in which Dovecot notes the latest changes,"
	case "dovecot.index.log.2":
		return name + ", which holds earlier changes,"
	case "dovecot.index.backup":
		return name + ", an older state of the list of messages,"
	case "dovecot-uidlist":
		return name + ", which gives each message its number,"
	case "dovecot-keywords":
		return name + ", which holds the names of labels,"
	}
	return name
}

// severity judges a fault by what Dovecot makes of the files.
func (x *examiner) severity(f reconstruct.FileFault) Severity {
	switch name := path.Base(string(f.File)); {
	case name == "dovecot.index.backup":
		return Note
	case name == "dovecot-uidlist":
		if x.renumbered() > 0 || strings.HasPrefix(f.Rule, "uidlist-header") {
			return Broken
		}
		return Suspect
	case name == "dovecot-keywords":
		return Suspect
	case x.Verdict == dovecot.VerdictSame && name == "dovecot.index" && x.dbox() && x.State.Regained > 0:
		return Broken
	case x.Verdict == dovecot.VerdictSame: // of the log: what it held is known no more, so that Dovecot shows all that is left
		return Suspect
	}
	return x.shown()
}

// shown is how much it matters that Dovecot does not take the index as it is.
func (x *examiner) shown() Severity {
	if !x.dbox() && !x.AsIs.Loses() && !fails(x.Verdict) { // a Maildir's index is made anew
		return Suspect
	}
	return Broken
}

// told adds what follows from a finding about the index, and what to do.
func (x *examiner) told(f Finding) Finding {
	switch name := path.Base(string(f.File)); {
	case f.Severity == Note:
		f.Effect = "none that anybody sees"
		return f
	case name == "dovecot-uidlist":
		f.Effect = "Dovecot gives the messages it cannot find in this file new numbers: mail programs download them anew"
		f.Cure, f.Advice = CureRebuild, "rebuild writes this file anew, with every number that any file still tells; the messages and their flags are not touched by this"
		return f
	case name == "dovecot-keywords":
		f.Effect = "labels may show under names like unknown-0"
		f.Advice = "keep the copy; nothing tells the names any more"
		if x.State.Renamed {
			f.Cure, f.Advice = CureRebuild, "rebuild writes this file anew: the index still tells the names"
		}
		return f
	case x.Verdict == dovecot.VerdictSame && name == "dovecot.index.log" && x.dbox():
		f.Effect = "what Dovecot noted there since it last saved the list of messages is lost: newer mail may not show, and flags may be older ones"
	case x.Verdict == dovecot.VerdictSame && name == "dovecot.index" && x.dbox() && !x.State.Sound:
		f.Effect = "what only this file told is lost: Dovecot says no error, and messages may not show, or show without their flags"
	case x.Verdict == dovecot.VerdictSame:
		f.Effect = "none that anybody sees; Dovecot may write errors into its log"
	default:
		f.Effect = x.effect(x.Verdict) + x.costs(x.AsIs)
	}
	f.Cure, f.Advice = CureRebuild, written
	if !x.readable() {
		f.Cure, f.Advice = CureNone, chmod
	}
	return f
}

// written is what rebuild does about the list of messages.
const written = "rebuild writes the list of messages anew from everything that the files still tell: messages, numbers, flags and labels"

// readable reports whether all index files that are there could be copied: what could not be may tell more.
func (x *examiner) readable() bool {
	for _, end := range []string{"", ".log", ".log.2", ".backup"} {
		if !x.State.Readable(x.file("dovecot.index" + end)) {
			return false
		}
	}
	return true
}

// costs puts an outcome's losses into words.
func (x *examiner) costs(o Outcome) string {
	var parts []string
	add := func(n int, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf(what, plural(n, "message", "messages")))
		}
	}
	add(o.Gone, "%s no longer shown")
	add(o.Flags, "flags of %s lost")
	add(o.Keywords, "labels of %s lost")
	add(o.UIDs, "%s downloaded anew by mail programs")
	if len(parts) == 0 {
		return ""
	}
	return " (up to: " + strings.Join(parts, ", ") + ")"
}

// worst is the highest severity among the findings from one on.
func (x *examiner) worst(from int) Severity {
	worst := Note
	for _, f := range x.Findings[from:] {
		if f.Severity == Broken {
			return Broken
		}
		if f.Severity == Suspect {
			worst = Suspect
		}
	}
	return worst
}

// effect says in words what Dovecot does with the files as they are.
func (x *examiner) effect(v dovecot.Verdict) string {
	if !x.dbox() {
		switch v {
		case dovecot.VerdictErrorThenSame, dovecot.VerdictErrorThenLoses:
			return "the first access may fail with an internal server error; after that the mailbox works"
		case dovecot.VerdictSame:
			return "none"
		case dovecot.VerdictEmpty, dovecot.VerdictOlder:
			return "none that anybody sees: Dovecot makes the index anew, with errors in its log"
		}
		return "messages may be missing, show as unreadable, or come twice"
	}
	switch v {
	case dovecot.VerdictOlder:
		return "the mailbox opens without an error in an older state: newer mail and flags are missing"
	case dovecot.VerdictEmpty:
		return "the mailbox opens without an error and shows nothing, or only new mail"
	case dovecot.VerdictRebuild:
		return "Dovecot rebuilds the mailbox when it is opened; sessions may be cut off once"
	case dovecot.VerdictRebuildLoses:
		return "Dovecot rebuilds the mailbox when it is opened, and loses what the damaged files told"
	case dovecot.VerdictErrorThenSame:
		return "opening the mailbox fails once with an internal server error, then Dovecot mends it"
	case dovecot.VerdictErrorThenLoses:
		return "opening the mailbox fails once with an internal server error, then Dovecot throws its log away, and with it what only the log told"
	}
	return "none"
}

func (x *examiner) renumbered() int {
	n := 0
	for _, m := range x.State.Messages {
		if m.Renumber || m.UID == 0 {
			n++
		}
	}
	return n
}

// detail puts what a reader of the format found into brackets, for those who can make something of it.
func detail(s string, more int) string {
	s = short(s)
	if more > 0 {
		s += fmt.Sprintf("; and %s in this file", plural(more, "more fault", "more faults"))
	}
	return "(" + s + ")"
}

// short bounds a text that quotes a file.
func short(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
