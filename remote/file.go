package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/pkg/sftp"
)

const (
	// chunkSize is one read request; every SFTP server answers at least this much at once.
	chunkSize = 32 << 10
	// probeSize is one request past the size the host told, for the end of the file or what was added to it.
	probeSize = 512
	// maxAhead bounds the requests in flight of one file: 2 MiB, which is the window of an SSH channel.
	maxAhead = 64
	// readFileLimit bounds ReadFile, in bytes; larger files are to be streamed.
	readFileLimit = 1 << 30
)

// Open opens a file or directory. A regular file reads ahead: it asks for two chunks of 32 KiB at first and for more the
// longer it is read in sequence, so that both small and large files come at the speed of the line. It is also an
// [io.ReaderAt], [io.Seeker] and [io.WriterTo]. Other kinds (pipes, sockets, devices) are refused: opening a pipe would
// stop the host's SFTP server.
func (f *FS) Open(name string) (fs.File, error) {
	info, err := f.stat("open", name, (*sftp.Client).Stat)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return &dirFile{fs: f, name: name, info: info}, nil
	}
	return f.OpenListed(name, info)
}

// OpenListed opens a regular file which was just listed or looked at, and saves the look that [FS.Open] takes: one round
// trip. An info of anything but a regular file is refused.
func (f *FS) OpenListed(name string, info fs.FileInfo) (fs.File, error) {
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("not a regular file but %s", kind(info.Mode()))}
	}
	p, err := remotePath("open", name)
	if err != nil {
		return nil, err
	}
	own, ok := info.(*fileInfo)
	if !ok {
		own = &fileInfo{name: path.Base(name), size: info.Size(), mode: info.Mode(), mtime: info.ModTime(), stat: Stat{UID: -1, GID: -1}}
	}
	file := &file{fs: f, name: name, path: p, info: own, window: 2}
	if err := f.h.reading(f.ctx, file.open); err != nil {
		return nil, fsError("open", name, err)
	}
	return file, nil
}

func kind(m fs.FileMode) string {
	switch m.Type() {
	case fs.ModeDir:
		return "a directory"
	case fs.ModeSymlink:
		return "a symbolic link"
	case fs.ModeNamedPipe:
		return "a pipe"
	case fs.ModeSocket:
		return "a socket"
	}
	return "a special file"
}

// ReadFile reads a whole file, at most 1 GiB.
func (f *FS) ReadFile(name string) ([]byte, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	w, ok := file.(io.WriterTo)
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a directory")}
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&limitWriter{w: &b, left: readFileLimit}); err != nil {
		return nil, fsError("read", name, err)
	}
	return b.Bytes(), nil
}

// limitWriter refuses what is past its limit.
type limitWriter struct {
	w    io.Writer
	left int64
}

func (w *limitWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > w.left {
		return 0, fmt.Errorf("file is larger than %d MiB", readFileLimit>>20)
	}
	w.left -= int64(len(p))
	return w.w.Write(p)
}
