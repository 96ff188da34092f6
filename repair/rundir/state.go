package rundir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// DefaultState is where runs are kept unless --state-dir says otherwise: $XDG_STATE_HOME/dovemend where that is set to
// an absolute path, else ~/.local/state/dovemend; ~/Library/Application Support/dovemend on macOS, and
// %LocalAppData%\dovemend on Windows. It is not created here.
func DefaultState() (string, error) {
	home, err := os.UserHomeDir()
	return defaultState(runtime.GOOS, os.Getenv, home, err)
}

func defaultState(goos string, getenv func(string) string, home string, homeErr error) (string, error) {
	if x := getenv("XDG_STATE_HOME"); filepath.IsAbs(x) {
		return filepath.Join(x, "dovemend"), nil
	}
	if goos == "windows" {
		if x := getenv("LocalAppData"); x != "" {
			return filepath.Join(x, "dovemend"), nil
		}
	}
	if homeErr != nil {
		return "", fmt.Errorf("find state directory: %w", homeErr)
	}
	if home == "" {
		return "", errors.New("find state directory: the home directory is not known")
	}
	switch goos {
	case "windows":
		return filepath.Join(home, "AppData", "Local", "dovemend"), nil
	case "darwin":
		return filepath.Join(home, "Library", "Application Support", "dovemend"), nil
	}
	return filepath.Join(home, ".local", "state", "dovemend"), nil
}

// EnsureState makes the state directory (mode 0700, and its parents) unless it is there, and refuses one that
// everybody may write to: what others can exchange is no safe copy of anybody's mail.
func EnsureState(state string) error {
	if !filepath.IsAbs(state) {
		return fmt.Errorf("state directory %q: not absolute: %w", state, ErrStateDir)
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return fmt.Errorf("create state directory: %w", err)
	}
	fi, err := os.Stat(state)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if runtime.GOOS != "windows" && fi.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("state directory %s: everybody may write to it (mode %04o): %w", state, fi.Mode().Perm(), ErrStateDir)
	}
	return nil
}

// StateWarning says in words what is not well about a state directory that can be used all the same, or "".
func StateWarning(state string) string {
	fi, err := os.Stat(state)
	if err != nil || runtime.GOOS == "windows" {
		return ""
	}
	if perm := fi.Mode().Perm(); perm&0o077 != 0 {
		return fmt.Sprintf("the state directory %s holds copies of mail and is open to others (mode %04o): chmod 700 it", state, perm)
	}
	return ""
}
