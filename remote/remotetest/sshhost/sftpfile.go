package sshhost

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

func (s *sftpServer) open(id uint32, path string, flags uint32, a attrs, r *reader) (*writer, error) {
	mode := fs.FileMode(0o666)
	if a.flags&attrMode != 0 {
		mode = goMode(a.mode)
	}
	how := os.O_RDONLY
	switch {
	case flags&openRead != 0 && flags&openWrite != 0:
		how = os.O_RDWR
	case flags&openWrite != 0:
		how = os.O_WRONLY
	}
	for bit, f := range map[uint32]int{openAppend: os.O_APPEND, openCreate: os.O_CREATE, openTrunc: os.O_TRUNC, openExcl: os.O_EXCL} {
		if flags&bit != 0 {
			how |= f
		}
	}
	var name string
	err := s.named("open", path, r, func(p string) error {
		// As OpenSSH's, this server opens a FIFO only if that does not wait for somebody at its other end.
		f, err := os.OpenFile(p, how|nonblock, mode)
		if err != nil {
			return err
		}
		if name, err = s.handle(); err != nil {
			return errors.Join(err, f.Close())
		}
		s.files[name], s.appends[name] = f, flags&openAppend != 0
		return nil
	})
	return packet(fxpHandle, id).str(name), err
}

func (s *sftpServer) close(handle string) error {
	if _, ok := s.dirs[handle]; ok {
		delete(s.dirs, handle)
		return nil
	}
	f, ok := s.files[handle]
	if !ok {
		return os.ErrClosed
	}
	delete(s.files, handle)
	delete(s.appends, handle)
	return f.Close()
}

func (s *sftpServer) read(id uint32, handle string, at uint64, n uint32, r *reader) (*writer, error) {
	f, err := s.file(handle, r)
	if err == nil {
		err = s.fault("read", f.Name())
	}
	if err != nil {
		return nil, err
	}
	buf := make([]byte, min(n, maxRead))
	got, err := f.ReadAt(buf, int64(at))
	if got == 0 && err != nil {
		return nil, err
	}
	return packet(fxpData, id).str(string(buf[:got])), nil
}

func (s *sftpServer) write(handle string, at uint64, data string, r *reader) error {
	f, err := s.file(handle, r)
	if err == nil {
		err = s.fault("write", f.Name())
	}
	if err != nil {
		return err
	}
	if s.appends[handle] {
		_, err = io.WriteString(f, data)
		return err
	}
	_, err = f.WriteAt([]byte(data), int64(at))
	return err
}

func (s *sftpServer) stat(id uint32, kind byte, path string, r *reader) (*writer, error) {
	how, op := os.Stat, "stat"
	if kind == fxpLstat {
		how, op = os.Lstat, "lstat"
	}
	var st fs.FileInfo
	err := s.named(op, path, r, func(p string) (err error) {
		st, err = how(p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return packet(fxpAttrs, id).stat(st), nil
}

func (s *sftpServer) opendir(id uint32, path string, r *reader) (*writer, error) {
	var name string
	err := s.named("opendir", path, r, func(p string) error {
		entries, err := os.ReadDir(p)
		if err != nil {
			return err
		}
		list := make([]fs.FileInfo, 0, len(entries)+2)
		for _, dot := range []string{".", ".."} {
			if st, err := os.Lstat(p + string(filepath.Separator) + dot); err == nil {
				list = append(list, renamed{st, dot})
			}
		}
		for _, e := range entries {
			if st, err := e.Info(); err == nil { // one that has gone meanwhile is not there
				list = append(list, st)
			}
		}
		if name, err = s.handle(); err != nil {
			return err
		}
		s.dirs[name] = list
		return nil
	})
	return packet(fxpHandle, id).str(name), err
}

func (s *sftpServer) readdir(id uint32, handle string, r *reader) (*writer, error) {
	if r.err != nil {
		return nil, r.err
	}
	list, ok := s.dirs[handle]
	if !ok {
		return nil, os.ErrClosed
	}
	n := min(len(list), direntBatch)
	if n == 0 {
		return nil, io.EOF
	}
	w := packet(fxpName, id).u32(uint32(n))
	for _, st := range list[:n] {
		w.str(st.Name()).str(longname(st)).stat(st)
	}
	s.dirs[handle] = list[n:]
	return w, nil
}

// renamed is a FileInfo under another name.
type renamed struct {
	fs.FileInfo
	name string
}

func (r renamed) Name() string { return r.name }

// realpath resolves symbolic links; the last component need not exist, as with OpenSSH's sftp_realpath.
func (s *sftpServer) realpath(id uint32, path string, r *reader) (*writer, error) {
	if path == "" {
		path = "."
	}
	var real string
	err := s.named("realpath", path, r, func(p string) (err error) {
		real, err = filepath.EvalSymlinks(p)
		if err != nil && strings.Contains(err.Error(), "too many links") { // it has no errno of its own
			return syscall.ELOOP
		}
		if errors.Is(err, fs.ErrNotExist) {
			if _, lerr := os.Lstat(p); lerr == nil {
				return err // a dangling link
			}
			var dir string
			if dir, err = filepath.EvalSymlinks(filepath.Dir(p)); err == nil {
				real = filepath.Join(dir, filepath.Base(p))
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	name := foreign(real)
	return packet(fxpName, id).u32(1).str(name).str(name).u32(0), nil
}

func (s *sftpServer) readlink(id uint32, path string, r *reader) (*writer, error) {
	var to string
	err := s.named("readlink", path, r, func(p string) (err error) {
		to, err = os.Readlink(p)
		return err
	})
	if err != nil {
		return nil, err
	}
	to = filepath.ToSlash(to)
	return packet(fxpName, id).u32(1).str(to).str(to).u32(0), nil
}

// renameNew renames and never overwrites: a file by link and unlink, which has no race, all else after a look.
func renameNew(from, to string) error {
	st, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if st.Mode().IsRegular() {
		err := os.Link(from, to)
		if err == nil {
			return os.Remove(from)
		}
		if errors.Is(err, fs.ErrExist) || !linkless(err) {
			return err
		}
	}
	if _, err := os.Lstat(to); err == nil {
		return syscall.EEXIST
	}
	return os.Rename(from, to)
}

// setAttrs sets what a client asked for, through the open file where there is one.
func setAttrs(path string, f *os.File, a attrs) error {
	var errs []error
	if a.flags&attrSize != 0 {
		if f != nil {
			errs = append(errs, f.Truncate(int64(a.size)))
		} else {
			errs = append(errs, os.Truncate(path, int64(a.size)))
		}
	}
	if a.flags&attrMode != 0 {
		if f != nil {
			errs = append(errs, f.Chmod(goMode(a.mode)))
		} else {
			errs = append(errs, os.Chmod(path, goMode(a.mode)))
		}
	}
	if a.flags&attrTimes != 0 {
		errs = append(errs, os.Chtimes(path, a.atime, a.mtime))
	}
	if a.flags&attrIDs != 0 {
		errs = append(errs, os.Chown(path, int(a.uid), int(a.gid)))
	}
	for _, err := range errs { // OpenSSH tries all and tells the last; the first says more
		if err != nil {
			return err
		}
	}
	return nil
}
