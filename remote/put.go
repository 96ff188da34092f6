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
)

// putChunk is how much of a file is written, or read back, between two looks at the context.
const putChunk = 1 << 20

// Put writes a new file: all of src into temp, which is made anew, or emptied if it is there from an interrupted run; then
// it is synced where the host can, read back and compared, given its attributes, and renamed to its place. It never
// overwrites what stands there (the error wraps [fs.ErrExist]). After any error nothing is changed but temp, which is
// named in it and may be left, with part of the bytes. src is not touched any more once Put has returned.
func (r *Root) Put(ctx context.Context, temp, to WritablePath, src io.Reader, a Attr) error {
	if temp.class != ClassTemp {
		return fmt.Errorf("put %s: %w", Safe(temp.rel), ErrUnguarded)
	}
	if err := r.absent(ctx, "put", r.view, to); err != nil {
		return err
	}
	if err := r.again(ctx, "put", r.view, temp); err != nil {
		return err
	}
	if err := r.writeTemp(ctx, temp, src, a); err != nil {
		return fmt.Errorf("put %s: the incomplete copy %s may be left: %w", Safe(to.rel), Safe(temp.rel), err)
	}
	if err := r.rename(ctx, r.view, temp, to); err != nil {
		return fmt.Errorf("put %s: the complete copy %s is left: %w", Safe(to.rel), Safe(temp.rel), err)
	}
	return nil
}

// writeTemp makes temp hold src with its attributes, and proves it.
func (r *Root) writeTemp(ctx context.Context, temp WritablePath, src io.Reader, a Attr) error {
	abs := r.abs(temp.rel)
	flags := os.O_RDWR | os.O_CREATE | os.O_EXCL
	if at := r.view.item(ctx, abs); at.err == nil {
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
	err = r.fill(ctx, temp.rel, f, src)
	closeErr := r.act(ctx, "close", temp.rel, func(string) error { return f.Close() })
	if err != nil {
		return err
	}
	if closeErr != nil {
		return full(closeErr)
	}
	if a.Mode&settable == 0 {
		a.Mode = 0o600
	}
	return r.setAttr(ctx, temp.rel, a)
}

// fill writes src into the open, empty file, syncs it and reads it back.
func (r *Root) fill(ctx context.Context, rel string, f *sftp.File, src io.Reader) error {
	// Until it has its own mode nobody else may read it.
	if err := r.act(ctx, "chmod", rel, func(string) error { return f.Chmod(0o600) }); err != nil {
		return err
	}
	sum := sha256.New()
	var size int64
	buf := make([]byte, putChunk)
	for {
		n, readErr := io.ReadFull(src, buf)
		if n > 0 {
			chunk := bytes.Clone(buf[:n]) // the library may still hold it when ctx ends
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
	if _, ok := r.sftp.HasExtension("fsync@openssh.com"); ok {
		if err := r.act(ctx, "fsync", rel, func(string) error { return f.Sync() }); err != nil {
			return full(err)
		}
	}
	return r.readBack(ctx, rel, f, size, sum)
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
	err := r.act(ctx, "stat", rel, func(string) error {
		fi, err := f.Stat()
		if err == nil {
			have = fi.Size()
		}
		return err
	})
	if err != nil {
		return err
	}
	if have != size {
		return fsError("put", r.abs(rel), fmt.Errorf("the host holds %d of %d bytes (%w)", have, size, ErrFull))
	}
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
			return err
		}
		got.Write(buf)
	}
	if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		return fsError("put", r.abs(rel), errors.New("what the host holds is not what was written"))
	}
	return nil
}
