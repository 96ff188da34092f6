package sshhost

import (
	"errors"
	"os"
	"path/filepath"
)

// extensions are those of OpenSSH's sftp-server that this one has.
var extensions = []struct{ name, version string }{
	{"posix-rename@openssh.com", "1"},
	{"statvfs@openssh.com", "2"},
	{"fstatvfs@openssh.com", "2"},
	{"hardlink@openssh.com", "1"},
	{"fsync@openssh.com", "1"},
	{"limits@openssh.com", "1"},
}

// space is what statvfs tells, under the names of struct statvfs.
type space struct {
	bsize, frsize, blocks, bfree, bavail, files, ffree, favail, fsid, flag, namemax uint64
}

func (s *sftpServer) extended(id uint32, name string, r *reader) (*writer, error) {
	switch name {
	case "posix-rename@openssh.com":
		from, to := r.str(), r.str()
		return nil, s.named("posix-rename", from, r, func(p string) error { return os.Rename(p, s.local(to)) })
	case "hardlink@openssh.com":
		from, to := r.str(), r.str()
		return nil, s.named("hardlink", from, r, func(p string) error { return os.Link(p, s.local(to)) })
	case "fsync@openssh.com":
		f, err := s.file(r.str(), r)
		if err == nil {
			err = s.fault("fsync", f.Name())
		}
		if err != nil {
			return nil, err
		}
		return nil, f.Sync()
	case "statvfs@openssh.com":
		var v space
		err := s.named("statvfs", r.str(), r, func(p string) (err error) {
			v, err = statvfs(filepath.Clean(p))
			return err
		})
		return v.append(packet(fxpExtendedReply, id)), err
	case "fstatvfs@openssh.com":
		f, err := s.file(r.str(), r)
		if err != nil {
			return nil, err
		}
		v, err := statvfs(f.Name())
		return v.append(packet(fxpExtendedReply, id)), err
	case "limits@openssh.com":
		return packet(fxpExtendedReply, id).u64(maxPacket).u64(maxRead).u64(maxRead).u64(maxHandles), nil
	}
	return nil, errors.ErrUnsupported
}

func (v space) append(w *writer) *writer {
	for _, n := range []uint64{v.bsize, v.frsize, v.blocks, v.bfree, v.bavail, v.files, v.ffree, v.favail, v.fsid, v.flag, v.namemax} {
		w.u64(n)
	}
	return w
}
