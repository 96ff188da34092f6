package main

import (
	"fmt"
	"strings"

	"dovemend/cmd/internal/ui"
	"dovemend/repair"
	"dovemend/repair/store"
)

// chooseHost asks for the host if no flag names it, and offers those of the ssh configuration.
func (w *wizard) chooseHost() error {
	if w.opts.Remote.Target != "" {
		return nil
	}
	known := configuredHosts(w.opts.Remote.ConfigFile)
	if len(known) > 0 {
		choices := make([]ui.Choice, 0, len(known)+1)
		for _, h := range known {
			choices = append(choices, ui.Choice{Label: h})
		}
		choices = append(choices, ui.Choice{Label: "another host"})
		n, err := w.ask.Select(w.ctx(), ui.Question{Title: "Which host?", Help: "These are in your ssh configuration.", Flag: "--host"}, choices, 0)
		if err != nil {
			return err
		}
		if n < len(known) {
			w.opts.Remote.Target = known[n]
			return nil
		}
	}
	host, err := w.ask.Line(w.ctx(), ui.Question{Title: "Host ([user@]name[:port]):",
		Help: "The address you would give to ssh or an SFTP program; your hosting company tells it.", Flag: "--host"},
		func(s string) error {
			if s == "" || strings.HasPrefix(s, "-") || strings.ContainsAny(s, " \t") {
				return fmt.Errorf("a host is needed, for example alice@ssh.example.org")
			}
			return nil
		})
	w.opts.Remote.Target = host
	return err
}

// askIMAPPassword lets the look over IMAP ask for the password, should it need one.
func (w *wizard) askIMAPPassword() {
	if w.opts.IMAP.Password != nil || w.opts.IMAP.Off {
		return
	}
	w.opts.IMAP.Password = func() (string, error) {
		s, err := w.ask.Secret(w.ctx(), ui.Question{Title: "IMAP password (nothing: compare files only):", Flag: "--imap-password-command"})
		if err == nil && s == "" {
			return "", fmt.Errorf("no IMAP password was given")
		}
		return s, err
	}
}

// chooseMailbox asks which account and mailbox, and whether only to copy it.
func (w *wizard) chooseMailbox() (backupOnly bool, err error) {
	if err := w.chooseAccount(); err != nil {
		return false, err
	}
	if len(w.opts.Mailboxes) > 0 || w.opts.All {
		w.boxes, err = w.session.Mailboxes(w.account)
		if err != nil {
			return false, err
		}
	} else if err := w.chooseBox(); err != nil {
		return false, err
	}
	n, err := w.ask.Select(w.ctx(), ui.Question{Title: "What should be done?",
		Help: "Both begin with a copy on this machine, and change nothing on the host until you say so."},
		[]ui.Choice{{Label: "look for damage and repair it"}, {Label: "only make a copy (backup)"}}, 0)
	return n == 1, err
}

func (w *wizard) chooseAccount() error {
	all, err := w.accountsWanted()
	if err != nil {
		return err
	}
	w.progress.Done()
	n := 0
	if len(all) > 1 {
		choices := make([]ui.Choice, len(all))
		for i, a := range all {
			choices[i] = ui.Choice{Label: repair.AccountName(a), Hint: fmt.Sprintf("%s, %s", a.Layout, ui.Count(len(a.Mailboxes), "mailbox"))}
		}
		if n, err = w.ask.Select(w.ctx(), ui.Question{Title: "Which account?", Flag: "--account"}, choices, 0); err != nil {
			return err
		}
	}
	w.account = all[n]
	a := w.account
	w.tell("\nAccount %s, layout %s, in %s", ui.Safe(repair.AccountName(a)), a.Layout, ui.Safe(string(a.Root)))
	switch {
	case !a.Tree:
		w.tell("Its mail is not under a directory called mailboxes, so nothing is ever removed here: what has to go is set aside, by a rename.")
	case a.Layout == store.Maildir:
		w.tell("Each message is a file in its mailbox's folder. The index files beside them only help Dovecot to be fast.")
	default:
		w.tell("Its mailboxes are the folders under mailboxes/ (the mailboxes tree). The index files in them hold which messages there are and their flags, so they are not just a cache here.")
	}
	return nil
}

func (w *wizard) chooseBox() error {
	a := w.account
	if len(a.Mailboxes) == 0 {
		return &endError{exitError, "this account has no mailboxes", "dovemend accounts …"}
	}
	sizes, _, err := w.session.Measure(w.ctx(), a)
	if w.ctx().Err() != nil {
		return w.ctx().Err()
	}
	if err != nil {
		w.progress.Warn("the sizes cannot be told: " + err.Error())
	}
	choices := make([]ui.Choice, 0, len(a.Mailboxes)+1)
	for i, m := range a.Mailboxes {
		c := ui.Choice{Label: m.Name}
		if i < len(sizes) {
			c.Hint = sizeHint(sizes[i])
		}
		choices = append(choices, c)
	}
	choices = append(choices, ui.Choice{Label: "all mailboxes of the account"})
	n, err := w.ask.Select(w.ctx(), ui.Question{Title: "Which mailbox does not work?", Flag: "--mailbox"}, choices, 0)
	if err != nil {
		return err
	}
	w.boxes = a.Mailboxes
	if n < len(a.Mailboxes) {
		w.boxes = a.Mailboxes[n : n+1]
	}
	return nil
}

// sizeHint says how much there is, as far as it can be told.
func sizeHint(s store.Size) string {
	var known []string
	if s.Messages >= 0 {
		known = append(known, ui.Count(s.Messages, "message"))
	}
	if s.Bytes >= 0 {
		known = append(known, ui.Bytes(s.Bytes))
	}
	return strings.Join(known, ", ")
}

// showProcesses says which processes have the mailboxes open; they are ended only when the plan is applied.
func (w *wizard) showProcesses() error {
	if !w.session.Info().Shell {
		return nil // said when the connection was made
	}
	all, err := w.session.Processes(w.ctx())
	if w.ctx().Err() != nil {
		return w.ctx().Err()
	}
	if err != nil {
		w.progress.Warn("the processes cannot be listed: " + err.Error())
		return nil
	}
	if len(all) > 0 {
		w.tell("\nRunning now, of this login: %s. They are ended only when you say yes to the plan.", ui.Count(len(all), "Dovecot process"))
		doc := &processesDocument{}
		for _, p := range all {
			doc.Processes = append(doc.Processes, describeProcess(p))
		}
		printProcesses(w.tty, doc.Processes)
	}
	return nil
}
