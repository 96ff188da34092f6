//go:build unix

package performance

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// operation is something that is done by several programs in turn.
type operation struct {
	name     string
	title    string
	only     string // a corpus
	sftpOnly bool
	jobs     func(to target) []job
	after    func(to target)
}

var operations = []operation{
	{name: "first", title: "first copy", jobs: func(to target) []job {
		return []job{
			to.backup("dovemend", ""),
			to.rsync("rsync -a", "", ""),
			to.rsync("rsync -a, aes128-gcm", gcm, ""),
			to.tarPipe("ssh tar", ""),
			to.tarPipe("ssh tar, aes128-gcm", gcm),
			to.backup("dovemend --engine sftp", "--engine sftp"),
		}
	}},
	{name: "unchanged", title: "second copy, nothing changed", jobs: again(nil)},
	{name: "changed", title: "second copy, one file of a hundred changed", jobs: again(touch), after: untouch},
	{name: "sftponly", title: "first copy from a host that gives SFTP only", only: "maildir", sftpOnly: true, jobs: func(to target) []job {
		return []job{to.backup("dovemend", "")}
	}},
	{name: "slow", title: "part of the first copy, by programs that pay for each file", only: "maildir", jobs: func(to target) []job {
		from, n := part(to)
		return []job{to.rclone("rclone, 64 transfers", from, n), to.scp("scp -r", from, n), to.lftp("lftp mirror, 16 parallel", from, n)}
	}},
}

// again measures a second copy, after change has been at the account.
func again(change func(to target) error) func(to target) []job {
	return func(to target) []job {
		prepared := func(j, first job) job {
			j.before = func() error {
				untouch(to)
				if err := run(context.Background(), first.script).fail; err != nil || change == nil {
					return err
				}
				return change(to)
			}
			return j
		}
		first := to.backup("dovemend", "")
		link := to.rsync("rsync --link-dest", "", "--link-dest="+to.folder("old"))
		return []job{prepared(first, first), prepared(link, to.rsync("old", "", ""))}
	}
}

// touched is where the bytes are kept of files that touch changed.
var touched = map[string][]byte{}

// touch changes one file of a hundred: its time, and a byte of it.
func touch(to target) error {
	var names []string
	err := filepath.WalkDir(to.root, func(p string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, p)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Sort(names)
	for i := 0; i < len(names); i += 100 {
		b, err := os.ReadFile(names[i])
		if err != nil {
			return err
		}
		if len(b) == 0 {
			continue
		}
		touched[names[i]] = slices.Clone(b)
		b[len(b)/2] ^= 1
		if err := os.WriteFile(names[i], b, 0o600); err != nil {
			return err
		}
		if err := os.Chtimes(names[i], settled.Add(time.Hour), settled.Add(time.Hour)); err != nil {
			return err
		}
	}
	return nil
}

func untouch(target) {
	for name, b := range touched {
		if os.WriteFile(name, b, 0o600) == nil {
			_ = os.Chtimes(name, settled, settled)
		}
		delete(touched, name)
	}
}

// part is a folder of the account and how many files are in it.
func part(to target) (string, int) {
	dir := filepath.Join(to.root, ".Folder01", "cur")
	list, err := os.ReadDir(dir)
	if err != nil {
		return dir, 1
	}
	return dir, len(list)
}
