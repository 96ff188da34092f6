package sshhost

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// The packets of draft-ietf-secsh-filexfer-02 (SFTP version 3), by their numbers there.
const (
	fxpInit, fxpVersion                                     = 1, 2
	fxpOpen, fxpClose, fxpRead, fxpWrite                    = 3, 4, 5, 6
	fxpLstat, fxpFstat, fxpSetstat, fxpFsetstat             = 7, 8, 9, 10
	fxpOpendir, fxpReaddir, fxpRemove, fxpMkdir             = 11, 12, 13, 14
	fxpRmdir, fxpRealpath, fxpStat, fxpRename               = 15, 16, 17, 18
	fxpReadlink, fxpSymlink                                 = 19, 20
	fxpStatus, fxpHandle, fxpData, fxpName, fxpAttrs        = 101, 102, 103, 104, 105
	fxpExtended, fxpExtendedReply                           = 200, 201
	fxOK, fxEOF, fxNoSuchFile, fxPermission                 = 0, 1, 2, 3
	fxFailure, fxBadMessage, fxUnsupported                  = 4, 5, 8
	attrSize, attrIDs, attrMode, attrTimes                  = 1, 2, 4, 8
	openRead, openWrite, openAppend, openCreate             = 1, 2, 4, 8
	openTrunc, openExcl                                     = 16, 32
	maxPacket                                               = 256 << 10 // OpenSSH's SFTP_MAX_MSG_LENGTH
	maxRead                                                 = maxPacket - 1024
	maxHandles                                              = 1000
	direntBatch                                             = 100
	modeMask                                         uint32 = 0o7777
)

var errBadMessage = errors.New("bad message")

// reader takes the fields of one packet; the first that does not fit sets err.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.b)) {
		r.err = errBadMessage
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) u32() uint32 {
	if v := r.take(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if v := r.take(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

func (r *reader) str() string { return string(r.take(uint64(r.u32()))) }

// attrs is what a client may set.
type attrs struct {
	flags        uint32
	size         uint64
	uid, gid     uint32
	mode         uint32
	atime, mtime time.Time
}

func (r *reader) attrs() attrs {
	a := attrs{flags: r.u32()}
	if a.flags&attrSize != 0 {
		a.size = r.u64()
	}
	if a.flags&attrIDs != 0 {
		a.uid, a.gid = r.u32(), r.u32()
	}
	if a.flags&attrMode != 0 {
		a.mode = r.u32() & modeMask
	}
	if a.flags&attrTimes != 0 {
		a.atime, a.mtime = time.Unix(int64(r.u32()), 0), time.Unix(int64(r.u32()), 0)
	}
	return a
}

// writer builds one packet; the length goes in front when it is sent.
type writer struct{ b []byte }

func packet(kind byte, id uint32) *writer {
	return &writer{binary.BigEndian.AppendUint32([]byte{0, 0, 0, 0, kind}, id)}
}

func (w *writer) u32(v uint32) *writer {
	w.b = binary.BigEndian.AppendUint32(w.b, v)
	return w
}

func (w *writer) u64(v uint64) *writer {
	w.b = binary.BigEndian.AppendUint64(w.b, v)
	return w
}

func (w *writer) str(s string) *writer {
	w.u32(uint32(len(s)))
	w.b = append(w.b, s...)
	return w
}

// stat appends the attributes OpenSSH sends: size, owner, mode and whole seconds.
func (w *writer) stat(st fs.FileInfo) *writer {
	uid, gid, atime := owner(st)
	return w.u32(attrSize | attrIDs | attrMode | attrTimes).u64(uint64(st.Size())).u32(uid).u32(gid).
		u32(unixMode(st.Mode())).u32(uint32(atime.Unix())).u32(uint32(st.ModTime().Unix()))
}

func (w *writer) send(to io.Writer) error {
	binary.BigEndian.PutUint32(w.b, uint32(len(w.b)-4))
	_, err := to.Write(w.b)
	return err
}

// longname is the text of ls -l, which a few clients show.
func longname(st fs.FileInfo) string {
	uid, gid, _ := owner(st)
	return fmt.Sprintf("%s    1 %-8d %-8d %8d %s %s", st.Mode(), uid, gid, st.Size(), st.ModTime().Format("Jan _2 15:04"), st.Name())
}

// unixMode gives st_mode as POSIX numbers it.
func unixMode(m fs.FileMode) uint32 {
	u := uint32(m.Perm())
	for _, bit := range []struct {
		go_  fs.FileMode
		unix uint32
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&bit.go_ != 0 {
			u |= bit.unix
		}
	}
	switch {
	case m.IsRegular():
		u |= 0o100000
	case m.IsDir():
		u |= 0o040000
	case m&fs.ModeSymlink != 0:
		u |= 0o120000
	case m&fs.ModeNamedPipe != 0:
		u |= 0o010000
	case m&fs.ModeSocket != 0:
		u |= 0o140000
	case m&fs.ModeCharDevice != 0:
		u |= 0o020000
	case m&fs.ModeDevice != 0:
		u |= 0o060000
	}
	return u
}

// goMode turns settable mode bits back.
func goMode(u uint32) fs.FileMode {
	m := fs.FileMode(u & 0o777)
	if u&0o4000 != 0 {
		m |= fs.ModeSetuid
	}
	if u&0o2000 != 0 {
		m |= fs.ModeSetgid
	}
	if u&0o1000 != 0 {
		m |= fs.ModeSticky
	}
	return m
}

// status turns an error into the code and text OpenSSH's sftp-server sends for it.
func status(err error) (code uint32, text string) {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		errno = 0
	}
	switch {
	case err == nil:
		return fxOK, "Success"
	case errors.Is(err, io.EOF):
		return fxEOF, "End of file"
	case errors.Is(err, errBadMessage), errno == syscall.ENAMETOOLONG, errno == syscall.EINVAL:
		return fxBadMessage, "Bad message"
	case errors.Is(err, errors.ErrUnsupported), errno == syscall.ENOSYS:
		return fxUnsupported, "Operation unsupported"
	case errors.Is(err, fs.ErrNotExist), errno == syscall.ENOTDIR, errno == syscall.ELOOP, errno == syscall.EBADF,
		errors.Is(err, os.ErrClosed):
		return fxNoSuchFile, "No such file"
	case errors.Is(err, fs.ErrPermission):
		return fxPermission, "Permission denied"
	}
	return fxFailure, "Failure"
}
