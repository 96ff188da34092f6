package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"dovemend/cmd/internal/ui"
	"dovemend/repair"
	"dovemend/repair/inspect"
	"dovemend/repair/snapshot"
)

// inspectTarget is one file or folder to look at.
type inspectTarget struct {
	given  string // as the person named it
	folder bool
	fsys   inspect.FS
	name   string                   // in fsys
	shown  func(name string) string // the name of a file in fsys as it is told

	unreadableHint string
}

// inspectTargets finds what --file and --run name. What is opened is closed when the verb ends.
func (k *call) inspectTargets(doc *inspectDocument) ([]*inspectTarget, error) {
	files := k.StringSlice("file")
	if k.IsSet("run") {
		return k.copyTargets(doc, files)
	}
	if len(files) == 0 {
		return nil, &usageError{text: "nothing is named: --file PATH, or --run ID for the copy of a run", hint: "dovemend inspect --file PATH, or dovemend runs"}
	}
	var all []*inspectTarget
	for _, f := range files {
		t, err := k.localTarget(f)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// localTarget opens a file or folder of this machine. A symbolic link that was named is followed, one met later is not.
func (k *call) localTarget(given string) (*inspectTarget, error) {
	p, err := localFile("file", given)
	if err != nil {
		return nil, err
	}
	t := &inspectTarget{given: given, unreadableHint: "look at the modes of what is named above; then the same command again"}
	cannot := func(err error) (*inspectTarget, error) {
		return nil, &endError{exitError, err.Error(), t.unreadableHint}
	}
	fi, err := os.Stat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &usageError{text: fmt.Sprintf("--file %q: there is no such file or folder", given)}
	case err != nil:
		return cannot(err)
	case !fi.IsDir() && !fi.Mode().IsRegular():
		return nil, &usageError{text: fmt.Sprintf("--file %q: is neither a file nor a folder", given)}
	}
	if p, err = filepath.EvalSymlinks(p); err != nil {
		return cannot(err)
	}
	dir := p
	if t.folder, t.name = fi.IsDir(), "."; !t.folder {
		dir, t.name = filepath.Dir(p), filepath.Base(p)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return cannot(err)
	}
	k.after = append(k.after, root.Close)
	t.fsys, t.shown = inspect.Local(root), func(name string) string {
		if !t.folder {
			return filepath.ToSlash(given)
		}
		return path.Join(filepath.ToSlash(given), name)
	}
	return t, nil
}

// copyTargets opens what --file names in the copy of a run, or the whole copy.
func (k *call) copyTargets(doc *inspectDocument, files []string) ([]*inspectTarget, error) {
	if k.String("run") == "" {
		return nil, &usageError{text: "--run is empty", hint: "dovemend runs"}
	}
	c, err := repair.OpenCopy(k.opts.StateDir, k.String("run"))
	switch {
	case errors.Is(err, snapshot.ErrUnsettled):
		return nil, &endError{exitError, err.Error(), ui.Command("dovemend", "resume", "--run", k.String("run")) + " brings it to its end; where another dovemend works on it, wait until that has ended"}
	case errors.Is(err, snapshot.ErrList):
		return nil, &endError{exitError, fmt.Sprintf("the copy of run %s is unfinished or damaged: its list, manifest.json, cannot be read", k.String("run")),
			"dovemend inspect --file with the folder snapshot/files in the run's folder, which dovemend runs names"}
	case errors.Is(err, fs.ErrNotExist):
		return nil, &endError{exitError, fmt.Sprintf("run %s has no complete copy", k.String("run")), "dovemend runs, which lists those that have one"}
	case err != nil:
		return nil, err
	}
	k.after = append(k.after, c.Close)
	doc.Run, doc.Folder = c.ID, c.Folder
	for i, a := range c.Altered {
		if i == maxShown {
			k.progress.Warn(fmt.Sprintf("%d files more of this copy are not as they were copied", len(c.Altered)-i))
			break
		}
		k.progress.Warn("not as it was copied: " + ui.Safe(string(a.Path)) + ": " + a.String())
	}
	if len(files) == 0 {
		files = []string{"."}
	}
	var all []*inspectTarget
	for _, f := range files {
		t, err := copyTarget(c, f)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// copyTarget finds a file or folder in a copy, by its name beneath the mail root or its path on the host.
func copyTarget(c *repair.Copy, given string) (*inspectTarget, error) {
	whole := ui.Command("dovemend", "inspect", "--run", c.ID, "--summary") + ", which names the files of the copy"
	name := given
	if beneath, ok := strings.CutPrefix(name+"/", string(c.Root)+"/"); ok && path.IsAbs(given) {
		name = "./" + beneath
	}
	switch {
	case given == "":
		return nil, &usageError{text: "--file is empty", hint: whole}
	case path.IsAbs(name) || slices.Contains(strings.Split(name, "/"), ".."):
		return nil, &usageError{text: fmt.Sprintf("--file %q: is not beneath the mail root %s", given, c.Root), hint: whole}
	}
	t := &inspectTarget{given: given, fsys: c.FS, name: path.Clean(name), unreadableHint: "dovemend backup …, which copies again what could not be read then"}
	fi, err := c.FS.Lstat(t.name)
	if err != nil {
		return nil, &usageError{text: fmt.Sprintf("--file %q: the copy has no such file or folder", given), hint: whole}
	}
	t.folder = fi.IsDir()
	return t, nil
}
