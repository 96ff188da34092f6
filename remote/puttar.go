package remote

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sync"
	"time"
)

const (
	// layLeast is from how many files in one directory on the host's tar is worth its two commands.
	layLeast = 64
	// layMost is up to which size, in bytes, a file is small: of a larger one it is not the requests that cost.
	layMost = putChunk
)

// layScript goes to a directory, proves that no symbolic link has led it anywhere else, and has tar make files there and nowhere else: the
// archive holds names without a directory. What is there already is kept.
const layScript = `cd %[1]s && [ "$(pwd -P)" = %[1]s ] || exit 1
LC_ALL=C; export LC_ALL
exec tar -x -k -p -o -f -`

// laySync has the host bring files to its disk, where it has a command for that; some bring everything. Of files with which that fails no sum
// is told, so that SFTP writes them again, or finds out why it cannot.
const laySync = `if command -v sync >/dev/null; then sync "$@" </dev/null >/dev/null 2>&1 || exit 0; fi;`

// errNotLaid: a temporary file is not what tar should have made.
var errNotLaid = errors.New("not as it should be")

// layTar has the host's tar make the temporary files of small ones, and gives the size in bytes of those which are whole, as their
// SHA-256 proves that the host computes after it has synced them. They still want to be looked at and renamed. What is there already is left
// as it is. That a file is not laid, for whatever reason, is no error: SFTP writes it then, or finds out why it cannot be.
func (r *Root) layTar(ctx context.Context, view viewer, files []NewFile, open func(i int) (io.ReadCloser, error)) map[int]int64 {
	laid := map[int]int64{}
	if len(files) < layLeast || !r.canLay() {
		return laid
	}
	dirs := map[string][]int{}
	for i, f := range files {
		if f.Size <= layMost && f.Temp.root == r && f.Temp.class == ClassTemp && plainName(f.Temp.rel) && tarTime(f.Attr.MTime) {
			dirs[path.Dir(f.Temp.rel)] = append(dirs[path.Dir(f.Temp.rel)], i)
		}
	}
	for dir, group := range dirs {
		if len(group) < layLeast || !r.canLay() {
			continue
		}
		if err := r.layDir(ctx, view, dir, group, files, open, laid); err != nil && ctx.Err() == nil {
			r.host.log.Info("the host's tar does not write what it should; SFTP does", "reason", err)
		}
	}
	return laid
}

// canLay says whether the host has what layTar needs, and has not failed at it.
func (r *Root) canLay() bool {
	if r.host == nil || r.link.lost() != nil {
		return false
	}
	b, info := &r.host.bulk, r.host.Info()
	return info.Shell && b.sameHome && b.xargs && info.HashTool != "" && !b.noLay.Load() && r.host.cfg.Engine != EngineSFTP
}

// tarTime says whether a file can get its time from an archive as SFTP would set it.
func tarTime(t time.Time) bool {
	return t.IsZero() || t.Unix() >= 0 && t.Unix() < 1<<32
}

// laid judges a file that tar has made.
func (f NewFile) laid(at seen, size int64) error {
	if at.kind != 0 || at.size != size || at.mode&settable != f.Attr.mode() || !f.Attr.MTime.IsZero() && at.mtime.Unix() != f.Attr.MTime.Unix() {
		return errNotLaid
	}
	return nil
}

// layDir is layTar for files of one directory, relative to the mail root. It adds to laid.
func (r *Root) layDir(ctx context.Context, view viewer, dir string, group []int, files []NewFile, open func(i int) (io.ReadCloser, error), laid map[int]int64) error {
	// Of the directory, which is the same for all, the guard asks once; that nothing is written over is tar's to see.
	if _, err := r.again(ctx, "put", view, files[group[0]].Temp); err != nil {
		return err
	}
	a := &archive{files: files, todo: group, open: open, sums: map[int][32]byte{}, sizes: map[int]int64{}}
	abs := r.abs(dir)
	if abs != r.dir+"/"+dir {
		return nil
	}
	tarErr := r.link.stream(ctx, fmt.Sprintf(layScript, quote(abs)), a.write, func(string) error { return nil })
	a.end()
	if ctx.Err() != nil || r.link.lost() != nil {
		return tarErr
	}
	var names []string
	for _, i := range a.todo {
		names = append(names, path.Base(files[i].Temp.rel))
	}
	before := len(laid)
	s := &summing{host: r.host, ctx: ctx, dir: abs, rel: names, tool: hashTools[r.host.Info().HashTool], first: laySync, done: make([]bool, len(names))}
	s.yield = func(n int, sum [32]byte, err error) error {
		i := a.todo[n]
		if want, ok := a.sums[i]; ok && err == nil && sum == want {
			laid[i] = a.sizes[i]
		}
		return nil
	}
	sumErr := s.many(r.link)
	if len(laid) == before && ctx.Err() == nil && r.link.lost() == nil {
		r.host.bulk.noLay.Store(true)
	}
	return errors.Join(tarErr, sumErr)
}

// archive is new files on their way into a tar.
type archive struct {
	files []NewFile
	todo  []int
	open  func(i int) (io.ReadCloser, error)

	mu    sync.Mutex
	over  bool
	buf   bytes.Buffer // the bytes of one file
	sums  map[int][32]byte
	sizes map[int]int64
}

// end makes it touch nothing any more; what is still to be written is given up.
func (a *archive) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
}

// write writes the archive. What cannot be read, or is larger than was said, it leaves out.
func (a *archive) write(to *bufio.Writer) error {
	w := tar.NewWriter(to)
	for _, i := range a.todo {
		body, err := a.read(i)
		if err != nil {
			return err
		}
		if body == nil {
			continue
		}
		f := a.files[i]
		h := &tar.Header{Typeflag: tar.TypeReg, Name: path.Base(f.Temp.rel), Mode: tarMode(f.Attr.mode()), Size: int64(len(body)), ModTime: time.Unix(f.Attr.MTime.Unix(), 0), Format: tar.FormatGNU}
		if f.Attr.MTime.IsZero() {
			h.ModTime = time.Unix(time.Now().Unix(), 0)
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := w.Write(body); err != nil {
			return err
		}
	}
	return w.Close()
}

// errOver: nobody waits for the archive any more.
var errOver = errors.New("given up")

// read gives the bytes of a file, good until the next is read; nil where it is left out.
func (a *archive) read(i int) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return nil, errOver
	}
	src, err := a.open(i)
	if err != nil {
		return nil, nil
	}
	defer src.Close()
	a.buf.Reset()
	if _, err := io.Copy(&a.buf, io.LimitReader(src, layMost+1)); err != nil || a.buf.Len() > layMost {
		return nil, nil
	}
	body := a.buf.Bytes()
	if body == nil {
		body = []byte{}
	}
	a.sums[i], a.sizes[i] = sha256.Sum256(body), int64(len(body))
	return body, nil
}

// tarMode is a mode in the bits of an archive.
func tarMode(m fs.FileMode) int64 {
	bits := int64(m.Perm())
	for bit, is := range specialBits {
		if m&is != 0 {
			bits |= int64(bit)
		}
	}
	return bits
}
