package evacuate

import (
	"fmt"
	"strings"
	"time"

	"dovemend/remote/imap"
)

// BackupName is the name that a backup mailbox made on this day is wished to have: BACKUP20260131 for INBOX, and for any
// other mailbox with its name behind it, without levels.
func BackupName(day time.Time, mailbox string) string {
	name := "BACKUP" + day.Format("20060102")
	if strings.EqualFold(mailbox, "INBOX") {
		return name
	}
	return name + "-" + strings.NewReplacer("/", "-", ".", "-").Replace(mailbox)
}

// Free gives the first of name, name-2, name-3, … that taken says is free.
func Free(name string, taken func(name string) bool) string {
	for n, free := 2, name; ; n++ {
		if !taken(free) {
			return free
		}
		free = fmt.Sprintf("%s-%d", name, n)
	}
}

// serverName gives the name by which the server knows a mailbox that is to be made. Some servers have all mailboxes beneath
// INBOX, and make none beside it.
func serverName(l *imap.Listing, name string) string {
	prefix := "INBOX" + l.Delimiter
	others, beneath := 0, 0
	for _, m := range l.Mailboxes {
		if strings.EqualFold(m.Name, "INBOX") {
			continue
		}
		others++
		if len(m.Name) > len(prefix) && strings.EqualFold(m.Name[:len(prefix)], prefix) {
			beneath++
		}
	}
	if l.Delimiter != "" && others > 0 && others == beneath {
		return "INBOX" + l.Delimiter + name
	}
	return name
}

// free gives the server's name for the first backup mailbox that is not there yet.
func free(l *imap.Listing, name string) string {
	return serverName(l, Free(name, func(name string) bool {
		want := serverName(l, name)
		for _, m := range l.Mailboxes {
			if strings.EqualFold(m.Name, want) {
				return true
			}
		}
		return false
	}))
}
