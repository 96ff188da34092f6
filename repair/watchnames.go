package repair

import (
	"cmp"
	"fmt"
	"strings"

	"dovemend/remote"
	"dovemend/remote/imap"
	"dovemend/repair/store"
	"dovemend/repair/watch"
)

// stored is a mailbox as the host's files show it.
type stored struct {
	store.Mailbox
	files *watch.Files // nil where they may not be read
}

// name is the mailbox's name for people, safe to print.
func (m stored) name() string { return remote.Safe(m.Name) }

// listedBox is a mailbox that LIST names.
type listedBox struct {
	server string // as the server has it
	name   string // for people, safe to print, of no other mailbox: that of the files where they were found, else as [naming.plain] has it
	found  bool   // its files were
	files  *watch.Files
}

// naming is how a server names mailboxes.
type naming struct {
	delimiter string
	prefix    string // before all mailboxes but INBOX, "INBOX."; "" for none
}

func namingOf(l *imap.Listing) naming {
	n := naming{delimiter: l.Delimiter}
	if l.Delimiter == "" {
		return n
	}
	n.prefix = "INBOX" + l.Delimiter
	for _, m := range l.Mailboxes {
		if !strings.EqualFold(m.Name, "INBOX") && !strings.HasPrefix(m.Name, n.prefix) {
			n.prefix = ""
			break
		}
	}
	return n
}

// levels is a server's name with "/" between levels, safe to print.
func (n naming) levels(server string) string {
	if n.delimiter != "" {
		server = strings.ReplaceAll(server, n.delimiter, "/")
	}
	return remote.Safe(server)
}

// plain is a mailbox's name for people, safe to print: with "/" between levels, and without the "INBOX." that some servers put
// before all names.
func (n naming) plain(server string) string {
	if strings.EqualFold(server, "INBOX") {
		return "INBOX"
	}
	if server != n.prefix {
		server = strings.TrimPrefix(server, n.prefix)
	}
	return n.levels(server)
}

// listedBoxes gives the mailboxes that LIST names and that can be opened, in its order, each with what was found of its files.
func listedBoxes(l *imap.Listing, found []stored) []listedBox {
	n := namingOf(l)
	files := n.match(l, found)
	servers, taken := map[int]int{}, map[string]bool{}
	for _, i := range files {
		servers[i]++
		taken[found[i].name()] = true
	}
	shown := map[string]bool{} // of those whose files were found
	seen := map[string]bool{}
	var boxes []listedBox
	for _, m := range l.Mailboxes {
		if m.NoSelect || seen[m.Name] {
			continue
		}
		seen[m.Name] = true
		b := listedBox{server: m.Name}
		if i, ok := files[serverKey(m.Name)]; ok {
			b.found, b.files = true, found[i].files
			name := found[i].name()
			if servers[i] > 1 {
				name = n.levels(m.Name)
			}
			if !shown[name] {
				b.name, shown[name], taken[name] = name, true, true
			}
		}
		for _, name := range []string{n.plain(m.Name), n.levels(m.Name), n.levels(m.Name) + " (2)"} {
			if b.name == "" && !taken[name] {
				b.name, taken[name] = name, true
			}
		}
		if b.name != "" {
			boxes = append(boxes, b)
		}
	}
	return boxes
}

// serverKey is a server's name with the one spelling of INBOX.
func serverKey(server string) string {
	if strings.EqualFold(server, "INBOX") {
		return "INBOX"
	}
	return server
}

// match says which of the found mailboxes a server's name means. Whether the server puts "INBOX." before the names is decided by what
// fits more of them: there may be namespaces besides, and mailboxes that do lie beneath INBOX. Where both fit as well, both names
// mean it, so that neither is opened when the files are damaged.
func (n naming) match(l *imap.Listing, found []stored) map[string]int {
	listed := map[string]bool{}
	for _, m := range l.Mailboxes {
		if !m.NoSelect {
			listed[serverKey(m.Name)] = true
		}
	}
	prefixes := []string{"", "INBOX" + n.delimiter}
	fit := []map[string]int{{}, {}}
	for i, m := range found {
		if n.delimiter != "" && n.delimiter != "/" && strings.Contains(m.Name, n.delimiter) {
			continue // the server does not list such a name as it is
		}
		name := m.Name
		if n.delimiter != "" {
			name = strings.ReplaceAll(name, "/", n.delimiter)
		}
		for k, prefix := range prefixes {
			server := prefix + name
			if m.Name == "INBOX" {
				server = "INBOX"
			}
			if _, twice := fit[k][server]; listed[server] && !twice {
				fit[k][server] = i
			}
		}
	}
	switch c := cmp.Compare(len(fit[0]), len(fit[1])); {
	case c > 0:
		return fit[0]
	case c < 0:
		return fit[1]
	}
	for server, i := range fit[1] {
		if _, ok := fit[0][server]; !ok {
			fit[0][server] = i
		}
	}
	return fit[0]
}

// unseen notes the mailboxes that were not opened because nothing is known of their files.
func unseen(names []string) string {
	const most = 5
	s := fmt.Sprintf("%s not looked at over IMAP, since the files were not: %s", counted(len(names), "mailbox was", "mailboxes were"), strings.Join(names[:min(len(names), most)], ", "))
	if len(names) > most {
		s += ", …"
	}
	return s
}
