package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"dovemend/cmd/internal/ui"
	"dovemend/remote"
	"dovemend/repair/plan"
)

// options turns the flags of a verb into what a repair is told. Flags the verb does not have keep their zero values.
func (k *call) options(c *cli.Context) error {
	o := &k.opts
	var err error
	if o.StateDir, err = stateDir(c.String("state-dir"), c.IsSet("state-dir")); err != nil {
		return err
	}
	if o.MailRoot, err = mailRoot(c.String("mail-root"), c.IsSet("mail-root")); err != nil {
		return err
	}
	o.Account = c.String("account")
	if c.IsSet("account") && !validAccount(o.Account) {
		return &usageError{text: fmt.Sprintf("--account %q: must be user@domain", o.Account), hint: "dovemend accounts …"}
	}
	o.Mailboxes, o.All = c.StringSlice("mailbox"), c.Bool("all-mailboxes")
	if o.All && len(o.Mailboxes) > 0 {
		return &usageError{text: "--mailbox and --all-mailboxes exclude each other"}
	}
	if slices.Contains(o.Mailboxes, "") {
		return &usageError{text: "--mailbox is empty", hint: "dovemend accounts …"}
	}
	if o.Verify, err = oneOf(c, "verify", "auto", "full"); err != nil {
		return err
	}
	if c.Bool("verbose") {
		o.Log = slog.New(slog.NewTextHandler(k.p.stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if err := k.remoteOptions(c); err != nil {
		return err
	}
	if err := k.imapOptions(c); err != nil {
		return err
	}
	return noneEmpty(c)
}

// noneEmpty refuses a flag that was given without saying anything: in a script that is a variable that was not set.
func noneEmpty(c *cli.Context) error {
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		if _, text := f.(*cli.StringFlag); text && name != "run" && c.IsSet(name) && strings.TrimSpace(c.String(name)) == "" {
			return &usageError{text: fmt.Sprintf("--%s is empty", name)}
		}
	}
	return nil
}

func (k *call) remoteOptions(c *cli.Context) error {
	r := &k.opts.Remote
	r.Target, r.Jump, r.AcceptNew = c.String("host"), c.String("jump"), c.Bool("accept-new-host-key")
	if c.IsSet("host") && strings.TrimSpace(r.Target) == "" {
		return &usageError{text: "--host is empty"}
	}
	if strings.HasPrefix(r.Target, "-") {
		return &usageError{text: fmt.Sprintf("--host %q: is not a host", r.Target)}
	}
	for _, f := range c.StringSlice("identity") {
		p, err := readable("identity", f)
		if err != nil {
			return err
		}
		r.Identities = append(r.Identities, p)
	}
	if c.IsSet("known-hosts") {
		p, err := writable("known-hosts", c.String("known-hosts"))
		if err != nil {
			return err
		}
		r.KnownHosts = []string{p}
	}
	if f := c.String("ssh-config"); f == "none" {
		r.ConfigFile = f
	} else if c.IsSet("ssh-config") {
		p, err := readable("ssh-config", f)
		if err != nil {
			return err
		}
		r.ConfigFile = p
	}
	r.Password = secret(c.String("ssh-password-command"), "DOVEMEND_SSH_PASSWORD", k.p.stderr)
	if k.term.CanAsk() {
		r.Ask = ui.Asker{Prompter: k.ask}
	}
	r.Log = k.opts.Log
	return k.transferOptions(c)
}

// transferOptions reads how files are to be copied.
func (k *call) transferOptions(c *cli.Context) error {
	r := &k.opts.Remote
	engine, err := oneOf(c, "engine", "auto", string(remote.EngineTar), string(remote.EngineSFTP))
	if err != nil {
		return err
	}
	if engine != "auto" {
		r.Engine = remote.Engine(engine)
	}
	compress, err := oneOf(c, "compress", "auto", string(remote.CompressOn), string(remote.CompressOff))
	if err != nil {
		return err
	}
	if compress != "auto" {
		r.Compress = remote.Compression(compress)
	}
	r.Connections = c.Int("connections")
	if c.IsSet("connections") && (r.Connections < 1 || r.Connections > remote.MaxConnections) {
		return &usageError{text: fmt.Sprintf("--connections %d: must be 1 to %d", r.Connections, remote.MaxConnections)}
	}
	return nil
}

func (k *call) imapOptions(c *cli.Context) error {
	i := &k.opts.IMAP
	var err error
	if i.TLS, err = oneOf(c, "imap-tls", "tls", "starttls", "none"); err != nil {
		return err
	}
	preauth, err := oneOf(c, "preauth", "auto", "off")
	if err != nil {
		return err
	}
	i.Preauth, i.ThroughSSH, i.User = preauth != "off", c.Bool("imap-through-ssh"), c.String("imap-user")
	switch addr := c.String("imap"); {
	case addr == "off":
		i.Off = true
	case c.IsSet("imap"):
		host, port, err := net.SplitHostPort(addr)
		if n, perr := strconv.Atoi(port); err != nil || host == "" || perr != nil || n < 1 || n > 65535 {
			return &usageError{text: fmt.Sprintf("--imap %q: must be HOST:PORT, or off", addr)}
		}
		i.Addr = addr
	}
	if i.TLS == "none" && !i.ThroughSSH && !loopback(i.Addr) {
		return &usageError{text: "--imap-tls none sends the password in the clear; it is only for loopback or with --imap-through-ssh"}
	}
	if c.IsSet("imap-ca") {
		if i.CAFile, err = readable("imap-ca", c.String("imap-ca")); err != nil {
			return err
		}
	}
	if get := secret(c.String("imap-password-command"), "DOVEMEND_IMAP_PASSWORD", k.p.stderr); get != nil {
		ctx := c.Context
		i.Password = func() (string, error) { return get(ctx) }
	}
	return nil
}

// oneOf checks a flag that takes one of a few words; a verb without the flag gets the first.
func oneOf(c *cli.Context, name string, allowed ...string) (string, error) {
	v := c.String(name)
	if v == "" && !c.IsSet(name) {
		return allowed[0], nil
	}
	if !slices.Contains(allowed, v) {
		return "", &usageError{text: fmt.Sprintf("--%s %q: must be one of %s", name, v, strings.Join(allowed, ", "))}
	}
	return v, nil
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func validAccount(s string) bool {
	user, domain, ok := strings.Cut(s, "@")
	return ok && user != "" && domain != "" && !strings.ContainsAny(s, "/\x00\n\r\t ") && !strings.HasPrefix(s, ".") && !strings.HasPrefix(domain, ".")
}

// remedyOptions reads what only a repair has.
func (k *call) remedyOptions(c *cli.Context) error {
	o := &k.opts
	remedies := []string{string(plan.Auto), string(plan.DropCache), string(plan.Rebuild), string(plan.DropIndex), string(plan.Evacuate), string(plan.Clear)}
	r := c.String("remedy")
	if !slices.Contains(remedies, r) {
		text := fmt.Sprintf("--remedy %q: must be one of %s", r, strings.Join(remedies, ", "))
		if !c.IsSet("remedy") {
			text = "--remedy is missing: one of " + strings.Join(remedies, ", ")
		}
		return &usageError{text: text, hint: "dovemend wizard, which shows what each of them would do and cost"}
	}
	if o.MoveBack = c.Bool("move-back"); o.MoveBack && plan.Remedy(r) != plan.Evacuate {
		return &usageError{text: "--move-back only goes with --remedy evacuate"}
	}
	if plan.Remedy(r) == plan.Evacuate && o.IMAP.Off {
		return &usageError{text: "evacuate works over IMAP, and --imap off switches that off"}
	}
	o.Remedy, o.Aside, o.Confirm = plan.Remedy(r), c.Bool("aside"), c.StringSlice("confirm")
	for _, l := range c.StringSlice("accept-loss") {
		for _, one := range strings.Split(l, ",") {
			loss := plan.Loss(strings.TrimSpace(one))
			if !slices.Contains([]plan.Loss{plan.LossFlags, plan.LossKeywords, plan.LossUIDs, plan.LossMessages}, loss) {
				return &usageError{text: fmt.Sprintf("--accept-loss %q: must be of flags, keywords, uids, messages", one)}
			}
			o.AcceptLoss = append(o.AcceptLoss, loss)
		}
	}
	if slices.Contains(o.Confirm, "") {
		return &usageError{text: "--confirm is empty: it takes the name of the mailbox to clear"}
	}
	return nil
}

// connect makes the connection; k.session is closed when the verb ends.
func (k *call) connect(ctx context.Context) error {
	if k.opts.Remote.Target == "" {
		return &usageError{text: "--host is missing", hint: "dovemend " + k.verb + " --host [user@]name[:port] …, or dovemend wizard, which asks"}
	}
	s, err := k.p.engine.Connect(ctx, k.opts, k.progress)
	if err != nil {
		return err
	}
	k.session = s
	return nil
}
