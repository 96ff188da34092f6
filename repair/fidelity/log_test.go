package fidelity

import (
	"regexp"
	"strings"
)

// died is what the master says of an imap process that ended badly, however it did.
var died = regexp.MustCompile(`service\(imap\): child \d+ (killed with signal|returned error)`)

// addLog counts what Dovecot complained of.
func (t *tally) addLog(text string) {
	for line := range strings.Lines(text) {
		for _, level := range []string{": Warning: ", ": Error: ", ": Fatal: ", ": Panic: "} {
			if strings.Contains(line, level) {
				t.Log++
				break
			}
		}
		if died.MatchString(line) {
			t.Crashes++
		}
	}
	t.wrong[logged], t.wrong[crashed] = t.Log, t.Crashes
}
