package reconstruct

// Evidence is what told something of a message, and by that how sure it is.
type Evidence uint8

// The kinds of evidence. An index file that is sound, or a message's own file, is as sure as it gets.
const (
	ByNothing  Evidence = iota // nothing tells it
	ByIndex                    // the index files, of which everything up to their end could be read
	ByDamaged                  // the index files, where something is damaged or lost: it may have changed since
	ByMap                      // mdbox's map index
	ByMessage                  // the message's own metadata, or the head of its file
	ByFileName                 // the name of its file
	ByUIDList                  // dovecot-uidlist
	ByCache                    // dovecot.index.cache
	ByList                     // the list index
	ByFileTime                 // the times of its file
	ByEarlier                  // an earlier copy: it may have changed since
	ByOrder                    // where it stands among the others: a guess that fits everything else
)

var evidenceNames = [...]string{"nothing", "index", "damaged index", "map index", "message", "file name", "uidlist", "cache", "list index", "file time", "earlier copy", "order"}

// String names the evidence.
func (e Evidence) String() string {
	if int(e) < len(evidenceNames) {
		return evidenceNames[e]
	}
	return "unknown"
}

// Sureness says how far something can be believed.
type Sureness string

// How sure something is.
const (
	Certain Sureness = "certain" // a sound file tells it
	Likely  Sureness = "likely"  // it is told, and may have changed since
	Guessed Sureness = "guessed" // it fits, and nothing tells it
)

// Sure is how far what the evidence told can be believed.
func (e Evidence) Sure() Sureness {
	switch e {
	case ByIndex, ByMap, ByMessage, ByFileName, ByUIDList:
		return Certain
	case ByDamaged, ByCache, ByList, ByFileTime, ByEarlier:
		return Likely
	}
	return Guessed
}

// Told says which evidence told what of a message.
type Told struct {
	Mailbox  Evidence // that it is in this mailbox
	UID      Evidence
	Flags    Evidence // and keywords
	Received Evidence
	Saved    Evidence
}
