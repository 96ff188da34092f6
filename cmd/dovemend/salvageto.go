package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"dovemend/repair/salvage"
)

// salvageTo checks --to and gives it in full; "" where it is not given. Nothing is made yet.
func (k *call) salvageTo() (string, error) {
	if !k.IsSet("to") {
		return "", nil
	}
	given := k.String("to")
	bad := func(why string) (string, error) {
		return "", &usageError{text: fmt.Sprintf("--to %q: %s", given, why), hint: "the same command with --to and a folder that does not exist yet"}
	}
	to, err := localFile("to", given)
	if err != nil {
		return "", err
	}
	switch entries, err := os.ReadDir(to); {
	case err == nil && !salvage.Ready(entries):
		return bad("the folder is not empty, and dovemend did not write it; nothing is mixed with what is there")
	case err == nil:
	default:
		if info, serr := os.Stat(nearest(to)); serr != nil || !info.IsDir() {
			return bad("is not a folder")
		}
		if _, serr := os.Lstat(to); serr == nil {
			return bad("is not a folder that can be read")
		}
	}
	if from := k.String("from"); from != "" && inside(to, from) {
		return bad("lies in the copy that --from names, in which nothing is to be changed")
	}
	if inside(to, filepath.Join(k.opts.StateDir, "runs")) {
		return bad("lies in a run's folder, in which nothing is to be changed")
	}
	return to, nil
}

// nearest is a path, or what is there of it.
func nearest(p string) string {
	for {
		if _, err := os.Lstat(p); err == nil || filepath.Dir(p) == p {
			return p
		}
		p = filepath.Dir(p)
	}
}

// inside reports whether a path is a folder, or would lie in it.
func inside(p, dir string) bool {
	real, err := filepath.EvalSymlinks(nearest(p))
	top, terr := filepath.Abs(dir)
	if err != nil || terr != nil {
		return false
	}
	if top, err = filepath.EvalSymlinks(top); err != nil {
		return false
	}
	rel, err := filepath.Rel(top, real)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
