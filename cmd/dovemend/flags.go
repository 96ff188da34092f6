package main

import (
	"os"
	"strings"

	"github.com/urfave/cli/v2"
)

// The shared flags. Each has an environment variable: DOVEMEND_ and its name in capitals, with _ for -.

func env(name string) []string {
	return []string{"DOVEMEND_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))}
}

// dropEmptyVariables takes the variables of flags that hold nothing out of the environment: they are as good as not set.
func dropEmptyVariables() {
	for _, v := range os.Environ() {
		if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, "DOVEMEND_") && value == "" {
			_ = os.Unsetenv(name) // fails only for a name that is none
		}
	}
}

func text(category, name, value, usage string) cli.Flag {
	return &cli.StringFlag{Name: name, Value: value, Usage: usage, Category: category, EnvVars: env(name)}
}

func list(category, name, usage string) cli.Flag {
	return &cli.StringSliceFlag{Name: name, Usage: usage, Category: category, EnvVars: env(name)}
}

func toggle(category, name, usage string) cli.Flag {
	return &cli.BoolFlag{Name: name, Usage: usage, Category: category, EnvVars: env(name), DisableDefaultText: true}
}

// ownToggle is a flag without an environment variable: what changes something is only ever said on the command line.
func ownToggle(name, usage string) cli.Flag {
	return &cli.BoolFlag{Name: name, Usage: usage, DisableDefaultText: true}
}

func hostFlags() []cli.Flag {
	const c = "Connection"
	return []cli.Flag{
		text(c, "host", "", "`[user@]name[:port]` the host, or an alias of the ssh configuration"),
		list(c, "identity", "`FILE` private key; may be given more than once"),
		text(c, "jump", "", "`[user@]name[:port]` connect through this host, as ssh -J"),
		text(c, "known-hosts", "", "`FILE` known host keys (default: ssh's own)"),
		text(c, "ssh-config", "", "`FILE` ssh configuration; none reads no file (default: ssh's own)"),
		toggle(c, "accept-new-host-key", "trust and remember the key of a host never seen before"),
		text(c, "ssh-password-command", "", "`CMD` a command whose first line of output is the SSH password; $DOVEMEND_SSH_PASSWORD holds the password itself"),
	}
}

func accountFlags() []cli.Flag {
	const c = "Account"
	return []cli.Flag{
		text(c, "account", "", "`user@domain` the account (default: the only one)"),
		text(c, "mail-root", "", "`DIR` the directory on the host that holds mailboxes/, or the Maildir (default: found by itself)"),
	}
}

func mailboxFlags() []cli.Flag {
	const c = "Account"
	return []cli.Flag{
		list(c, "mailbox", "`NAME` a mailbox; may be given more than once (default: INBOX)"),
		toggle(c, "all-mailboxes", "every mailbox of the account"),
	}
}

func imapFlags() []cli.Flag {
	const c = "Looking at the result over IMAP"
	return []cli.Flag{
		text(c, "imap", "", "`HOST:PORT` the IMAP server (default: the SSH host, 993); off compares files only"),
		text(c, "imap-tls", "tls", "`MODE` tls, starttls, or none (only to loopback or through SSH)"),
		toggle(c, "imap-through-ssh", "connect from the host's side"),
		text(c, "imap-user", "", "`NAME` the login (default: the account's address)"),
		text(c, "imap-password-command", "", "`CMD` a command whose first line of output is the IMAP password; $DOVEMEND_IMAP_PASSWORD holds the password itself"),
		text(c, "imap-ca", "", "`FILE` further certificates to trust, PEM"),
		text(c, "preauth", "auto", "`MODE` auto uses the host's own imap binary, without a password, where it can; off does not"),
	}
}

func outputFlags() []cli.Flag {
	const c = "Output"
	return []cli.Flag{
		text(c, "state-dir", "", "`DIR` the folder on this machine where runs are kept (default: "+defaultStateDirText+")"),
		toggle(c, "json", "one JSON document on standard output"),
		toggle(c, "quiet", "no progress, warnings and results only"),
		toggle(c, "verbose", "tell on standard error what is done, in detail"),
		toggle(c, "no-color", "no colours (also $NO_COLOR)"),
		toggle(c, "accessible", "plain questions, line by line, for screen readers"),
		toggle(c, "no-input", "never ask: a question is an error that names its flag"),
	}
}

// transferFlags are those of the verbs that copy from the host.
func transferFlags() []cli.Flag {
	const c = "Copying"
	return []cli.Flag{
		text(c, "verify", "auto", "`MODE` auto checks the copy by hashes where the host can make them; full reads everything again"),
		text(c, "engine", "auto", "`MODE` tar reads many files with the host's own tar; sftp reads with SFTP only; auto takes tar where the host has it"),
		&cli.IntFlag{Name: "connections", Usage: "`N` SSH connections to copy over, 1 to 8 (default: 4, or 2 where the host is near)", Category: c, EnvVars: env("connections"), DefaultText: "chosen"},
		text(c, "compress", "auto", "`MODE` auto has the host compress where that is faster; on; off"),
	}
}

func runFlag(usage string) cli.Flag { return &cli.StringFlag{Name: "run", Usage: usage} }

// join puts groups of flags together.
func join(groups ...[]cli.Flag) []cli.Flag {
	var all []cli.Flag
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}
