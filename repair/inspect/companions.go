package inspect

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"dovemend/repair/dovecot"
)

// whole reads a file that another one is read with; nil where it does not exist.
func (w *walker) whole(name string) ([]byte, error) {
	fi, err := w.fsys.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, nil
	}
	f, err := w.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxWhole))
	if b == nil {
		b = []byte{} // it exists, and is empty
	}
	return b, err
}

// indexFiles reads the files of an index; those that cannot be read count as not there, and are told by their own dumps.
func (w *walker) indexFiles(prefix string) dovecot.Files {
	get := func(suffix string) []byte {
		b, err := w.whole(prefix + suffix)
		if err != nil {
			return nil
		}
		return b
	}
	return dovecot.Files{Index: get(""), Backup: get(".backup"), Log: get(".log"), Log2: get(".log.2")}
}

// stateOf dumps what the files of an index tell together, if name is that of an index.
func (w *walker) stateOf(name string) error {
	dir, base := path.Split(name)
	prefix, suffix, ok := splitIndex(base)
	if !ok || suffix != "" {
		return nil
	}
	return w.state(w.shown(name), w.indexFiles(path.Join(dir, prefix)))
}

// indexOf is the index that a log belongs to, or nil.
func (w *walker) indexOf(name string) *dovecot.Index {
	prefix, _, ok := splitIndex(name)
	if !ok {
		return nil
	}
	b, err := w.whole(prefix)
	if b == nil || err != nil {
		return nil
	}
	x, _ := dovecot.ParseIndex(b)
	return x
}

// mapExtents is what the map index beside an mdbox file tells of it: where messages lie whose own header is damaged.
func (w *walker) mapExtents(name string) []dovecot.DboxExtent {
	dir, base := path.Split(name)
	digits, ok := strings.CutPrefix(base, "m.")
	digits, _, _ = strings.Cut(digits, ".")
	id, err := strconv.ParseUint(digits, 10, 32)
	if !ok || err != nil {
		return nil
	}
	if w.extents == nil || w.extentsDir != dir {
		w.extentsDir, w.extents = dir, map[uint32][]dovecot.DboxExtent{}
		s, _ := dovecot.ReplayOnly(w.indexFiles(path.Join(dir, "dovecot.map.index")))
		records, _ := s.MapRecords()
		for _, r := range records {
			w.extents[r.FileID] = append(w.extents[r.FileID], dovecot.DboxExtent{Offset: int64(r.Offset), Size: int64(r.Size)})
		}
		for _, list := range w.extents {
			slices.SortFunc(list, func(a, b dovecot.DboxExtent) int {
				switch {
				case a.Offset < b.Offset:
					return -1
				case a.Offset > b.Offset:
					return 1
				}
				return 0
			})
		}
	}
	return w.extents[uint32(id)]
}
