//go:build unix

package repair

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// ours gives the stacks of goroutines of dovemend that are neither the test's nor the host's.
func ours() []string {
	b := make([]byte, 4<<20)
	b = b[:runtime.Stack(b, true)]
	var list []string
	for _, stack := range strings.Split(string(b), "\n\n") {
		if (strings.Contains(stack, "dovemend/re") || strings.Contains(stack, "pkg/sftp.")) &&
			!strings.Contains(stack, "remotetest") && !strings.Contains(stack, "testing.tRunner") {
			list = append(list, stack)
		}
	}
	return list
}

func TestNothingRunsOnAfterASession(t *testing.T) {
	b := newBench(t)
	r := b.begin("repair", "INBOX")
	if _, err := r.Session().Processes(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(ours()) == 0 {
		t.Fatal("a connection stands, and nothing of it is seen to run")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Session().Close(); err != nil {
		t.Fatal(err)
	}
	left := ours()
	for range 100 {
		if len(left) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
		left = ours()
	}
	t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
}
