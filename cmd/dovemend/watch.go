package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"dovemend/remote"
	"dovemend/repair"
	"dovemend/repair/rundir"
	"dovemend/repair/watch"
)

// minInterval is how seldom a mailbox must be looked at: a program that asked every few minutes was part of the trouble that
// dovemend was made for. Tests change it.
var minInterval = time.Minute

func (p *program) watch() *cli.Command {
	const c = "What counts as wrong"
	return &cli.Command{
		Name:  "watch",
		Usage: "look at mailboxes again and again, and tell when mail is lost or nothing works",
		Description: "For cron or a systemd timer. Looks once (or, with --interval, again and again), compares with\n" +
			"what it remembers, and tells what is wrong: a look that fails, messages or read marks that are\n" +
			"gone without a reason, a mailbox made anew or gone, files that grow to where Dovecot crashes,\n" +
			"connections near the limit. The first look only learns. With --host the files come first, and\n" +
			"what is evidently damaged is not looked at over IMAP; --imap and a password do without a host.\n\n" +
			"What was lost stays an alarm until it is back, or --accept, or --hold is over. After failures\n" +
			"it waits longer each time before it looks again. Changes nothing. docs/watch.md tells more.\n\n" +
			"--explain FILE reaches no server: it reads what a mail program has logged (imapfilter, RainLoop,\n" +
			"SnappyMail, Roundcube, mbsync, imapsync, Thunderbird, K-9, Dovecot, or text pasted from them; -\n" +
			"is standard input) and says what the server's answers in it mean.\n\n" +
			"Exit codes: 0 healthy; 1 error; 2 usage; 3 something is wrong; 5 login or host key;\n130 interrupted.",
		Flags: join([]cli.Flag{
			ownToggle("once", "look once and end (this is what it does without --interval)"),
			&cli.StringFlag{Name: "interval", Usage: "`TIME` look again and again, so far apart: 5m, 1h; at least 1m"},
			ownToggle("accept", "look now, and take what is there for what is to be there"),
			ownToggle("now", "look also where earlier failures say to wait"),
			&cli.StringFlag{Name: "explain", Usage: "`FILE` say what this log means, and look at nothing"},
		}, []cli.Flag{
			text(c, "max-drop", "10,50%", "`N,P%` messages that may go from a mailbox between two looks: it is told when more than N and more than P% are gone; N, P% or off"),
			text(c, "hold", "24h", "`TIME` how long a loss is told before it is taken for what is to be; 0 tells it for ever"),
			&cli.IntFlag{Name: "max-cache", Usage: "`MB` from which size on a dovecot.index.cache is told", Value: 512, Category: c, EnvVars: env("max-cache")},
			&cli.IntFlag{Name: "connection-limit", Usage: "`N` connections the host allows at one time from one address", Category: c, EnvVars: env("connection-limit"), DefaultText: "as the host has told"},
			&cli.StringFlag{Name: "ping", Usage: "`URL` tell this monitor (Healthchecks) how each look ends; other users of this computer can see it, so better: $DOVEMEND_PING", Category: "Monitor"},
			text("Monitor", "ping-command", "", "`CMD` a command whose first line of output is that URL"),
		}, hostFlags(), accountFlags(), []cli.Flag{
			list("Account", "mailbox", "`NAME` a mailbox; may be given more than once (default: all)"),
			toggle("Account", "all-mailboxes", "every mailbox of the account (this is the default)"),
		}, imapFlags(), outputFlags()),
		Action: p.verb("watch", doWatch),
	}
}

func doWatch(k *call) error {
	if k.IsSet("explain") {
		return k.explain(k.String("explain"))
	}
	o, every, err := k.watchOptions()
	if err != nil {
		return err
	}
	if every > 0 {
		return k.watchOn(o, every)
	}
	doc := &watchDocument{p: k.p}
	k.doc = doc
	x, err := repair.NewWatcher(k.opts, o, k.progress).Look(k.ctx())
	if err != nil {
		return watchError(err)
	}
	k.progress.Done()
	doc.fill(k, x)
	return k.told(x)
}

// told prints a look, and gives its end.
func (k *call) told(x *repair.Watched) error {
	k.printWatch(x)
	if x.Healthy() {
		return nil
	}
	end := &endError{code: exitFindings}
	if known := k.quiet && !k.json && !anyNew(x); !known { // with --quiet, cron writes once about each thing
		end.text, end.hint = "something is wrong: "+x.Headline(), x.Alarms[0].Next
	}
	if x.Seen.Banned || errors.Is(x.Err, remote.ErrAuth) || errors.Is(x.Err, remote.ErrHostKey) {
		end.code = exitLogin
	}
	return end
}

// watchError says of errors that only a watch has what to do.
func watchError(err error) error {
	var none *repair.NoLookError
	switch {
	case errors.Is(err, watch.ErrNewer):
		return &endError{exitError, err.Error(), "use the newer dovemend that wrote it; or --state-dir DIR with another folder, in which everything is learned anew"}
	case errors.Is(err, rundir.ErrLocked):
		return &endError{exitError, "another watch of this account is looking at it right now", "nothing; or a longer time between two looks, if this happens often"}
	case errors.As(err, &none):
		return &usageError{text: none.Error(), hint: "dovemend watch --imap HOST:PORT --imap-user NAME --imap-password-command CMD"}
	}
	return err
}

// watchOptions reads the flags. every is 0 for a single look.
func (k *call) watchOptions() (o repair.WatchOptions, every time.Duration, err error) {
	p := watch.Default()
	if p.MaxDrop, err = watch.ParseMaxDrop(k.String("max-drop")); err != nil {
		return o, 0, &usageError{text: "--max-drop: " + err.Error(), hint: "dovemend watch --max-drop 10,50% …"}
	}
	if p.Hold, err = time.ParseDuration(k.String("hold")); err != nil || p.Hold < 0 {
		return o, 0, &usageError{text: fmt.Sprintf("--hold %q: must be a time such as 24h or 90m", k.String("hold"))}
	}
	cache := k.Int("max-cache")
	if cache < 1 || cache > 1<<20 {
		return o, 0, &usageError{text: fmt.Sprintf("--max-cache %d: must be 1 to %d, in MB", cache, 1<<20)}
	}
	p.MaxCache = int64(cache) * 1e6
	if p.Limit = k.Int("connection-limit"); k.IsSet("connection-limit") && (p.Limit < 1 || p.Limit > 1<<20) {
		return o, 0, &usageError{text: fmt.Sprintf("--connection-limit %d: must be at least 1", p.Limit)}
	}
	p.Accept, p.Jitter = k.Bool("accept"), jitter
	o.Policy, o.Now = p, k.Bool("now")
	if k.IsSet("interval") {
		every, err = time.ParseDuration(k.String("interval"))
		switch {
		case err != nil:
			return o, 0, &usageError{text: fmt.Sprintf("--interval %q: must be a time such as 5m or 1h", k.String("interval"))}
		case every < minInterval:
			return o, 0, &usageError{text: fmt.Sprintf("--interval %s: must be at least %s; to look more often makes a broken mailbox worse and uses up connections", k.String("interval"), "1m")}
		case k.Bool("once") || p.Accept:
			return o, 0, &usageError{text: "--interval excludes --once and --accept"}
		}
	}
	if o.Pinger, err = k.pinger(); err != nil {
		return o, 0, err
	}
	return o, every, k.canWatch()
}

// canWatch says what is missing to reach anything. Without a host, address, user and password are needed.
func (k *call) canWatch() error {
	i := k.opts.IMAP
	const example = "dovemend watch --imap HOST:PORT --imap-user NAME --imap-password-command CMD"
	switch {
	case k.opts.Remote.Target != "":
		return nil
	case i.Off:
		return &usageError{text: "--imap off looks at files alone, and needs --host", hint: "dovemend watch --host [user@]name[:port] …"}
	case i.Addr == "":
		return &usageError{text: "--host is missing, or --imap with a password", hint: "dovemend watch --host [user@]name[:port] …, or " + example}
	case i.User == "" && k.opts.Account == "":
		return &usageError{text: "--imap-user is missing", hint: example}
	case i.Password == nil:
		return &usageError{text: "--imap-password-command is missing (or $DOVEMEND_IMAP_PASSWORD)", hint: example}
	case i.ThroughSSH:
		return &usageError{text: "--imap-through-ssh needs --host", hint: "dovemend watch --host [user@]name[:port] …"}
	}
	return nil
}

// pinger reads where the monitor is. The URL is a secret: it is in no error, and in no hint.
func (k *call) pinger() (*watch.Pinger, error) {
	url, from := k.String("ping"), "--ping"
	get := secret(k.String("ping-command"), "DOVEMEND_PING", k.p.stderr)
	switch {
	case k.IsSet("ping") && k.IsSet("ping-command"):
		return nil, &usageError{text: "--ping and --ping-command exclude each other"}
	case url == "" && get == nil:
		return nil, nil
	case url == "":
		var err error
		if url, err = get(k.ctx()); err != nil {
			return nil, fmt.Errorf("get the ping URL: %w", err)
		}
		if from = "what --ping-command gives"; !k.IsSet("ping-command") {
			from = "$DOVEMEND_PING"
		}
	}
	_ = os.Unsetenv("DOVEMEND_PING") // no program that is started from here needs it
	p, err := watch.NewPinger(url, "dovemend/"+versionText())
	if err != nil {
		return nil, &usageError{text: from + " " + err.Error()}
	}
	return p, nil
}
