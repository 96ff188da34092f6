package fidelity

import (
	"regexp"
	"slices"
	"strings"
)

// died is what the master says of an imap process that ended badly, however it did.
var died = regexp.MustCompile(`service\(imap\): child \d+ (killed with signal|returned error)`)

// complaints are the lines of Dovecot's log that say that something is wrong.
func complaints(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		if slices.ContainsFunc([]string{": Warning: ", ": Error: ", ": Fatal: ", ": Panic: "}, func(level string) bool { return strings.Contains(line, level) }) {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list
}

// addLog counts what Dovecot complained of.
func (t *tally) addLog(text string) {
	t.Log += len(complaints(text))
	for line := range strings.Lines(text) {
		if died.MatchString(line) {
			t.Crashes++
		}
	}
	t.wrong[logged], t.wrong[crashed] = t.Log, t.Crashes
}
