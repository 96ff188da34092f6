//go:build unix

package performance

import (
	"fmt"
	"path/filepath"
	"strings"
)

// job is one program doing one thing in one round.
type job struct {
	program string // as the table names it
	script  string
	tree    string                // where its copy is afterwards; "" where nothing is to be compared
	once    string                // a script before the first round, not measured
	before  []string              // scripts before each round, not measured
	files   int                   // of how many files, where it is not all of them
	rounds  int                   // in how many rounds, where it is not all of them
	check   func(to target) error // whether it has done what it was to do; nil where the copy tells
}

// target is a server, the way to it, and where copies go.
type target struct {
	*server
	way  string
	dest string // a folder for the copies of this operation
	bin  string
}

func (t target) ssh(more string) string {
	return fmt.Sprintf("ssh -F none -i %s -p %s -o UserKnownHostsFile=%s -o BatchMode=yes -o ControlMaster=no %s", t.IdentityFile(), t.ports[t.way], t.known[t.way], more)
}

func (t target) login() string { return t.User() + "@127.0.0.1" }

// folder is where a program's copy goes.
func (t target) folder(name string) string {
	return filepath.Join(t.dest, strings.NewReplacer(" ", "_", ",", "").Replace(name))
}

const gcm = "-c aes128-gcm@openssh.com"

// dovemend is the common part of a command.
func (t target) dovemend(verb, state, more string) string {
	return fmt.Sprintf("%s %s --host %s:%s --identity %s --known-hosts %s --ssh-config none --state-dir %s --quiet %s",
		t.bin, verb, t.login(), t.ports[t.way], t.IdentityFile(), t.known[t.way], state, more)
}

func (t target) backup(name, more string) job {
	state := t.folder(name)
	if !strings.Contains(more, "--mailbox ") {
		more += " --all-mailboxes"
	}
	return job{program: name, script: t.dovemend("backup", state, more), tree: state}
}

func (t target) rsync(name, cipher, more string) job {
	to := t.folder(name)
	return job{program: name, tree: to, script: fmt.Sprintf("rsync -a %s -e '%s' %s:%s/ %s/", more, t.ssh(cipher), t.login(), t.root, to)}
}

func (t target) tarPipe(name, cipher, pack string) job {
	to, unpack := t.folder(name), ""
	if pack != "" {
		pack, unpack = "| "+pack, "| zstd -dc"
	}
	return job{program: name, tree: to, script: fmt.Sprintf("mkdir %s && %s %s 'cd %s && tar -cf - . %s' %s | tar -xf - -C %[1]s", to, t.ssh(cipher), t.login(), t.root, pack, unpack)}
}

// rclone, scp and lftp are slow where a file costs round trips: there they get a part of the account, which is told.
func (t target) rclone(name, from string, n int) job {
	j := job{program: name, files: n, script: fmt.Sprintf("rclone copy %s :sftp:%s %s", t.rcloneFlags(), from, t.folder(name))}
	if n == 0 {
		j.tree = t.folder(name)
	}
	return j
}

func (t target) rcloneFlags() string {
	return fmt.Sprintf("--config /dev/null --transfers 64 --checkers 64 --sftp-host 127.0.0.1 --sftp-port %s --sftp-user %s --sftp-key-file %s --sftp-known-hosts-file %s --ignore-checksum --sftp-disable-hashcheck -q",
		t.ports[t.way], t.User(), t.IdentityFile(), t.known[t.way])
}

func (t target) rcloneDelete(name, dir string) job {
	return job{program: name, rounds: 1, check: emptied, script: fmt.Sprintf("rclone delete %s :sftp:%s", t.rcloneFlags(), dir)}
}

func (t target) scp(name, from string, n int) job {
	return job{program: name, files: n, script: fmt.Sprintf("scp -q -r -F none -i %s -P %s -o UserKnownHostsFile=%s -o BatchMode=yes %s:%s %s", t.IdentityFile(), t.ports[t.way], t.known[t.way], t.login(), from, t.folder(name))}
}

func (t target) lftp(name, from string, n int) job {
	return job{program: name, files: n, script: fmt.Sprintf("lftp -c 'set sftp:connect-program \"%s -a -x\"; set sftp:auto-confirm yes; open -u %s,x sftp://127.0.0.1; mirror --parallel=16 %s %s'",
		t.ssh(""), t.User(), from, t.folder(name))}
}
