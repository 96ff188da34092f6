package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"dovemend/remote/imap"
	"dovemend/repair"
	"dovemend/repair/check"
	"dovemend/repair/probe"
	"dovemend/repair/store"
)

func (p *program) probe() *cli.Command {
	return &cli.Command{
		Name:  "probe",
		Usage: "ask over IMAP whether mailboxes work, and explain every answer",
		Description: "Looks at each mailbox as mail programs do, by each kind of look separately: " + lookNames() + ".\n" +
			"What the server answers is shown word for word and explained: what it means, whose problem it is, and what to do. " +
			"Nothing is changed, and no message becomes seen.\n\n" +
			"With --host, the host's own imap program is asked where it can be started: it needs no password, and tells the true error, " +
			"which otherwise stands in a log that only the hosting company can read. The login with a password is tried besides, if one is given together with --imap; " +
			"--preauth off asks everything that way. With --imap HOST:PORT and a password, --host is not needed.\n\n" +
			"A look can make Dovecot rebuild a damaged mailbox and forget its flags. So with --host the files are copied and examined first, as check does, " +
			"and a mailbox that a look would harm is not looked at, unless --look-anyway is given.\n\n" +
			"FETCH FLAGS is asked of all messages; the looks that cost more are at a sample of each mailbox, the newest messages and some of the others. " +
			"--sample all asks about every message, --find-poison names those that make the server fail.\n\n" +
			"Exit codes: 0 everything that was asked works; 1 error, or the server could not be asked; 2 usage; 3 something is wrong; " +
			"4 a mailbox was not looked at, because a look would harm it; 5 login, host key or certificate; 130 interrupted.",
		Flags: join([]cli.Flag{
			&cli.StringSliceFlag{Name: "looks", Usage: "`KINDS` the kinds of look, by name, separated by commas; all is every kind (default: all)", EnvVars: env("looks")},
			&cli.StringFlag{Name: "sample", Value: strconv.Itoa(probe.DefaultSample), Usage: "`N` how many messages of each mailbox the looks at messages are at; or all", EnvVars: env("sample")},
			ownToggle("find-poison", "find the messages at which the server fails, among all messages; every message found is named with what to do"),
			&cli.StringFlag{Name: "poison-state", Usage: "`FILE` keep the search in this file, and go on with one that is in it (default: poison.json in the run's folder)"},
			ownToggle("after-drop-cache", "with --find-poison and --poison-state: look again at what was found, after repair --remedy drop-cache: what is answered now was only the cache's fault"),
			ownToggle("look-anyway", "also look at mailboxes that a look would harm; the copy made before keeps what is lost"),
		}, hostFlags(), accountFlags(), mailboxFlags(), imapFlags(), transferFlags(), outputFlags()),
		Action: p.verb("probe", doProbe),
	}
}

func lookNames() string {
	var names []string
	for _, l := range probe.AllLooks() {
		names = append(names, string(l))
	}
	return strings.Join(names, ", ")
}

func doProbe(k *call) error {
	doc := &probeDocument{Looks: []lookDocument{}, Looked: []lookedDocument{}}
	k.doc = doc
	o, err := k.lookOptions()
	if err != nil {
		return err
	}
	x := &probing{k: k, doc: doc, o: o}
	if err := x.poisonOptions(); err != nil {
		return err
	}
	if x.poison != nil {
		x.searched, x.o.Looks = o.Looks, quickLooks()
	}
	if k.opts.Remote.Target == "" {
		err = x.withoutHost()
	} else {
		err = x.withHost()
	}
	if err != nil {
		return err
	}
	return x.report()
}

// lookOptions reads what is to be asked.
func (k *call) lookOptions() (probe.LookOptions, error) {
	var o probe.LookOptions
	for _, words := range k.StringSlice("looks") {
		for _, word := range strings.Split(words, ",") {
			look := imap.Look(strings.TrimSpace(word))
			switch {
			case look == "all":
				o.Looks = append(o.Looks, probe.AllLooks()...)
			case slices.Contains(probe.AllLooks(), look):
				o.Looks = append(o.Looks, look)
			default:
				return o, &usageError{text: fmt.Sprintf("--looks %q: must be of %s; or all", word, lookNames())}
			}
		}
	}
	switch s := k.String("sample"); s {
	case "all":
		o.Sample = -1
	default:
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 1_000_000 {
			return o, &usageError{text: fmt.Sprintf("--sample %q: must be a number from 1 to 1000000, or all", s)}
		}
		o.Sample = n
	}
	if k.opts.IMAP.Off {
		return o, &usageError{text: "--imap off leaves nothing to probe", hint: "dovemend check …, which examines the files alone"}
	}
	o.Stage, o.Pause = k.progress.Stage, k.p.pause
	return o, nil
}

// probing is one probe: what is asked, by which way, and what came of it.
type probing struct {
	k     *call
	doc   *probeDocument
	o     probe.LookOptions
	names []string

	checked *repair.Checked   // what the files told; nil without a host
	harms   []repair.LookHarm // mailboxes that are not looked at
	harmed  bool              // mailboxes are looked at although that harms them
	looked  *probe.Looked     // nil where there was nothing to look at
	noLook  *repair.NoLookError
	login   *probe.LookResult // with the password, where the looks went another way

	poison   *poisoning // nil where no poison messages are searched for
	searched []imap.Look
	suspects func(mailbox string) []uint32 // of which the files tell; nil without a host
	found    []*probe.Found
}

// withoutHost looks with nothing but an IMAP server and a password.
func (x *probing) withoutHost() error {
	k := x.k
	switch {
	case k.opts.IMAP.Addr == "":
		return &usageError{"--host is missing; or --imap HOST:PORT with a password, which needs no host", "dovemend probe --host [user@]name[:port] …, or dovemend probe --imap HOST:PORT --imap-user NAME …"}
	case k.opts.IMAP.ThroughSSH:
		return &usageError{text: "--imap-through-ssh connects from the host's side, and --host is missing"}
	case k.opts.IMAP.Password == nil:
		return &usageError{"there is no --host, so a password is needed: --imap-password-command, or $DOVEMEND_IMAP_PASSWORD", ""}
	case cmp.Or(k.opts.IMAP.User, k.opts.Account) == "":
		return &usageError{text: "--imap-user is missing (or --account)"}
	}
	x.doc.Account = cmp.Or(k.opts.Account, k.opts.IMAP.User)
	k.progress.Warn("without --host the files cannot be copied before: if the mailbox is damaged, this look can make Dovecot rebuild it and forget flags, as any mail program's look does")
	x.names = k.opts.Mailboxes
	if x.o.All = k.opts.All; !x.o.All && len(x.names) == 0 {
		x.names = []string{"INBOX"}
	}
	log := k.opts.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	k.progress.Stage("connecting to " + k.opts.IMAP.Addr)
	seer := repair.Seer{IMAP: k.opts.IMAP, Account: store.Account{Address: k.opts.Account}, Log: log}
	return x.ask(seer.Look(k.ctx()))
}

// withHost copies and examines the files first, and then looks at what a look does not harm.
func (x *probing) withHost() error {
	k := x.k
	r, snap, err := k.copyAnew(&x.doc.runDocument)
	if err != nil {
		return err
	}
	x.doc.Snapshot = snap
	if x.checked, err = r.Examine(k.ctx()); err != nil {
		return err
	}
	x.doc.Found, x.doc.Shared = describeDiagnoses(x.checked.Mailboxes), describeFindings(x.checked.Account)
	harms, err := r.LookHarms(k.ctx())
	if err != nil {
		return err
	}
	for _, m := range x.doc.Mailboxes {
		i := slices.IndexFunc(harms, func(h repair.LookHarm) bool { return h.Mailbox == m })
		if i >= 0 && !k.Bool("look-anyway") {
			x.harms = append(x.harms, harms[i])
			x.doc.NotLooked = append(x.doc.NotLooked, notLookedDocument{m, harms[i].Why})
			continue
		}
		x.harmed = x.harmed || i >= 0
		x.names = append(x.names, m)
	}
	if len(x.names) == 0 {
		return nil
	}
	x.suspects = r.Suspects
	account := r.Account()
	if err := x.ask(k.session.Look(k.ctx(), account)); err != nil {
		return err
	}
	return x.tryLogin(account)
}

// ask looks, if there is a way to.
func (x *probing) ask(l *repair.Look, err error) error {
	if errors.As(err, &x.noLook) {
		x.doc.Server = x.k.opts.IMAP.Addr
		var answer *imap.Error
		if errors.As(x.noLook.Err, &answer) { // the server was reached, or not: why it failed is a result
			failed := func(context.Context) (*probe.Conn, error) { return nil, x.noLook.Err }
			x.looked, err = probe.LookAt(x.k.ctx(), failed, nil, probe.LookOptions{Looks: []imap.Look{probe.LookLogin}})
			x.doc.tell(x.looked)
			return err
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer l.Close()
	x.doc.Way, x.doc.Server = l.How, l.Addr
	x.looked, err = probe.LookAt(x.k.ctx(), l.Dial, x.names, x.o)
	x.compare()
	x.doc.tell(x.looked)
	if err == nil && x.poison != nil {
		err = x.poison.search(l.Dial)
	}
	return err
}

// compare holds what the server shows against what the copy made just before tells: a mailbox that Dovecot has made anew, or that
// lacks messages, answers every look as if all were well.
func (x *probing) compare() {
	if x.checked == nil {
		return
	}
	for i := range x.looked.Mailboxes {
		m := &x.looked.Mailboxes[i]
		for _, d := range x.checked.Mailboxes {
			if d.Mailbox.Name == m.Mailbox {
				m.Expect(d.Messages, d.UIDValidity)
			}
		}
	}
}

// tryLogin tries the login with a password besides, where the looks went by the host's own imap program: it is the way that
// mail programs come.
func (x *probing) tryLogin(a store.Account) error {
	if x.doc.Way != "preauth" || x.k.opts.IMAP.Password == nil || x.k.opts.IMAP.Addr == "" {
		return nil
	}
	l, err := x.k.session.LookByLogin(a)
	if err != nil {
		return nil // the user or the server is not known, and nobody asked for this way
	}
	x.k.progress.Stage("logging in with the password")
	got, err := probe.LookAt(x.k.ctx(), l.Dial, nil, probe.LookOptions{Looks: []imap.Look{probe.LookLogin}})
	if err != nil {
		return err
	}
	x.login = &got.Account[0]
	x.doc.Login = &describeLooks(got.Account)[0]
	x.doc.Connections += got.Connections
	return nil
}

// healthy reports whether everything that was asked works, and the files show nothing.
func (x *probing) healthy() bool {
	return x.looked != nil && x.looked.Healthy() && (x.login == nil || !x.login.Failed()) && len(x.harms) == 0 && x.noLook == nil && x.foundHealthy() &&
		(x.checked == nil || x.checked.Worst() == check.Note)
}
