//go:build unix

package repair

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"dovemend/remote/imap"
	"dovemend/remote/remotetest"
	"dovemend/repair/store"
	"dovemend/repair/watch"
)

// TestWatchFindsTheFilesOfWhateverTheServerCallsAMailbox has accounts whose mailboxes are all damaged, as their files show, so that
// none of them may be opened over IMAP; "fine" alone is sound.
func TestWatchFindsTheFilesOfWhateverTheServerCallsAMailbox(t *testing.T) {
	for name, tt := range map[string]struct {
		delimiter    string
		list, stored []string
		most         int // files that are looked at; 0: the usual limit
		ask          []string
		alarms       []string
		opened       []string
		note         string
	}{
		"all beneath INBOX": {delimiter: "/", list: []string{"INBOX", "INBOX/Sent", "INBOX/fine"}, stored: []string{"INBOX", "INBOX/Sent", "INBOX/fine"},
			alarms: []string{"INBOX", "INBOX/Sent"}, opened: []string{"INBOX/fine"}},
		"a prefix, and another namespace": {delimiter: ".", list: []string{"INBOX", "INBOX.Work", "INBOX.fine", "Shared.x"}, stored: []string{"INBOX", "Work", "fine"},
			alarms: []string{"INBOX", "Work"}, opened: []string{"INBOX.fine"}, note: "Shared/x"},
		"a prefix, and the same name beneath INBOX": {delimiter: ".", list: []string{"INBOX", "INBOX.fine", "INBOX.INBOX.fine", "INBOX.Sent", "INBOX.INBOX.Sent"},
			stored: []string{"INBOX", "fine", "INBOX/Sent", "Sent"}, alarms: []string{"INBOX", "INBOX/Sent", "Sent"}, opened: []string{"INBOX.fine"}, note: "INBOX/fine"},
		"two namespaces show the same name": {delimiter: ".", list: []string{"INBOX", "INBOX.Work", "Work"}, stored: []string{"INBOX", "Work"},
			alarms: []string{"INBOX", "INBOX/Work", "Work"}},
		"another namespace has the same name": {delimiter: ".", list: []string{"INBOX", "INBOX.fine", "INBOX.Work", "Work"}, stored: []string{"INBOX", "fine", "Work"},
			alarms: []string{"INBOX", "Work"}, opened: []string{"INBOX.fine"}, note: "Work (2)"},
		"another order than that of LIST": {delimiter: "/", list: []string{"INBOX", "Z", "fine", "A"}, stored: []string{"A", "INBOX", "Z", "fine"}, most: 2,
			alarms: []string{"INBOX", "A"}, note: "Z, fine"},
		"one beyond the limit is asked for": {delimiter: "/", list: []string{"INBOX", "Z", "fine", "A"}, stored: []string{"A", "INBOX", "Z", "fine"}, most: 2,
			ask: []string{"fine", "Z"}, alarms: []string{"Z"}, opened: []string{"fine"}},
		"no files at all": {delimiter: "/", list: []string{"INBOX", "Virtual"}, stored: []string{"INBOX"}, alarms: []string{"INBOX"}, note: "Virtual"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var answer strings.Builder
			for _, m := range tt.list {
				fmt.Fprintf(&answer, "* LIST () %q %q\r\n", tt.delimiter, m)
			}
			var mu sync.Mutex
			var opened []string
			addr, _ := listing(t, answer.String(), func(_ int, box string) string {
				mu.Lock()
				defer mu.Unlock()
				opened = append(opened, box)
				return ""
			})
			h := remotetest.Embedded(t, remotetest.EmbeddedOptions{Layout: "sdbox", Lay: func(root string) error {
				var err error
				for _, m := range tt.stored {
					dir := filepath.Join(root, "mailboxes", filepath.FromSlash(m), "dbox-Mails")
					if err = errors.Join(err, laySdbox(dir, 1)); filepath.Base(m) == "fine" { // a folder just made
						for _, file := range []string{"u.1", "dovecot.index", "dovecot.index.log"} {
							err = errors.Join(err, os.Remove(filepath.Join(dir, file)))
						}
					}
				}
				return err
			}})
			b := &bench{T: t, h: h, state: filepath.Join(t.TempDir(), "state"), said: &said{}}
			o := b.watchOptions()
			if o.Mailboxes = tt.ask; tt.ask != nil {
				o.All = false
			}
			o.IMAP = IMAPOptions{Addr: addr, TLS: "none", User: "anna", Password: func() (string, error) { return "x", nil }}
			w := NewWatcher(o, WatchOptions{Policy: watch.Default()}, b.said)
			if tt.most > 0 {
				w.most = tt.most
			}
			x, err := w.Look(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var alarms []string
			for _, m := range tt.alarms {
				alarms = append(alarms, "files-damaged "+m)
			}
			slices.Sort(opened)
			slices.Sort(tt.opened)
			want(t, name, x, alarms...)
			if x.IMAP == "" || !slices.Equal(opened, tt.opened) {
				t.Errorf("over %q these were opened: %q, want %q", x.IMAP, opened, tt.opened)
			}
			if notes := strings.Join(x.Notes, "\n"); tt.note == "" && notes != "" || !strings.Contains(notes, tt.note) {
				t.Errorf("noted %q, want %q", x.Notes, tt.note)
			}
		})
	}
}

// TestNamesOfVeryManyMailboxesAreMatchedAtOnce has as many as LIST may give; comparing each with each would take minutes.
func TestNamesOfVeryManyMailboxesAreMatchedAtOnce(t *testing.T) {
	l := manyListed(100_000)
	var found []stored
	for i := range 2000 {
		found = append(found, stored{Mailbox: store.Mailbox{Name: fmt.Sprintf("Box/%d", i)}, files: &watch.Files{}})
	}
	boxes := listedBoxes(l, found)
	seen := 0
	for _, m := range boxes {
		seen += one(m.files != nil)
	}
	if len(boxes) != len(l.Mailboxes) || seen != 2000 || boxes[7].name != "Box/7" || boxes[7].server != "INBOX.Box.7" || boxes[99_999].name != "Box/99999" {
		t.Errorf("%d mailboxes, %d with files, the eighth %+v", len(boxes), seen, boxes[7])
	}
}

func manyListed(n int) *imap.Listing {
	l := &imap.Listing{Delimiter: "."}
	for i := range n {
		l.Mailboxes = append(l.Mailboxes, imap.Mailbox{Name: fmt.Sprintf("INBOX.Box.%d", i)})
	}
	return l
}
