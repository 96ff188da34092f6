package fidelity

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"dovemend/remote/remotetest/fill"
)

// verdict is one thing that was lost.
type verdict struct {
	lost
	recoverable bool   // some chain of bytes that tells it is whole
	unknown     bool   // the oracle knows of none even in the sound files
	gone        string // the bytes that told it
}

// judge asks the oracle about a loss.
func judge(o *oracle, r *ruins, l lost) verdict {
	e := o.tells(l)
	if e == nil {
		return verdict{lost: l, unknown: true}
	}
	v := verdict{lost: l, recoverable: e.told(r)}
	if !v.recoverable {
		files := make(map[string]bool)
		e.lacks(r, files)
		v.gone = r.text(files)
		v.unknown = v.gone == ""
	}
	return v
}

// withoutMail takes the loss of a UIDVALIDITY for none where no message of the mailbox is left: an empty mailbox that keeps it
// would have mail programs remove the copies that they still have.
func withoutMail(all []verdict, truth *fill.Truth) {
	gone := make(map[string]int)
	for _, v := range all {
		if v.what == whole && !v.recoverable {
			gone[v.mailbox]++
		}
	}
	for i := range all {
		if v := &all[i]; v.what == validity && v.recoverable && gone[v.mailbox] == len(truth.Mailboxes[v.mailbox].Messages) {
			v.recoverable, v.gone = false, "the mailbox's messages, all of which are gone"
		}
	}
}

// grouped tells verdicts in words, those of one mailbox and one kind together.
func grouped(all []verdict) []string {
	numbers := make(map[string][]string)
	for _, v := range all {
		how := "told by " + v.gone
		switch {
		case v.recoverable:
			how = "which the broken files tell"
		case v.unknown:
			how = "of which the oracle knows nothing"
		}
		k := fmt.Sprintf("%s in %s, %s", v.what, v.mailbox, how)
		numbers[k] = append(numbers[k], fmt.Sprint(v.number))
	}
	var texts []string
	for _, k := range slices.Sorted(maps.Keys(numbers)) {
		texts = append(texts, fmt.Sprintf("%d × %s (%s)", len(numbers[k]), k, strings.Join(numbers[k], " ")))
	}
	return texts
}
