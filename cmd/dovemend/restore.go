package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"dovemend/cmd/internal/ui"
	"dovemend/remote/imap"
	"dovemend/repair"
	"dovemend/repair/restore"
	"dovemend/repair/rundir"
	"dovemend/repair/salvage"
	"dovemend/repair/store"
)

func (p *program) restore() *cli.Command {
	return &cli.Command{
		Name:  "restore",
		Usage: "put messages back into a mailbox: from a copy, a salvage folder, .eml, .emlx, mbox, Maildir",
		Description: "Says which messages of a source are missing in a mailbox; with --apply it adds them, over IMAP,\n" +
			"and removes nothing. Messages that the server has already are told by their whole text, never\n" +
			"by their headers alone, so that the same command again adds nothing.\n\n" +
			"--from takes a message (.eml, Apple Mail's .emlx), an mbox, a Maildir, a folder with any of\n" +
			"these, what dovemend salvage wrote, or a copy of an account; --run takes the copy of a run.\n" +
			"The account is reached with --host, where the host's own imap program needs no password, or\n" +
			"with --imap, --imap-user and a password alone.\n\n" +
			"Where there is a host, the mailbox's files are copied first, and one that is damaged, or with\n" +
			"mdbox lies in a damaged storage, is refused: repair it first. New messages come in growing\n" +
			"batches, each of which is looked at; one that the server breaks at is taken out again, named,\n" +
			"and kept in the run's folder. With --verify full, every added message is read back and compared.\n\n" +
			"Exit codes: 0 nothing is missing (any more); 1 error; 2 usage; 3 messages are missing, and\n" +
			"nothing was changed; 4 the mailbox is damaged itself; 5 login or host key; 6 stopped midway\n" +
			"(mailbox full, say): resume or undo; 7 added, but some messages could not be; 130 interrupted.",
		Flags: join([]cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "`PATH` a file or folder on this computer with the messages"},
			runFlag("`ID` take the copy of this run (see dovemend runs), or latest"),
			&cli.StringFlag{Name: "mailbox", Usage: "`NAME` the mailbox to put them into; it is made if it does not exist"},
			&cli.StringSliceFlag{Name: "source-mailbox", Usage: "`NAME` only messages of this mailbox of the source; may be given more than once"},
			&cli.StringFlag{Name: "since", Usage: "`DATE` only messages that came on this day or later (2026-05-31, or with a time: 2026-05-31T14:00:00Z)"},
			&cli.StringFlag{Name: "before", Usage: "`DATE` only messages that came before"},
			&cli.StringSliceFlag{Name: "message-id", Usage: "`ID` only the message with this Message-ID; may be given more than once"},
			&cli.StringSliceFlag{Name: "class", Usage: "`NAME` current (in their mailboxes, the default), expunged (deleted), orphan or damaged; may be given more than once"},
			ownToggle("only-missing", "add only what the server does not have (the default)"),
			ownToggle("all", "add every message, also what the server has already"),
			ownToggle("no-copy", "do not copy the mailbox's files first"),
			ownToggle("apply", "do it; without this flag nothing is changed"),
		}, hostFlags(), accountFlags(), imapFlags(), transferFlags(), outputFlags()),
		Action: p.verb("restore", doRestore),
	}
}

func doRestore(k *call) error {
	doc := &restoreDocument{}
	k.doc = doc
	o, err := k.restoreOptions()
	if err != nil {
		return err
	}
	if err := o.Source.Check(); err != nil {
		return k.notRestored(err)
	}
	s, a, err := k.restoreSession()
	if err != nil {
		return err
	}
	r, err := s.NewRestore(k.ctx(), a, o)
	if err != nil {
		return err
	}
	k.job = realJob{r}
	doc.begin(r)
	if !k.Bool("apply") && r.Meta().Stage == rundir.StageApplying {
		return &endError{exitMidway, "run " + r.ID() + " was stopped midway at the very same", goOn(r.ID(), r.ID(), false)}
	}
	return k.doRestore(doc, r, o, k.Bool("apply"))
}

// doRestore looks or adds, and tells what came of it.
func (k *call) doRestore(doc *restoreDocument, r *repair.Run, o repair.RestoreOptions, do bool) error {
	end := func() {}
	if do {
		end = k.p.stop.act()
	}
	out, err := r.Restore(k.ctx(), o, do)
	end()
	k.acted = r.Changed()
	k.progress.Done()
	if out == nil || out.Counts == nil {
		return k.notRestored(err)
	}
	doc.take(out, do && r.Changed())
	k.printRestored(doc, out, do)
	if err != nil {
		return k.notRestored(err)
	}
	if do {
		return k.endRestore(doc, r.ID())
	}
	return k.endPreview(doc)
}

// notRestored gives an error its next command.
func (k *call) notRestored(err error) error {
	var damaged *repair.DamagedTargetError
	var noMail *salvage.NoMailError
	var noLook *repair.NoLookError
	var stopped *repair.StoppedError
	switch {
	case errors.As(err, &stopped) && errors.Is(err, restore.ErrFull):
		return &endError{exitMidway, "the mailbox is full; what fits is added, the rest is named above",
			"make room (empty the trash, or ask for a larger quota), then: " + goOn(stopped.Run, stopped.Run, false)}
	case errors.As(err, &stopped) && errors.Is(err, restore.ErrOtherMailbox):
		return &endError{exitRefused, err.Error(), "look at the mailbox in a mail program; the same dovemend restore command with another --mailbox begins anew"}
	case errors.As(err, &stopped):
		return err
	case errors.As(err, &damaged):
		args := append([]string{"dovemend", "repair", "--host", k.opts.Remote.Target}, k.reachArgs()...)
		args = append(args, k.asGiven("account", "mail-root")...)
		if damaged.Mailbox != "" {
			args = append(args, "--mailbox", damaged.Mailbox)
		} else {
			args = append(args, "--all-mailboxes")
		}
		return &endError{exitRefused, err.Error(), ui.Command(append(append(args, "--remedy", "auto"), k.placeArgs()...)...) + ", which plans the repair and changes nothing without --apply"}
	case errors.As(err, &noMail):
		return &usageError{noMail.Error(), "dovemend restore --from PATH …, with a .eml, .emlx, mbox or Maildir, a folder of these, or a copy of an account"}
	case errors.As(err, &noLook):
		code := exitError
		var refused *imap.Error
		switch {
		case noLook.Err == nil:
			code = exitUsage // a way is there, and was not named
		case errors.As(noLook.Err, &refused) && (refused.Op == "LOGIN" || refused.Type == imap.TypeTLS):
			code = exitLogin
		}
		return &endError{code, "the account cannot be reached over IMAP: " + noLook.Error(),
			"the same command with --imap HOST:PORT --imap-user NAME --imap-password-command CMD"}
	}
	return err
}

// restoreOptions reads the verb's own flags.
func (k *call) restoreOptions() (repair.RestoreOptions, error) {
	o := repair.RestoreOptions{Mailbox: k.String("mailbox"), All: k.Bool("all"), Full: k.opts.Verify == "full", NoCopy: k.Bool("no-copy")}
	o.Source.Run = k.String("run")
	if err := k.restoreFilter(&o.Filter); err != nil {
		return o, err
	}
	from, err := k.String("from"), error(nil)
	if from != "" {
		if o.Source.Path, err = filepath.Abs(from); err == nil {
			_, err = os.Stat(o.Source.Path)
		}
		if err != nil {
			return o, &usageError{text: fmt.Sprintf("--from %q: there is no such file or folder", from)}
		}
	}
	switch {
	case k.IsSet("run") && o.Source.Run == "":
		return o, &usageError{text: "--run is empty", hint: "dovemend runs"}
	case from == "" && o.Source.Run == "":
		return o, &usageError{text: "--from or --run is missing: where the messages are", hint: "dovemend restore --from PATH --mailbox NAME …"}
	case from != "" && o.Source.Run != "":
		return o, &usageError{text: "--from and --run exclude each other: both name a source"}
	case o.Mailbox == "":
		return o, &usageError{text: "--mailbox is missing: the mailbox to put the messages into", hint: "the same command with --mailbox INBOX, or another name: one that does not exist is made"}
	case o.All && k.Bool("only-missing"):
		return o, &usageError{text: "--all and --only-missing exclude each other"}
	case k.opts.IMAP.Off:
		return o, &usageError{text: "--imap off: messages are restored over IMAP, there is no other way"}
	}
	if o.Source.Run != "" {
		d, err := rundir.Open(k.opts.StateDir, o.Source.Run)
		if err != nil {
			return o, err
		}
		o.Source.Run = d.ID()
		if err := d.Close(); err != nil {
			return o, err
		}
	}
	return o, nil
}

// restoreFilter reads which messages are wanted.
func (k *call) restoreFilter(f *restore.Filter) (err error) {
	f.Mailboxes, f.MessageIDs = k.StringSlice("source-mailbox"), k.StringSlice("message-id")
	if slices.Contains(f.Mailboxes, "") || slices.Contains(f.MessageIDs, "") {
		return &usageError{text: "--source-mailbox and --message-id must not be empty"}
	}
	if f.Since, err = k.day("since"); err != nil {
		return err
	}
	if f.Before, err = k.day("before"); err != nil {
		return err
	}
	if !f.Since.IsZero() && !f.Before.IsZero() && !f.Since.Before(f.Before) {
		return &usageError{text: "--since is not before --before: no message could fit"}
	}
	for _, c := range k.StringSlice("class") {
		class := salvage.Class(c)
		if !slices.Contains([]salvage.Class{salvage.Current, salvage.Expunged, salvage.Orphan, salvage.Damaged}, class) {
			return &usageError{text: fmt.Sprintf("--class %q: must be one of current, expunged, orphan, damaged", c)}
		}
		f.Classes = append(f.Classes, class)
	}
	return nil
}

// day reads a date, in this computer's time zone where it tells none.
func (k *call) day(name string) (time.Time, error) {
	v := strings.TrimSpace(k.String(name))
	if v == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.DateOnly, "2006-01-02 15:04:05", "2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.ParseInLocation(form, v, time.Local); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, &usageError{text: fmt.Sprintf("--%s %q: must be a date such as 2026-05-31, or with a time, 2026-05-31T14:00:00Z", name, v)}
}

// restoreSession reaches the account: on the host, or over IMAP alone.
func (k *call) restoreSession() (*repair.Session, store.Account, error) {
	if k.opts.Remote.Target != "" {
		if err := k.connect(k.ctx()); err != nil {
			return nil, store.Account{}, err
		}
		s, ok := k.session.(realSession)
		if !ok {
			return nil, store.Account{}, errors.New("this engine cannot restore")
		}
		a, err := s.ChooseAccount(k.ctx())
		return s.Session, a, err
	}
	switch i := k.opts.IMAP; {
	case i.Addr == "":
		return nil, store.Account{}, &usageError{"--host or --imap is missing: where the account is", "dovemend restore --host [user@]name[:port] …, or --imap HOST:PORT --imap-user NAME --imap-password-command CMD"}
	case i.User == "" && k.opts.Account == "":
		return nil, store.Account{}, &usageError{"--imap-user is missing: the login", "the same command with --imap-user NAME"}
	case i.Password == nil:
		return nil, store.Account{}, &usageError{"the IMAP password is missing", "the same command with --imap-password-command CMD, or the password in $DOVEMEND_IMAP_PASSWORD"}
	}
	s := repair.WithoutHost(k.opts, k.progress)
	return s, store.Account{Address: k.opts.Account}, nil
}

// reopen takes up a restore that --run names.
func (k *call) reopen(l rundir.Listed) (*repair.Run, error) {
	k.overIMAP = true
	k.fromRun(l.Meta)
	r, err := repair.ReopenRestore(k.ctx(), k.opts, l.ID, k.progress)
	if err != nil {
		return nil, err
	}
	k.job = ownJob{realJob{r}}
	return r, nil
}

// resumeRestore finishes a restore that stopped midway.
func (k *call) resumeRestore(l rundir.Listed) error {
	doc := &restoreDocument{}
	k.doc = doc
	o, err := repair.RestoreRequest(k.opts.StateDir, l.ID)
	if err != nil {
		return err
	}
	r, err := k.reopen(l)
	if err != nil {
		return err
	}
	doc.begin(r)
	return k.doRestore(doc, r, o, true)
}
