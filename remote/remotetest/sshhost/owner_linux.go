package sshhost

import (
	"io/fs"
	"syscall"
	"time"
)

// owner gives the numbers of a file's user and group, and its time of last access.
func owner(st fs.FileInfo) (uid, gid uint32, atime time.Time) {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return s.Uid, s.Gid, time.Unix(s.Atim.Unix())
	}
	return 0, 0, st.ModTime()
}
