package dovecot

import "strings"

// subscriptionsV2 begins a subscriptions file since 2.2.17.
const subscriptionsV2 = "V\t2\n\n"

// Subscriptions is a subscriptions file.
type Subscriptions struct {
	Version int // 1 or 2
	Names   []Subscription
}

// Subscription is one subscribed mailbox, a storage name (modified UTF-7 unless the storage is kept in UTF-8).
type Subscription struct {
	Offset     int64
	Components []string // version 2: the levels of hierarchy; version 1: the name in one piece, with the layout's separator in it
}

// ParseSubscriptions reads a subscriptions file. A last line that does not end, which Dovecot drops, is given and reported.
func ParseSubscriptions(b []byte) (*Subscriptions, []Fault) {
	s, fs := &Subscriptions{Version: 1}, &faults{}
	rest := string(b)
	at := 0
	if after, ok := strings.CutPrefix(rest, subscriptionsV2); ok {
		s.Version, at, rest = 2, len(subscriptionsV2), after
	} else if first, _, _ := strings.Cut(rest, "\n"); strings.Contains(rest, "\t") || strings.HasPrefix(first, "V") && strings.HasSuffix(first, "2") && len(first) <= 4 {
		fs.add(0, "subscriptions-header", "the header of version 2 is damaged: Dovecot takes every line as a name of version 1")
		s.Version = 2
		if _, after, ok := strings.Cut(rest, "\n\n"); ok && strings.Index(rest, "\n\n") < 16 {
			at, rest = len(rest)-len(after), after
		}
	}
	seen := map[string]bool{}
	for rest != "" {
		line, more, ended := strings.Cut(rest, "\n")
		name := Subscription{Offset: int64(at), Components: []string{line}}
		if s.Version == 2 {
			name.Components = strings.Split(line, "\t")
			for i, c := range name.Components {
				name.Components[i] = tabUnescape.Replace(c)
			}
		}
		switch {
		case line == "" || strings.ContainsFunc(strings.Join(name.Components, ""), func(r rune) bool { return r < 0x20 || r == 0x7f }):
			fs.add(at, "subscriptions-name", "the line is not a mailbox name")
		case seen[line]:
			fs.add(at, "subscriptions-duplicate", "the mailbox appears twice")
		default:
			if !ended {
				fs.add(at, "subscriptions-cut", "the last line does not end, and Dovecot drops it")
			}
			seen[line] = true
			s.Names = append(s.Names, name)
		}
		at += len(rest) - len(more)
		rest = more
	}
	return s, fs.all()
}

// tabUnescape is str_tabunescape.
var tabUnescape = strings.NewReplacer("\x011", "\x01", "\x010", "\x00", "\x01t", "\t", "\x01r", "\r", "\x01n", "\n")
