package main

import (
	"slices"
	"strings"

	"dovemend/cmd/internal/ui"
)

// equivalent is the command line that does what was chosen, for a script or another day.
func (w *wizard) equivalent() string {
	args := append([]string{"dovemend", "repair"}, w.hostArgs()...)
	if w.account.Address != "" {
		args = append(args, "--account", w.account.Address)
	}
	if w.account.Address == "" || w.opts.MailRoot != "" {
		args = append(args, "--mail-root", string(w.account.Root))
	}
	for _, m := range w.boxes {
		args = append(args, "--mailbox", m.Name)
	}
	args = append(args, "--remedy", string(w.settings.Remedy))
	if w.settings.Aside {
		args = append(args, "--aside")
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
	return ui.Command(append(args, "--apply")...)
}

// hostArgs gives the flags that reach the same host, and the same place on this machine, in the same way.
func (k *call) hostArgs() []string {
	args := []string{"--host", k.opts.Remote.Target}
	for _, f := range k.opts.Remote.Identities {
		args = append(args, "--identity", f)
	}
	for _, name := range []string{"jump", "known-hosts", "ssh-config", "ssh-password-command", "imap", "imap-tls", "imap-user",
		"imap-password-command", "imap-ca", "preauth", "state-dir", "verify"} {
		if k.IsSet(name) {
			args = append(args, "--"+name, k.String(name))
		}
	}
	for _, name := range []string{"accept-new-host-key", "imap-through-ssh"} {
		if k.Bool(name) {
			args = append(args, "--"+name)
		}
	}
	return args
}
