package inspect

import (
	"context"
	"io/fs"
	"path"

	"dovemend/repair/dovecot"
)

// Options say what is wanted of each file.
type Options struct {
	Summary bool                     // headers, counts and faults, without the records
	Shown   func(name string) string // the name of a file as the output is to have it; nil: as it is
}

// Output takes dumps, one after the other. What a dump streams is read in the call. See [Text] and [JSON].
type Output interface{ Dump(*Dump) error }

// Result is what there was.
type Result struct {
	Known      int    // files, of a kind that dovemend knows
	Unknown    int    // files of other kinds, and what is no file
	Unreadable int    // files and folders that could not be read, or not to their end
	Faulty     int    // files in which something is wrong
	Faults     int    // in all of them
	Err        error  // the first that could not be read
	Why        string // of a single file that is not known: what it is instead
}

// Bounds of a walk.
const (
	maxDepth = 60
	maxFiles = 1 << 20
)

// Inspect dumps a file, or a folder with all that lies beneath it. The error is the context's, or that of the output; what
// cannot be read is told in the dumps, and counted.
func Inspect(ctx context.Context, fsys FS, name string, o Options, out Output) (Result, error) {
	w := &walker{ctx: ctx, fsys: fsys, o: o, out: out}
	fi, err := fsys.Lstat(name)
	switch {
	case err != nil:
		d := newDump(w.shown(name), KindUnknown, -1)
		w.unreadable(d, err)
		err = w.put(d)
	case fi.IsDir():
		err = w.folder(name, 0)
	default:
		if err = w.file(name, fi); err == nil {
			err = w.stateOf(name)
		}
	}
	if err == nil {
		err = ctx.Err()
	}
	return w.res, err
}

type walker struct {
	ctx   context.Context
	fsys  FS
	o     Options
	out   Output
	res   Result
	files int

	extentsDir string // the folder whose map index extents are from
	extents    map[uint32][]dovecot.DboxExtent
}

func (w *walker) shown(name string) string {
	if w.o.Shown != nil {
		return w.o.Shown(name)
	}
	return name
}

// put hands a dump to the output, and counts it.
func (w *walker) put(d *Dump) error {
	before := w.res.Unreadable
	if err := w.out.Dump(d); err != nil {
		return err
	}
	switch {
	case d.Kind == KindUnknown || d.Kind == KindSpecial || d.Kind == KindFolder:
		if d.Error == "" {
			w.res.Unknown++
			w.res.Why = string(d.Note)
		}
	case d.Kind != KindState && d.Error == "" && before == w.res.Unreadable:
		w.res.Known++
	}
	if n := len(d.faults); n > 0 {
		w.res.Faulty++
		w.res.Faults += n
	}
	return nil
}

// unreadable notes that a file could not be read.
func (w *walker) unreadable(d *Dump, err error) {
	w.res.Unreadable++
	if w.res.Err == nil {
		w.res.Err = err
	}
	if d.Error == "" {
		d.Error = Word(err.Error())
	}
}

// folder dumps what is in a folder: its files first, then its folders.
func (w *walker) folder(name string, depth int) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	d := newDump(w.shown(name), KindFolder, -1)
	if depth > maxDepth {
		w.unreadable(d, &fs.PathError{Op: "walk", Path: d.Path, Err: errTooDeep})
		return w.put(d)
	}
	entries, err := w.fsys.ReadDir(name)
	if err != nil {
		w.unreadable(d, err)
		if err := w.put(d); err != nil {
			return err
		}
	}
	var folders []string
	var files []fs.FileInfo
	for _, e := range entries {
		if e.IsDir() {
			folders = append(folders, path.Join(name, e.Name()))
			continue
		}
		fi, err := e.Info()
		if err != nil { // it went away, or belongs to somebody else
			fd := newDump(w.shown(path.Join(name, e.Name())), KindUnknown, -1)
			w.unreadable(fd, err)
			if err := w.put(fd); err != nil {
				return err
			}
			continue
		}
		files = append(files, fi)
	}
	if w.files += len(files); w.files > maxFiles {
		w.unreadable(d, &fs.PathError{Op: "walk", Path: d.Path, Err: errTooMany})
		return w.put(d)
	}
	if err := w.folderFiles(name, files, len(folders) == 0); err != nil {
		return err
	}
	for _, f := range folders {
		if err := w.folder(f, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// folderFiles dumps the files of one folder, and behind the last file of each index what its files tell together. The
// messages in a folder cur, new or tmp are dumped together; so is such a folder that is empty.
func (w *walker) folderFiles(dir string, files []fs.FileInfo, leaf bool) error {
	var messages, others []fs.FileInfo
	mail := mailFolders[path.Base(w.shown(dir))]
	last := map[string]int{} // of each index, by its name
	for _, fi := range files {
		if mail && fi.Mode().IsRegular() && kindByName(w.shown(path.Join(dir, fi.Name()))) == KindMaildir {
			messages = append(messages, fi)
			continue
		}
		if prefix, _, ok := splitIndex(fi.Name()); ok {
			last[prefix] = len(others)
		}
		others = append(others, fi)
	}
	for i, fi := range others {
		if err := w.file(path.Join(dir, fi.Name()), fi); err != nil {
			return err
		}
		if prefix, _, ok := splitIndex(fi.Name()); ok && last[prefix] == i {
			if err := w.stateOf(path.Join(dir, prefix)); err != nil {
				return err
			}
		}
	}
	if len(messages) == 0 && (!mail || !leaf || len(others) > 0) {
		return nil
	}
	size := int64(0)
	for _, fi := range messages {
		size += fi.Size()
	}
	d := newDump(w.shown(dir), KindMaildir, size)
	w.maildir(d, dir, messages)
	return w.put(d)
}
