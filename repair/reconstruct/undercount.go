package reconstruct

import "dovemend/repair/dovecot"

// Undercount is a stored message to which more mailbox records refer than the map index counts: the next purge may take its text away.
type Undercount struct {
	*Stored
	Boxes []*State // the mailboxes that have it
}

// Undercounted lists them. Only mailboxes whose index files tell everything are asked, and only what they say by the number that
// the map index knows: what was matched otherwise may be a guess. Dovecot counts up before a mailbox lists a message, and down after it has
// left, so that a mailbox that nobody uses never claims more than is counted.
func (acct *Account) Undercounted() []Undercount {
	t := acct.Storage
	if t == nil || !t.Sound || t.Verdict != dovecot.VerdictSame {
		return nil
	}
	claims := map[*Stored][]*State{}
	for _, s := range acct.All() {
		if !s.Sound || !s.refersTo(t) {
			continue
		}
		for i := range s.Messages {
			m := &s.Messages[i]
			if m.stored == nil || m.By.Mailbox != ByIndex || m.stored.MapUID == 0 || t.lookup[m.MapUID] != m.stored {
				continue
			}
			if r := s.Index.Find(m.UID); r != nil {
				if uid, _, ok := s.Index.MapUID(r); ok && uid == m.stored.MapUID {
					claims[m.stored] = append(claims[m.stored], s)
				}
			}
		}
	}
	const most = 32767 // where Dovecot ends counting
	var list []Undercount
	for i := range t.Stored {
		if st := &t.Stored[i]; st.Refs >= 0 && len(claims[st]) > st.Refs && st.Refs < most {
			list = append(list, Undercount{st, claims[st]})
		}
	}
	return list
}
