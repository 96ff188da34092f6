//go:build unix

package probe

import (
	"testing"

	"dovemend/remote/imap"
)

func TestDovecotAnswersEachLookOfEachMessage(t *testing.T) {
	for _, layout := range []string{"mdbox", "sdbox", "maildir"} {
		t.Run(layout, func(t *testing.T) {
			s := newStore(t, layout)
			s.fill()
			dial, _ := s.dialer()
			for range 2 { // first from the messages, then from the cache
				c, err := dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Examine(t.Context(), "INBOX"); err != nil {
					t.Fatal(err)
				}
				for _, look := range imap.Looks {
					var got []uint32
					err := c.AskRanges(t.Context(), look, []imap.UIDRange{{First: 1, Last: 7}, {First: 9, Last: 20}}, func(u uint32) { got = append(got, u) })
					if err != nil || len(got) != 19 || got[6] != 7 || got[7] != 9 {
						t.Errorf("%s: %v, answered %v", look.Command(), err, got)
					}
				}
				c.FetchFlags(t.Context(), 1, func(m imap.Message) error {
					if seen := len(m.Flags) > 0; seen != (m.UID%2 == 1) {
						t.Errorf("UID %d has the flags %v", m.UID, m.Flags)
					}
					return nil
				})
				if err := c.Logout(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
