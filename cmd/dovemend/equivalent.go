package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"dovemend/cmd/internal/ui"
)

// equivalent is the command line that does what was chosen, for a script or another day.
func (w *wizard) equivalent() []string {
	args := append([]string{"dovemend", "repair"}, w.accountArgs()...)
	args = append(args, "--remedy", string(w.settings.Remedy))
	if w.settings.Aside {
		args = append(args, "--aside")
	}
	if w.settings.MoveBack {
		args = append(args, "--move-back")
	}
	for _, c := range w.settings.Confirm {
		args = append(args, "--confirm", c)
	}
	if len(w.settings.Losses) > 0 {
		var names []string
		for _, l := range w.settings.Losses {
			if !slices.Contains(names, string(l)) {
				names = append(names, string(l))
			}
		}
		args = append(args, "--accept-loss", strings.Join(names, ","))
	}
	return slices.Concat(args, []string{"--apply"}, w.imapArgs(), w.placeArgs())
}

// equivalentBackup is the command line that makes the same copy again.
func (w *wizard) equivalentBackup() []string {
	return slices.Concat([]string{"dovemend", "backup"}, w.accountArgs(), w.placeArgs())
}

// accountArgs gives the flags that name the host, the account and the mailboxes.
func (w *wizard) accountArgs() []string {
	args := append([]string{"--host", w.opts.Remote.Target}, w.reachArgs()...)
	if w.account.Address != "" {
		args = append(args, "--account", w.account.Address)
	}
	if w.account.Address == "" || w.opts.MailRoot != "" {
		args = append(args, "--mail-root", string(w.account.Root))
	}
	if len(w.boxes) > 1 && len(w.boxes) == len(w.account.Mailboxes) {
		return append(args, "--all-mailboxes")
	}
	for _, m := range w.boxes {
		args = append(args, "--mailbox", m.Name)
	}
	return args
}

// reachArgs gives the flags that reach the same host in the same way. A password is never among them.
func (k *call) reachArgs() []string {
	r, args := k.opts.Remote, []string(nil)
	for _, f := range r.Identities {
		args = append(args, "--identity", f)
	}
	for _, f := range r.KnownHosts {
		args = append(args, "--known-hosts", f)
	}
	if r.ConfigFile != "" {
		args = append(args, "--ssh-config", r.ConfigFile)
	}
	args = append(args, k.asGiven("jump", "ssh-password-command")...)
	if k.Bool("accept-new-host-key") {
		args = append(args, "--accept-new-host-key")
	}
	return args
}

// imapArgs gives the flags that look at the result in the same way.
func (k *call) imapArgs() []string {
	args := k.asGiven("imap", "imap-tls", "imap-user", "imap-password-command", "imap-ca", "preauth")
	if k.opts.IMAP.Off && !slices.Contains(args, "--imap") {
		args = append(args, "--imap", "off")
	}
	if k.Bool("imap-through-ssh") {
		args = append(args, "--imap-through-ssh")
	}
	return args
}

// placeArgs gives the flags about the copy: how it is made and checked, and where runs are kept.
func (k *call) placeArgs() []string {
	return append(k.asGiven("verify", "engine", "connections", "compress"), k.stateArgs()...)
}

// stateArgs names the folder of the runs where it is not the one that is taken without a flag.
func (k *call) stateArgs() []string {
	if usual, err := defaultStateDir(); k.opts.StateDir == "" || err == nil && usual == k.opts.StateDir {
		return nil
	}
	return []string{"--state-dir", k.opts.StateDir}
}

// asGiven gives those of the flags that were given, with their values.
func (k *call) asGiven(names ...string) []string {
	var args []string
	for _, name := range names {
		if k.IsSet(name) {
			args = append(args, "--"+name, fmt.Sprint(k.Value(name)))
		}
	}
	return args
}

// again is the command line that goes on with a run from here: undo or resume. The run itself knows its host.
func (k *call) again(verb, run string) []string {
	args := append([]string{"dovemend", verb, "--run", run}, k.reachArgs()...)
	if verb == "resume" || k.verb == "restore" || k.overIMAP { // which a restore needs for either
		args = append(args, k.imapArgs()...)
	}
	return append(args, k.stateArgs()...)
}

// goesOn finds the commands in a hint that go on with a run.
var goesOn = regexp.MustCompile(`dovemend (resume|undo) --run ([0-9A-Za-z-]+)`)

// complete makes the commands in a hint ones that find the same host and the same runs as this one did.
func (k *call) complete(hint string) string {
	var b strings.Builder
	from := 0
	for _, m := range goesOn.FindAllStringSubmatchIndex(hint, -1) {
		b.WriteString(hint[from:m[0]])
		verb, run := hint[m[2]:m[3]], hint[m[4]:m[5]]
		if from = m[5]; strings.HasPrefix(hint[from:], " --") { // it has its flags already
			b.WriteString(hint[m[0]:from])
			continue
		}
		b.WriteString(ui.Command(k.again(verb, run)...))
	}
	hint = b.String() + hint[from:]
	if args := k.stateArgs(); args != nil && hint == "dovemend runs" {
		hint += " " + ui.Command(args...)
	}
	return hint
}
