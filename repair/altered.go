package repair

import (
	"fmt"

	"dovemend/remote"
	"dovemend/repair/check"
	"dovemend/repair/snapshot"
)

// AlteredError: files of a copy are not as they were copied, so that nothing is put on a host by it.
type AlteredError struct {
	Where string // the copy: a run's ID, or a folder
	Run   bool   // it is a run's ID
	Files []snapshot.Altered
}

func (e *AlteredError) Error() string {
	f := e.Files[0]
	text := fmt.Sprintf("the copy in %s is not as it was copied: %s: %s", e.Where, remote.Safe(string(f.Path)), f)
	if n := len(e.Files) - 1; n > 0 {
		text += fmt.Sprintf("; and %d files more", n)
	}
	return text
}

// maxAltered is how many files of a copy that are not as they were copied are told of one by one.
const maxAltered = 10

// alteredFindings tell of files that are not as they were copied: what else is found may be true of this copy alone.
func alteredFindings(files []snapshot.Altered) (list []Finding) {
	const advice = "make another copy with dovemend backup, or take an earlier one: dovemend runs lists them"
	for i, f := range files {
		if i == maxAltered {
			return append(list, Finding{Severity: check.Broken, Rule: "more-copy-altered", File: f.Path, Offset: -1, Advice: advice,
				Text: fmt.Sprintf("%d files more are not as they were copied", len(files)-i)})
		}
		text := fmt.Sprintf("this file of the copy has %d bytes, and had %d when it was copied", f.Is, f.Was)
		if f.Is < 0 {
			text = fmt.Sprintf("this file is missing from the copy; it had %d bytes when it was copied", f.Was)
		}
		list = append(list, Finding{Severity: check.Broken, Rule: "copy-altered", File: f.Path, Offset: -1, Text: text, Advice: advice,
			Effect: "the copy on this computer was damaged since it was made: the mailbox on its host may be in order"})
	}
	return list
}
