package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/pkg/sftp"
	"golang.org/x/sync/semaphore"
)

const (
	// putChunk is how much of a file is written, or read back, between two looks at the context, in bytes.
	putChunk = 1 << 20
	// packet is how much one request of SFTP can write, in bytes.
	packet = 32 << 10
)

// Put writes a new file: all of src into temp, which is made anew, or emptied if it is there from an interrupted run; then
// it is synced where the host can, read back and compared, given its attributes, and renamed to its place. It never
// overwrites what stands there (the error wraps [fs.ErrExist]). After any error nothing is changed but temp, which is
// named in it and may be left, with part of the bytes. src is not touched any more once Put has returned.
func (r *Root) Put(ctx context.Context, temp, to WritablePath, src io.Reader, a Attr) error {
	return r.put(ctx, r.view, NewFile{temp, to, a, putChunk}, src)
}

// NewFile is one file for [Root.PutEach].
type NewFile struct {
	Temp, To WritablePath
	Attr     Attr
	Size     int64 // bytes
}

// putsInFlight bounds the files open at one time, of which a host may allow 1024; each costs eight requests one after the other.
// putsMemory bounds what is held of them, in bytes; read back they are held once more.
const (
	putsInFlight = 512
	putsMemory   = 16 * putChunk
)

// PutEach is [Root.Put] for many files, in no order, with what is said of [Root.RemoveEach], but that of files which were not begun
// the temporary ones may be there. open gives the bytes of one, perhaps a second time, and they are closed when they have been read. No
// path may be given twice. Many small files are made by the host's tar, where it has one: see layTar.
func (r *Root) PutEach(ctx context.Context, files []NewFile, open func(i int) (io.ReadCloser, error), report func(i int, err error)) error {
	view := newSharedView(r.view)
	laid := r.layTar(ctx, view, files, open)
	memory, handles := semaphore.NewWeighted(putsMemory), semaphore.NewWeighted(putsInFlight)
	return r.each(ctx, len(files), inFlight, true, func(i int) error {
		if size, ok := laid[i]; ok {
			err := r.rename(ctx, view, files[i].Temp, files[i].To, func(at seen) error { return files[i].laid(at, size) })
			if !errors.Is(err, errNotLaid) {
				return err
			}
		}
		if err := handles.Acquire(ctx, 1); err != nil {
			return err
		}
		defer handles.Release(1)
		need := putBuffer(files[i].Size)
		if err := memory.Acquire(ctx, need); err != nil {
			return err
		}
		defer memory.Release(need)
		src, err := open(i)
		if err != nil {
			return err
		}
		defer src.Close()
		return r.put(ctx, view, files[i], src)
	}, report)
}

// putBuffer is how much is read of a file at one time, in bytes, where about so much is left of it.
func putBuffer(left int64) int64 { return min(max(left, 0)+4096, putChunk) }

func (r *Root) put(ctx context.Context, view viewer, f NewFile, src io.Reader) error {
	temp, to := f.Temp, f.To
	if temp.class != ClassTemp {
		return fmt.Errorf("put %s: %w", Safe(temp.rel), ErrUnguarded)
	}
	free := make(chan error, 1)
	go func() { free <- r.absent(ctx, "put", view, to) }()
	at, err := r.again(ctx, "put", view, temp)
	if taken := <-free; taken != nil {
		err = taken
	}
	if err != nil {
		return err
	}
	size, err := r.writeTemp(ctx, temp, at, src, f)
	if err != nil {
		return fmt.Errorf("put %s: the incomplete copy %s may be left: %w", Safe(to.rel), Safe(temp.rel), err)
	}
	err = r.rename(ctx, view, temp, to, func(at seen) error {
		if at.size != size {
			return fsError("put", r.abs(temp.rel), fmt.Errorf("the host holds %d of %d bytes (%w)", at.size, size, ErrFull))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("put %s: the complete copy %s is left: %w", Safe(to.rel), Safe(temp.rel), err)
	}
	return nil
}

// writeTemp makes temp, where this was seen, hold src with its attributes, proves it, and gives its size in bytes.
func (r *Root) writeTemp(ctx context.Context, temp WritablePath, at seen, src io.Reader, n NewFile) (size int64, err error) {
	flags := os.O_RDWR | os.O_CREATE | os.O_EXCL
	if at.err == nil {
		flags = os.O_RDWR | os.O_TRUNC
	}
	if at.err == nil && at.mode&0o600 != 0o600 { // it had its attributes already
		if err := r.setAttr(ctx, temp.rel, Attr{Mode: 0o600}); err != nil {
			return 0, err
		}
	}
	var f *sftp.File
	err = r.act(ctx, "open", temp.rel, func(abs string) (err error) {
		f, err = r.sftp.OpenFile(abs, flags)
		return err
	})
	if err != nil {
		return 0, full(err)
	}
	mode := n.Attr.mode()
	size, err = r.fill(ctx, temp.rel, f, src, n.Size, mode&fs.ModePerm)
	closeErr := r.act(ctx, "close", temp.rel, func(string) error { return f.Close() })
	if err != nil {
		return 0, err
	}
	if closeErr != nil {
		return 0, full(closeErr)
	}
	if mode == mode&fs.ModePerm {
		mode = 0 // it has it
	}
	return size, r.setAttr(ctx, temp.rel, Attr{Mode: mode, MTime: n.Attr.MTime})
}

// fill writes src, of about this size, into the open, empty file, syncs it, reads it back, and gives its size in bytes.
func (r *Root) fill(ctx context.Context, rel string, f *sftp.File, src io.Reader, about int64, mode fs.FileMode) (size int64, err error) {
	// Before there is anything to read in it.
	if err := r.act(ctx, "chmod", rel, func(string) error { return f.Chmod(mode) }); err != nil {
		return 0, err
	}
	sum := sha256.New()
	for {
		buf := make([]byte, putBuffer(about-size)) // a new one: the library may still hold it when ctx ends
		n, readErr := io.ReadFull(src, buf)
		if n > 0 {
			chunk := buf[:n]
			sum.Write(chunk)
			size += int64(n)
			err := r.act(ctx, "write", rel, func(string) error {
				if n <= packet {
					_, err := f.Write(chunk)
					return err
				}
				_, err := f.ReadFromWithConcurrency(bytes.NewReader(chunk), 64)
				return err
			})
			if err != nil {
				return 0, full(err)
			}
		}
		if readErr == io.EOF || readErr == io.ErrUnexpectedEOF {
			break
		}
		if readErr != nil {
			return 0, fmt.Errorf("read what is to be written: %w", readErr)
		}
	}
	synced := make(chan error, 1)
	go func() {
		if _, ok := r.sftp.HasExtension("fsync@openssh.com"); !ok {
			synced <- nil
			return
		}
		synced <- r.act(ctx, "fsync", rel, func(string) error { return f.Sync() })
	}()
	got, err := r.sumBack(ctx, rel, f, size)
	if syncErr := <-synced; syncErr != nil {
		return 0, full(syncErr)
	}
	if err == nil && !bytes.Equal(got, sum.Sum(nil)) {
		err = fsError("put", r.abs(rel), errors.New("what the host holds is not what was written"))
	}
	return size, err
}

// full adds what a plain "failure" of a write most often stands for.
func full(err error) error {
	var status *statusError
	if errors.As(err, &status) && status.kind == nil {
		return fmt.Errorf("%w (%w)", err, ErrFull)
	}
	return err
}

// sumBack reads and hashes what the host now holds.
func (r *Root) sumBack(ctx context.Context, rel string, f *sftp.File, size int64) ([]byte, error) {
	got := sha256.New()
	for off := int64(0); off < size; off += putChunk {
		buf := make([]byte, min(putChunk, size-off))
		err := r.act(ctx, "read", rel, func(string) error {
			n, err := f.ReadAt(buf, off)
			if n == len(buf) {
				return nil
			}
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		got.Write(buf)
	}
	return got.Sum(nil), nil
}
