package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"dovemend/repair/store"
)

const defaultStateDirText = "$XDG_STATE_HOME/dovemend"

// stateDir checks --state-dir, or gives the default of this system.
func stateDir(value string, given bool) (string, error) {
	if !given {
		return defaultStateDir()
	}
	bad := func(why string) (string, error) {
		return "", &usageError{text: fmt.Sprintf("--state-dir %q: %s", value, why)}
	}
	home, _ := os.UserHomeDir()
	switch {
	case value == "":
		return bad("is empty; leave the flag out for the default")
	case slices.Contains(strings.Split(filepath.ToSlash(value), "/"), ".."):
		return bad(`must not hold ".."`)
	case !filepath.IsAbs(value):
		return bad("must be absolute, so that every run is found again")
	}
	value = filepath.Clean(value)
	switch {
	case filepath.Dir(value) == value:
		return bad("the root of the file system is no place for runs; name a folder of its own")
	case home != "" && value == filepath.Clean(home):
		return bad("the home folder itself is no place for runs; name a folder in it")
	}
	if fi, err := os.Stat(value); err == nil && !fi.IsDir() {
		return bad("is not a folder")
	}
	return value, nil
}

func defaultStateDir() (string, error) {
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "dovemend"), nil
	}
	if runtime.GOOS == "windows" {
		if d := os.Getenv("LOCALAPPDATA"); filepath.IsAbs(d) {
			return filepath.Join(d, "dovemend"), nil
		}
	}
	home, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(home) {
		return "", &usageError{text: "there is no home folder to keep runs in", hint: "the same command with --state-dir DIR"}
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Application Support", "dovemend"), nil
	}
	return filepath.Join(home, ".local", "state", "dovemend"), nil
}

// mailRoot checks --mail-root as far as it can be without the host; the guard checks it again there.
func mailRoot(value string, given bool) (store.HostPath, error) {
	if !given {
		return "", nil
	}
	bad := func(why string) (store.HostPath, error) {
		return "", &usageError{text: fmt.Sprintf("--mail-root %q: %s", value, why), hint: "dovemend accounts … (the column MAIL ROOT shows what can be given)"}
	}
	switch {
	case value == "":
		return bad("is empty; leave the flag out to have it found")
	case strings.ContainsRune(value, 0):
		return bad("holds a NUL byte")
	case strings.HasPrefix(value, "~"):
		return bad("~ is not expanded on the host; give the absolute path")
	case slices.Contains(strings.Split(value, "/"), ".."):
		return bad(`must not hold ".."`)
	case !path.IsAbs(value):
		return bad("must be absolute: a path on the host, from / on")
	case path.Clean(value) == "/":
		return bad("the root of the file system is never a mail root")
	}
	return store.HostPath(path.Clean(value)), nil
}

// readable checks a file on this machine that will be read: a key, certificates, a configuration.
func readable(flag, value string) (string, error) {
	p, err := localFile(flag, value)
	if err != nil {
		return "", err
	}
	fi, err := os.Stat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", &usageError{text: fmt.Sprintf("--%s %q: there is no such file", flag, value)}
	case err != nil:
		return "", &usageError{text: fmt.Sprintf("--%s %q: %v", flag, value, err)}
	case !fi.Mode().IsRegular():
		return "", &usageError{text: fmt.Sprintf("--%s %q: is not a file", flag, value)}
	}
	return p, nil
}

// writable checks a file that may be made: its folder has to be there.
func writable(flag, value string) (string, error) {
	p, err := localFile(flag, value)
	if err != nil {
		return "", err
	}
	if fi, err := os.Stat(p); err == nil && !fi.Mode().IsRegular() {
		return "", &usageError{text: fmt.Sprintf("--%s %q: is not a file", flag, value)}
	}
	if fi, err := os.Stat(filepath.Dir(p)); err != nil || !fi.IsDir() {
		return "", &usageError{text: fmt.Sprintf("--%s %q: there is no folder %q", flag, value, filepath.Dir(p))}
	}
	return p, nil
}

func localFile(flag, value string) (string, error) {
	if value == "" {
		return "", &usageError{text: fmt.Sprintf("--%s is empty", flag)}
	}
	if rest, ok := strings.CutPrefix(value, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			value = filepath.Join(home, rest)
		}
	}
	p, err := filepath.Abs(value)
	if err != nil {
		return "", &usageError{text: fmt.Sprintf("--%s %q: %v", flag, value, err)}
	}
	return p, nil
}
