//go:build linux

package performance

import "testing"

// TestPeakIsOfTheLargestProcess: that which holds the memory is not always the one that was started.
func TestPeakIsOfTheLargestProcess(t *testing.T) {
	f := run(t.Context(), "head -c 60000000 /dev/zero | tail -c 50000000 | (sleep 0.5; cat >/dev/null)")
	if f.fail != nil || f.peak < 45_000_000 {
		t.Errorf("%d bytes, %v", f.peak, f.fail)
	}
}
