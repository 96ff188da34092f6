package rundir

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"time"
)

const idTime = "20060102-150405"

var (
	idForm     = regexp.MustCompile(`^[0-9]{8}-[0-9]{6}-[0-9a-f]{4}$`)
	prefixForm = regexp.MustCompile(`^[0-9]{1,8}(-[0-9]{0,6}(-[0-9a-f]{0,4})?)?$`)
)

// newID gives an ID for a run begun at t: sorted by name, IDs are sorted by time.
func newID(t time.Time) (string, error) {
	var b [2]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("make run ID: %w", err)
	}
	return fmt.Sprintf("%s-%x", t.UTC().Format(idTime), b), nil
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
