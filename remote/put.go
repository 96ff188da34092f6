package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/pkg/sftp"
	"golang.org/x/sync/semaphore"
)

// putChunk is how much of a file is written, or read back, between two looks at the context.
const putChunk = 1 << 20

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

// putsInFlight bounds the files written at one time: a host may allow 1024 open files, and each costs about ten requests one after the
// other. putsMemory bounds what is held of them, in bytes; read back they are held once more.
const (
	putsInFlight = 512
	putsMemory   = 16 * putChunk
)

// PutEach is [Root.Put] for many files, in no order, with what is said of [Root.RemoveEach]. open gives the bytes of one, and they
// are closed when they have been read. No destination may be given twice.
func (r *Root) PutEach(ctx context.Context, files []NewFile, open func(i int) (io.ReadCloser, error), report func(i int, err error)) error {
	view := newSharedView(r.view)
	memory := semaphore.NewWeighted(putsMemory)
	return r.each(ctx, len(files), putsInFlight, true, func(i int) error {
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
	if err := r.writeTemp(ctx, temp, at.err == nil, src, f); err != nil {
		return fmt.Errorf("put %s: the incomplete copy %s may be left: %w", Safe(to.rel), Safe(temp.rel), err)
	}
	if err := r.rename(ctx, view, temp, to); err != nil {
		return fmt.Errorf("put %s: the complete copy %s is left: %w", Safe(to.rel), Safe(temp.rel), err)
	}
	return nil
}

// writeTemp makes temp, which may be there, hold src with its attributes, and proves it.
func (r *Root) writeTemp(ctx context.Context, temp WritablePath, there bool, src io.Reader, n NewFile) error {
	flags := os.O_RDWR | os.O_CREATE | os.O_EXCL
	if there {
		flags = os.O_RDWR | os.O_TRUNC
	}
	var f *sftp.File
	err := r.act(ctx, "open", temp.rel, func(abs string) (err error) {
		f, err = r.sftp.OpenFile(abs, flags)
		return err
	})
	if err != nil {
		return full(err)
	}
	err = r.fill(ctx, temp.rel, f, src, n.Size)
	closeErr := r.act(ctx, "close", temp.rel, func(string) error { return f.Close() })
	if err != nil {
		return err
	}
	if closeErr != nil {
		return full(closeErr)
	}
	a := n.Attr
	if a.Mode&settable == 0 {
		a.Mode = 0o600
	}
	return r.setAttr(ctx, temp.rel, a)
}

// fill writes src, of about this size, into the open, empty file, syncs it and reads it back.
func (r *Root) fill(ctx context.Context, rel string, f *sftp.File, src io.Reader, about int64) error {
	// Until it has its own mode nobody else may read it.
	if err := r.act(ctx, "chmod", rel, func(string) error { return f.Chmod(0o600) }); err != nil {
		return err
	}
	sum := sha256.New()
	var size int64
	for {
		buf := make([]byte, putBuffer(about-size)) // a new one: the library may still hold it when ctx ends
		n, readErr := io.ReadFull(src, buf)
		if n > 0 {
			chunk := buf[:n]
			sum.Write(chunk)
			size += int64(n)
			err := r.act(ctx, "write", rel, func(string) error {
				_, err := f.ReadFromWithConcurrency(bytes.NewReader(chunk), 64)
				return err
			})
			if err != nil {
				return full(err)
			}
		}
		if readErr == io.EOF || readErr == io.ErrUnexpectedEOF {
			break
		}
		if readErr != nil {
			return fmt.Errorf("read what is to be written: %w", readErr)
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
	err := r.readBack(ctx, rel, f, size, sum)
	if syncErr := <-synced; syncErr != nil {
		return full(syncErr)
	}
	return err
}

// full adds what a plain "failure" of a write most often stands for.
func full(err error) error {
	var status *statusError
	if errors.As(err, &status) && status.kind == nil {
		return fmt.Errorf("%w (%w)", err, ErrFull)
	}
	return err
}

// readBack compares what the host now holds with what was written.
func (r *Root) readBack(ctx context.Context, rel string, f *sftp.File, size int64, want hash.Hash) error {
	var have int64
	statErr := make(chan error, 1)
	go func() {
		statErr <- r.act(ctx, "stat", rel, func(string) error {
			fi, err := f.Stat()
			if err == nil {
				have = fi.Size()
			}
			return err
		})
	}()
	got, err := r.sumBack(ctx, rel, f, size)
	if err2 := <-statErr; err2 != nil {
		return err2
	}
	if have != size {
		return fsError("put", r.abs(rel), fmt.Errorf("the host holds %d of %d bytes (%w)", have, size, ErrFull))
	}
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want.Sum(nil)) {
		return fsError("put", r.abs(rel), errors.New("what the host holds is not what was written"))
	}
	return nil
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
