package rundir

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"time"
)

const idTime = "20060102-150405"

var (
	idForm     = regexp.MustCompile(`^[0-9]{8}-[0-9]{6}-[0-9a-f]{4}$`)
	prefixForm = regexp.MustCompile(`^[0-9]{1,8}(-[0-9]{0,6}(-[0-9a-f]{0,4})?)?$`)
)

// newID gives an ID for a run begun at t, or as soon after it as there is one: sorted by name, IDs are sorted by time, also
// those of one second. last is the newest ID there is, or "".
func newID(t time.Time, last string) string {
	second := t.UTC().Format(idTime)
	if last < second {
		return fmt.Sprintf("%s-%04x", second, rand.IntN(0x8000))
	}
	// Begun in the same second, or the clock was set back.
	n, err := strconv.ParseUint(last[len(idTime)+1:], 16, 16)
	begun, timeErr := time.Parse(idTime, last[:len(idTime)])
	switch {
	case err != nil || timeErr != nil:
		return fmt.Sprintf("%s-%04x", second, rand.IntN(0x8000))
	case n == 0xffff:
		return begun.Add(time.Second).Format(idTime) + "-0000"
	}
	return fmt.Sprintf("%s-%04x", last[:len(idTime)], int(n)+1+rand.IntN(min(0x100, 0xffff-int(n))))
}

func newest(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return ids[0]
}

// ValidID reports whether id has the form of a run's ID. Such a string is safe as the name of a file.
func ValidID(id string) bool { return idForm.MatchString(id) }

func validPrefix(s string) bool { return prefixForm.MatchString(s) }

// runIDs lists the folders that have the form of a run, newest first.
func runIDs(runs *os.Root) ([]string, error) {
	entries, err := fs.ReadDir(runs.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if ValidID(e.Name()) && e.IsDir() {
			ids = append(ids, e.Name())
		}
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	return ids, nil
}
