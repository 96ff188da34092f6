package salvage

import "testing"

// A run that was broken off knows folders already that the whole one comes to later.
func TestFoldersAreToldInTheOrderOfTheirMessages(t *testing.T) {
	for _, format := range allFormats {
		var all []*Message // one of each class
		for m := range generated(4, 100) {
			m.Mailbox = "Box"
			all = append(all, m)
		}
		whole, again := t.TempDir(), t.TempDir()
		write(t, whole, all, Options{Format: format})
		write(t, again, all[3:], Options{Format: format}) // the damaged one
		write(t, again, all, Options{Format: format})
		if want, got := contents(t, whole)["index.json"], contents(t, again)["index.json"]; got != want || want == "" {
			t.Errorf("%s: %s\nwant %s", format, got, want)
		}
	}
}
