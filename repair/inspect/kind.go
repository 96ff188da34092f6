package inspect

import (
	"path"
	"regexp"
	"strings"
)

// Kind is what a file is.
type Kind string

// The kinds of file.
const (
	KindIndex         Kind = "index" // dovecot.index, .backup, map index, list index
	KindState         Kind = "state" // no file: an index with the logs beside it applied
	KindLog           Kind = "log"
	KindCache         Kind = "cache"
	KindDbox          Kind = "dbox" // sdbox u.N and mdbox m.N
	KindUIDList       Kind = "uidlist"
	KindKeywords      Kind = "keywords"
	KindSubscriptions Kind = "subscriptions"
	KindMailboxLog    Kind = "mailbox-log"
	KindUIDValidity   Kind = "uidvalidity"
	KindMaildir       Kind = "maildir" // message files by their names: one, or a folder cur, new or tmp of them
	KindUnknown       Kind = "unknown" // not a file dovemend knows
	KindSpecial       Kind = "special" // a symbolic link, a pipe, a socket or a device: never opened
	KindFolder        Kind = "folder"  // one that could not be read
)

var (
	// An index of any name: dovecot.index, dovecot.map.index, dovecot.list.index, dovecot.index.pvt, old-dovecot.index.
	indexName = regexp.MustCompile(`^(.*\.index(?:\.pvt)?)(|\.backup|\.tmp|\.cache|\.log|\.log\.2)$`)
	dboxName  = regexp.MustCompile(`^[um]\.[0-9]+(\.broken(\.[0-9]+)?)?$`)
	// A message in a Maildir begins with its time of delivery.
	messageName = regexp.MustCompile(`^[0-9]{8,}\.[^/]+$`)
)

// mailFolders are the folders of a Maildir that hold messages.
var mailFolders = map[string]bool{"cur": true, "new": true, "tmp": true}

// kindByName recognises a file by its name, and where that is not enough by the folder it is in; KindUnknown where neither
// tells. Files that only content can tell apart (a .temp.* of dbox) are unknown here.
func kindByName(name string) Kind {
	dir, base := path.Split(name)
	if _, suffix, ok := splitIndex(base); ok {
		switch suffix {
		case ".cache":
			return KindCache
		case ".log", ".log.2":
			return KindLog
		}
		return KindIndex
	}
	switch {
	case dboxName.MatchString(base):
		return KindDbox
	case base == "dovecot-uidlist" || base == "courierimapuiddb":
		return KindUIDList
	case base == "dovecot-keywords":
		return KindKeywords
	case base == "subscriptions" || base == ".subscriptions":
		return KindSubscriptions
	case base == "dovecot.mailbox.log" || base == "dovecot.mailbox.log.2":
		return KindMailboxLog
	case base == "dovecot-uidvalidity" || strings.HasPrefix(base, "dovecot-uidvalidity."):
		return KindUIDValidity
	case mailFolders[path.Base(dir)] && !strings.HasPrefix(base, "."), messageName.MatchString(base):
		return KindMaildir
	}
	return KindUnknown
}

// splitIndex splits the name of a file of an index into that of the index itself and what follows it.
func splitIndex(base string) (prefix, suffix string, ok bool) {
	m := indexName.FindStringSubmatch(base)
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}
