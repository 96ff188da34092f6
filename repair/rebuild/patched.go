package rebuild

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"sort"
)

// patch is some bytes of a file that become others.
type patch struct {
	at int64
	b  []byte
}

// patched is a file with some bytes replaced, and perhaps its end cut off, or something behind it.
type patched struct {
	base    io.ReaderAt
	given   int64   // how long that is
	size    int64   // how long it will be
	patches []patch // ascending, not overlapping
}

func (p *patched) patch(at int64, b []byte) {
	i, _ := slices.BinarySearchFunc(p.patches, at, func(x patch, at int64) int { return cmp.Compare(x.at, at) })
	p.patches = slices.Insert(p.patches, i, patch{at, b})
}

// ReadAt reads the file as it will be.
func (p *patched) ReadAt(b []byte, off int64) (int, error) {
	if off >= p.size {
		return 0, io.EOF
	}
	want := b[:min(int64(len(b)), p.size-off)]
	n, err := p.base.ReadAt(want, off)
	if n < len(want) && errors.Is(err, io.EOF) && off+int64(n) >= p.given { // behind the file's end are patches alone
		n = len(want)
	}
	if n < len(want) {
		return n, err
	}
	i := sort.Search(len(p.patches), func(i int) bool { return p.patches[i].at+int64(len(p.patches[i].b)) > off })
	for ; i < len(p.patches) && p.patches[i].at < off+int64(n); i++ {
		from := p.patches[i].at - off
		if from < 0 {
			copy(want, p.patches[i].b[-from:])
		} else {
			copy(want[from:], p.patches[i].b)
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}
