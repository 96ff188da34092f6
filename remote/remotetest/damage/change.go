package damage

// What says what became of a file's bytes.
type What string

// What can become of a file.
const (
	Overwritten What = "overwritten" // the bytes are other ones now
	Cut         What = "cut"         // the bytes up to the file's end are gone
	Removed     What = "removed"     // the file is gone, or the empty directory (with no bytes)
	Added       What = "added"       // the bytes were not there before: behind the file's end, or in a new file
	Moved       What = "moved"       // the file has another name (To), and its bytes are as they were
	Hidden      What = "hidden"      // the bytes are as they were, but nobody may read them
)

// Change is one thing that was done to a file. A file with several names (hard links, as sdbox makes them for copies) is
// changed under all of them; the name told is the one it was changed by.
type Change struct {
	File           string // name, as it was before
	What           What
	Offset, Length int64  // the bytes concerned: in the file as it was, and for Added in the file as it is
	To             string // Moved: the new name
}

// Destroys reports whether bytes were lost by the change.
func (c Change) Destroys() bool {
	return c.What == Overwritten || c.What == Cut || c.What == Removed || c.What == Hidden
}

// files gives the names of changed files, each once, in the order of their first change.
func files(changes []Change) []string {
	var names []string
	seen := make(map[string]bool)
	for _, c := range changes {
		if !seen[c.File] {
			seen[c.File] = true
			names = append(names, c.File)
		}
	}
	return names
}
