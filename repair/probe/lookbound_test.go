package probe

import (
	"testing"

	"dovemend/remote/imap"
)

// TestAnswersOfALyingServerAreBounded: one that names the same two messages over and over fills no memory.
func TestAnswersOfALyingServerAreBounded(t *testing.T) {
	var got []imap.UIDRange
	for i := range 2*maxGathered + 10 {
		got = extend(got, uint32(1+2*(i%2)))
	}
	if len(got) > maxGathered {
		t.Errorf("%d ranges", len(got))
	}
}
