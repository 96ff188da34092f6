package sshhost

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// sftpServer is an SFTP version 3 server that answers one request after the other, as OpenSSH's sftp-server does.
type sftpServer struct {
	host    *Host
	next    int
	files   map[string]*os.File
	appends map[string]bool
	dirs    map[string][]fs.FileInfo
}

// serveSFTP answers requests until the client goes away.
func (h *Host) serveSFTP(rw io.ReadWriter) error {
	s := &sftpServer{host: h, files: make(map[string]*os.File), appends: make(map[string]bool), dirs: make(map[string][]fs.FileInfo)}
	defer func() {
		for _, f := range s.files {
			f.Close()
		}
	}()
	buf := make([]byte, maxPacket)
	for {
		if _, err := io.ReadFull(rw, buf[:4]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("read packet: %w", err)
		}
		n := binary.BigEndian.Uint32(buf)
		if n == 0 || n > maxPacket {
			return fmt.Errorf("packet of %d bytes: %w", n, errBadMessage)
		}
		if _, err := io.ReadFull(rw, buf[:n]); err != nil {
			return fmt.Errorf("read packet: %w", err)
		}
		if err := s.answer(buf[0], &reader{b: buf[1:n]}).send(rw); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
}

// answer does one request and builds its reply.
func (s *sftpServer) answer(kind byte, r *reader) *writer {
	if kind == fxpInit {
		w := packet(fxpVersion, 3)
		for _, e := range extensions {
			w.str(e.name).str(e.version)
		}
		return w
	}
	id := r.u32()
	w, err := s.do(kind, id, r)
	if w != nil && err == nil {
		return w
	}
	code, text := status(err)
	return packet(fxpStatus, id).u32(code).str(text).str("")
}

// do gives the reply to a request, or nil where the reply is only a status.
func (s *sftpServer) do(kind byte, id uint32, r *reader) (*writer, error) {
	switch kind {
	case fxpOpen:
		return s.open(id, r.str(), r.u32(), r.attrs(), r)
	case fxpClose:
		return nil, s.close(r.str())
	case fxpRead:
		return s.read(id, r.str(), r.u64(), r.u32(), r)
	case fxpWrite:
		return nil, s.write(r.str(), r.u64(), r.str(), r)
	case fxpStat, fxpLstat:
		return s.stat(id, kind, r.str(), r)
	case fxpFstat:
		f, err := s.file(r.str(), r)
		if err != nil {
			return nil, err
		}
		st, err := f.Stat()
		if err != nil {
			return nil, err
		}
		return packet(fxpAttrs, id).stat(st), nil
	case fxpSetstat:
		path, a := r.str(), r.attrs()
		return nil, s.named("setstat", path, r, func(p string) error { return setAttrs(p, nil, a) })
	case fxpFsetstat:
		handle, a := r.str(), r.attrs()
		f, err := s.file(handle, r)
		if err == nil {
			err = s.fault("fsetstat", f.Name())
		}
		if err != nil {
			return nil, err
		}
		return nil, setAttrs(f.Name(), f, a)
	case fxpOpendir:
		return s.opendir(id, r.str(), r)
	case fxpReaddir:
		return s.readdir(id, r.str(), r)
	case fxpRemove:
		return nil, s.named("remove", r.str(), r, unlink)
	case fxpMkdir:
		path, a := r.str(), r.attrs()
		mode := fs.FileMode(0o777)
		if a.flags&attrMode != 0 {
			mode = goMode(a.mode)
		}
		return nil, s.named("mkdir", path, r, func(p string) error { return os.Mkdir(p, mode) })
	case fxpRmdir:
		return nil, s.named("rmdir", r.str(), r, rmdir)
	case fxpRealpath:
		return s.realpath(id, r.str(), r)
	case fxpRename:
		from, to := r.str(), r.str()
		return nil, s.named("rename", from, r, func(p string) error { return renameNew(p, s.local(to)) })
	case fxpReadlink:
		return s.readlink(id, r.str(), r)
	case fxpSymlink: // OpenSSH takes the target first, unlike the draft
		target, link := r.str(), r.str()
		return nil, s.named("symlink", link, r, func(p string) error { return os.Symlink(target, p) })
	case fxpExtended:
		return s.extended(id, r.str(), r)
	}
	return nil, errors.ErrUnsupported
}

// fault asks Options.Fault.
func (s *sftpServer) fault(op, path string) error {
	if s.host.opt.Fault == nil {
		return nil
	}
	return s.host.opt.Fault(op, path)
}

// named does a request whose first field is a path.
func (s *sftpServer) named(op, path string, r *reader, do func(string) error) error {
	if r.err != nil {
		return r.err
	}
	s.host.opt.Logf("sftp %s %q", op, path)
	if err := s.fault(op, path); err != nil {
		return err
	}
	return do(s.local(path))
}

// local makes a local path of a client's, relative ones beneath the home.
func (s *sftpServer) local(p string) string {
	if runtime.GOOS == "windows" && len(p) > 2 && p[0] == '/' && p[2] == ':' {
		p = p[1:]
	}
	p = filepath.FromSlash(p)
	if !filepath.IsAbs(p) {
		p = s.host.opt.Home + string(filepath.Separator) + p
	}
	if strings.HasSuffix(p, string(filepath.Separator)+".") || strings.HasSuffix(p, string(filepath.Separator)) {
		p = filepath.Clean(p)
	}
	return p
}

// foreign makes a slash path of a local one.
func foreign(p string) string {
	p = filepath.ToSlash(p)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p
	}
	return p
}

// handle numbers a new open file or directory.
func (s *sftpServer) handle() (string, error) {
	if len(s.files)+len(s.dirs) >= maxHandles {
		return "", syscall.EMFILE
	}
	s.next++
	return strconv.Itoa(s.next), nil
}

func (s *sftpServer) file(handle string, r *reader) (*os.File, error) {
	if r.err != nil {
		return nil, r.err
	}
	if f, ok := s.files[handle]; ok {
		return f, nil
	}
	return nil, os.ErrClosed
}
