//go:build unix

package performance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// operation is something that is done by several programs in turn.
type operation struct {
	name     string
	title    string
	corpora  []string
	ways     []string
	sftpOnly bool
	jobs     func(to target) []job // once; each job has its own folder beneath to.dest
	before   func(to target, round int) error
	after    func(to target)
}

var (
	accounts = []string{"maildir", "mdbox", "sdbox"}
	fast     = []string{"loopback", "40ms"}
)

var operations = []operation{
	{name: "first", title: "first copy", corpora: accounts, ways: fast, jobs: func(to target) []job {
		jobs := []job{
			to.backup("dovemend", ""),
			to.rsync("rsync -a", "", ""),
			to.rsync("rsync -a, aes128-gcm", gcm, ""),
			to.tarPipe("ssh tar", "", ""),
			to.tarPipe("ssh tar, aes128-gcm", gcm, ""),
			to.backup("dovemend --engine sftp", "--engine sftp"),
			to.rclone("rclone, 64 transfers", to.root, 0),
		}
		if to.way == "40ms" { // there the cipher is not what limits
			jobs[2].rounds, jobs[4].rounds = 1, 1
		}
		jobs[6].rounds = 1
		return jobs
	}},
	{name: "unchanged", title: "second copy, nothing changed", corpora: accounts, ways: fast, jobs: again},
	{name: "changed", title: "second copy, one file of a hundred changed", corpora: accounts, ways: fast, jobs: again, before: touch, after: untouch},
	{name: "sftponly", title: "first copy from a host that gives SFTP only", corpora: []string{"maildir"}, ways: fast, sftpOnly: true, jobs: func(to target) []job {
		return []job{to.backup("dovemend", "")}
	}},
	{name: "slow", title: "a part of the first copy, by programs that pay for each file", corpora: []string{"maildir"}, ways: fast, jobs: func(to target) []job {
		from, n := part(to)
		jobs := []job{to.scp("scp -r", from, n), to.lftp("lftp mirror, 16 parallel", from, n)}
		jobs[0].rounds, jobs[1].rounds = 1, 1
		return jobs
	}},
	{name: "line", title: "first copy", corpora: []string{"sdbox"}, ways: []string{"100mbit"}, jobs: func(to target) []job {
		return []job{
			to.backup("dovemend", ""),
			to.backup("dovemend --compress off", "--compress off"),
			to.tarPipe("ssh tar", "", ""),
			to.tarPipe("ssh tar, zstd -1", "", "zstd -1 -q -c"),
			to.rsync("rsync -a", "", ""),
			to.rsync("rsync -az", "", "-z"),
		}
	}},
	{name: "clear", title: "emptying a mailbox of 20,000 files", corpora: []string{"large"}, ways: []string{"40ms"}, before: refill, jobs: func(to target) []job {
		copied := to.backup("dovemend", "--mailbox INBOX")
		repair := job{program: "dovemend", check: emptied, before: []string{copied.script}, script: to.dovemend("repair", copied.tree, "--mailbox INBOX --remedy clear --confirm INBOX --accept-loss flags,keywords,uids,messages --apply")}
		removed := job{program: "ssh find -delete", check: emptied, script: fmt.Sprintf("%s %s find %s -type f -delete", to.ssh(""), to.login(), inbox(to))}
		return []job{repair, removed, to.rcloneDelete("rclone delete, 64 at once", inbox(to))}
	}},
	{name: "upload", title: "bringing 20,000 files back", corpora: []string{"large"}, ways: []string{"40ms"}, before: refill, jobs: func(to target) []job {
		copied := to.backup("dovemend", "--mailbox INBOX")
		clear := to.dovemend("repair", copied.tree, "--mailbox INBOX --remedy clear --confirm INBOX --accept-loss flags,keywords,uids,messages --apply")
		empty := fmt.Sprintf("find %s -type f -delete", inbox(to))
		undo := job{program: "dovemend", check: filled, before: []string{copied.script, clear}, script: to.dovemend("undo", copied.tree, "--run \"$(ls "+copied.tree+"/runs | tail -n 1)\"")}
		send := job{program: "rsync -a", check: filled, before: []string{empty}, script: fmt.Sprintf("rsync -a -e '%s' %s/ %s:%s/", to.ssh(""), spare(to), to.login(), inbox(to))}
		return []job{undo, send} // rclone takes more than eight minutes
	}},
}

// again measures a second copy, after a first one that is not measured.
func again(to target) []job {
	own, link := to.backup("dovemend", ""), to.rsync("rsync with link-dest", "", "--link-dest="+to.folder("old"))
	own.once, link.once = own.script, to.rsync("old", "", "").script
	return []job{own, link}
}

// touched is where the bytes are kept of files that touch changed.
var touched = map[string][]byte{}

// touch changes one file of a hundred: its time, and a byte of it.
func touch(to target, round int) error {
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
	when := settled.Add(time.Duration(round+1) * time.Hour)
	for i := 0; i < len(names); i += 100 {
		b, err := os.ReadFile(names[i])
		if err != nil {
			return err
		}
		if len(b) == 0 {
			continue
		}
		if touched[names[i]] == nil {
			touched[names[i]] = slices.Clone(b)
		}
		b[len(b)/2]++
		if err := errors.Join(os.WriteFile(names[i], b, 0o600), os.Chtimes(names[i], when, when)); err != nil {
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

// inbox is the folder of the large account's mailbox, spare what it held at first.
func inbox(to target) string { return filepath.Join(to.root, "mailboxes", "INBOX", "dbox-Mails") }
func spare(to target) string { return filepath.Join(filepath.Dir(to.IdentityFile()), "spare") }

// emptied checks that no message is left in the large mailbox, filled that all of them are there.
func emptied(to target) error {
	if left, err := filepath.Glob(filepath.Join(inbox(to), "u.*")); err != nil || len(left) > 0 {
		return fmt.Errorf("%d files are left: %w", len(left), err)
	}
	return nil
}

func filled(to target) error {
	want, err := sums(spare(to))
	if err != nil {
		return err
	}
	have, err := sums(inbox(to))
	if err != nil {
		return err
	}
	for name, sum := range want {
		if have[name] != sum {
			return fmt.Errorf("%q is not what it was", name)
		}
	}
	return nil
}

// refill makes the large mailbox what it was at first.
func refill(to target, _ int) error {
	from, into := inbox(to), spare(to)
	if _, err := os.Stat(into); err == nil {
		if err := os.RemoveAll(from); err != nil {
			return err
		}
		from, into = into, from
	}
	return exec.CommandContext(context.Background(), "cp", "-a", from, into).Run()
}
