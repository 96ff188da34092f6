package salvage

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// indexFile collects the entries of a run and makes index.json of them at the end.
type indexFile struct {
	w    *writer
	f    *os.File
	temp string
	out  *bufio.Writer
	enc  *json.Encoder // to out
}

// indexHead is what stands in index.json before the messages.
type indexHead struct {
	Writer  string           `json:"writer"`
	Version int              `json:"version"`
	Format  Format           `json:"format"`
	Total   Count            `json:"total"`
	Classes map[Class]*Count `json:"classes"`
	Folders []*Folder        `json:"folders"`
}

func (w *writer) newIndex() (*indexFile, error) {
	f, temp, err := w.staging.create()
	if err != nil {
		return nil, err
	}
	x := &indexFile{w: w, f: f, temp: temp, out: bufio.NewWriterSize(f, 64<<10)}
	x.enc = jsonLines(x.out)
	return x, nil
}

func (x *indexFile) add(e *Entry) error { return x.enc.Encode(e) }

func (x *indexFile) close() {
	if x.f != nil {
		x.f.Close()
	}
}

// finish writes index.json, or index~2.json where that name is somebody else's.
func (x *indexFile) finish() error {
	w := x.w
	err := errors.Join(x.out.Flush(), x.f.Close())
	if x.f = nil; err != nil {
		return err
	}
	for _, folder := range w.folders.order {
		if folder.Messages > 0 {
			w.sum.Folders = append(w.sum.Folders, folder)
		}
	}
	h, err := jsonLine(indexHead{writerName, 1, w.o.Format, w.sum.Count, w.sum.Classes, w.sum.Folders})
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		if w.sum.Index = "index.json"; try > 1 {
			w.sum.Index = fmt.Sprintf("index~%d.json", try)
		}
		ours := false
		if w.exists(w.sum.Index) {
			if ours = w.isIndex(w.sum.Index); !ours {
				w.foreign(w.sum.Index)
				continue
			}
		}
		var renamed map[string]string
		if m, ok := w.format.(*mboxFormat); ok {
			renamed = m.renamed
		}
		if err := w.document(h, x.temp, renamed, w.sum.Index, ours); err != nil {
			return err
		}
		return w.staging.flush()
	}
}

// isIndex reports whether a file is an index that dovemend wrote.
func (w *writer) isIndex(name string) bool {
	info, err := w.root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := openRegular(w.root, name)
	if err != nil {
		return false
	}
	defer f.Close()
	h, err := readHead(f)
	return err == nil && h.Writer == writerName
}

// Total reads from index.json how many messages a run over a directory has written; its end tells that they are all there.
func Total(root *os.Root) (c Count, err error) {
	f, err := openRegular(root, "index.json")
	if err != nil {
		return c, err
	}
	defer f.Close()
	dec := json.NewDecoder(io.LimitReader(f, 1<<20))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return c, errors.New("index.json is not dovemend's")
	}
	for dec.More() {
		key, err := dec.Token()
		switch {
		case err != nil:
			return c, err
		case key == "total":
			return c, dec.Decode(&c)
		}
		var skipped json.RawMessage
		if err := dec.Decode(&skipped); err != nil {
			return c, err
		}
	}
	return c, errors.New("index.json does not tell how many")
}
