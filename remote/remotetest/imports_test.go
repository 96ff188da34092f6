package remotetest

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The demo uses these packages in the shipped program, and the harness must not lean on what it tests.
func TestWhatTheDemoUsesNeedsNeitherTestingNorTheCodeUnderTest(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./sshhost", "./realhost", "./mailgen", "./fill", "./damage", "./canary", "./proxy", "./demoaccount").Output()
	if err != nil {
		t.Fatal(err)
	}
	own := 0
	for _, path := range strings.Fields(string(out)) {
		switch {
		case path == "testing":
			t.Error("testing is imported")
		case strings.HasPrefix(path, "dovemend/remote/remotetest/"):
			own++
		case strings.HasPrefix(path, "dovemend/"):
			t.Errorf("%s is imported", path)
		}
	}
	if own != 8 {
		t.Errorf("%d packages looked at, want 8: %v", own, slices.Sorted(slices.Values(strings.Fields(string(out)))))
	}
}
