package check

import (
	"fmt"
	"io/fs"

	"dovemend/repair/store"
)

// access tells of the mailbox's folder and files that Dovecot, as their owner, may not read and write.
func (x *examiner) access() {
	mine, _, _ := x.owner(".")
	dir := x.box.Dir
	uid, mode, ok := x.owner(dir)
	switch {
	case !ok:
		return
	case mode.Perm()&0o700 != 0o700:
		x.find(Finding{Severity: Broken, Rule: "folder-mode", File: dir, Offset: -1, Text: fmt.Sprintf("this folder has mode %04o: its owner may not use it", mode.Perm()),
			Effect: "Dovecot cannot open the mailbox, or cannot write in it", Advice: "give the folder its permissions back, by your host's file manager or by SFTP (\"chmod 700\")"})
	case uid >= 0 && mine >= 0 && uid != mine:
		x.find(Finding{Severity: Broken, Rule: "folder-owner", File: dir, Offset: -1, Text: fmt.Sprintf("this folder belongs to user id %d, and the mail to user id %d", uid, mine),
			Effect: "Dovecot cannot write in it", Advice: "only the hosting company can give it back to you"})
	}
	for _, name := range []string{"dovecot.index", "dovecot.index.log", "dovecot.index.cache", "dovecot-uidlist"} {
		p := x.file(name)
		uid, mode, ok := x.owner(p)
		switch {
		case !ok || !mode.IsRegular():
		case uid >= 0 && mine >= 0 && uid != mine:
			x.find(Finding{Severity: Suspect, Rule: "file-owner", File: p, Offset: -1, Cure: CureRebuild, Text: fmt.Sprintf("this file belongs to user id %d, and the mail to user id %d", uid, mine),
				Effect: "Dovecot may not be able to read or write it", Advice: "rebuild replaces it by one that belongs to you"})
		case mode.Perm()&0o600 != 0o600:
			x.find(Finding{Severity: Broken, Rule: "file-mode", File: p, Offset: -1, Cure: CureRebuild, Text: fmt.Sprintf("this file has mode %04o: its owner may not read and write it", mode.Perm()),
				Effect: "opening the mailbox fails with an internal server error, or what is changed in it is not kept", Advice: "rebuild gives the file its permissions back"})
		}
	}
}

// owner is who owned a file on the host, -1 where the host did not say, and its mode. ok is false where the copy does not tell
// these: another tool's may be of another user, with other modes.
func (x *examiner) owner(p store.RelPath) (uid int, mode fs.FileMode, ok bool) {
	info, err := fs.Lstat(x.fsys, string(p))
	if err != nil {
		return -1, 0, false
	}
	o, ok := info.Sys().(interface{ Owned() (uid, gid int) })
	if !ok {
		return -1, 0, false
	}
	uid, _ = o.Owned()
	return uid, info.Mode(), true
}
