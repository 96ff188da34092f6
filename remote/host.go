// Package remote is the only door to the host: one SSH connection, what is read over it (an [FS], hashes, free space,
// the process list) and, in change.go alone, everything that can change the host. It exports neither a command runner
// nor an SFTP client, and imports nothing else of dovemend.
package remote

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"
)

// These errors can be branched on. They are wrapped with the place they happened at.
var (
	// ErrHostKey: the host's key is unknown and was not accepted, or has changed.
	ErrHostKey = errors.New("host key not accepted")
	// ErrAuth: no method of logging in succeeded.
	ErrAuth = errors.New("login refused")
	// ErrUnguarded: a path was given to a changing verb that this Root's guard has not passed.
	ErrUnguarded = errors.New("path not passed by the guard")
	// ErrProcessGone: the process has ended, or its number now belongs to another process.
	ErrProcessGone = errors.New("process gone")
	// ErrNoShell: the host gives no shell (SFTP only), so commands cannot be run.
	ErrNoShell = errors.New("no shell on the host")
	// ErrNoSFTP: the host has no SFTP subsystem, without which dovemend cannot work.
	ErrNoSFTP = errors.New("no SFTP on the host")
	// ErrFull: the host did not take what was written, as where its disk or the quota is full. SFTP has no word for just that.
	ErrFull = errors.New("the disk or the quota may be full")
	// ErrDisconnected: the connection was lost and could not be made again.
	ErrDisconnected = errors.New("connection lost")
)

// Config says where to connect and how. The zero value of each field means what OpenSSH's client would do.
type Config struct {
	Target      string                                                            // [user@]name[:port], an alias of the ssh configuration, or an ssh:// URL; IPv6 as [addr]:port
	Identities  []string                                                          // private key files tried first; with any given, IdentitiesOnly is implied
	Jump        string                                                            // as OpenSSH's -J; overrides ProxyJump
	ConfigFile  string                                                            // default ~/.ssh/config then /etc/ssh/ssh_config; "none" reads no file
	KnownHosts  []string                                                          // default ~/.ssh/known_hosts, ~/.ssh/known_hosts2 and /etc/ssh/ssh_known_hosts; new keys go into the first
	AcceptNew   bool                                                              // accept (and remember) a key of a host never seen before; a changed key is refused all the same
	NoAgent     bool                                                              // do not use SSH_AUTH_SOCK
	Ask         Asker                                                             // nil where nobody can answer
	Password    func(ctx context.Context) (string, error)                         // from a command or the environment; nil for none; called at most once
	DialTimeout time.Duration                                                     // default 20 s
	KeepAlive   time.Duration                                                     // default 15 s between keepalives; three unanswered end the connection
	Engine      Engine                                                            // how Fetch reads many files; "" chooses by what the host has
	Connections int                                                               // for Fetch, the first one among them, at most 8; 0 chooses by how far the host is
	Eager       bool                                                              // much will be fetched right after the login: make the connections for it at once, where the host is far
	Compress    Compression                                                       // of what the tar engine brings; "" chooses by measuring
	Log         *slog.Logger                                                      // never given a secret; nil discards
	Dial        func(ctx context.Context, network, addr string) (net.Conn, error) // nil: net.Dialer; for the embedded host and tests

	sftpTimeout time.Duration // how long SFTP may take to start; default answerTimeout, another for tests
}

// Asker puts a question to the person at the terminal. Prompts are safe to print, may have several lines, and end without
// a colon. An empty answer means that this way of logging in is to be passed over; an error ends the login and is wrapped.
type Asker interface {
	// HostKey asks whether an unknown host's key may be trusted. Only called for keys never seen before.
	HostKey(ctx context.Context, q HostKeyQuestion) (bool, error)
	// Secret asks for a password, a passphrase or an answer that must not be shown while typed.
	Secret(ctx context.Context, prompt string) (string, error)
	// Line asks for an answer that may be shown while typed (keyboard-interactive with echo).
	Line(ctx context.Context, prompt string) (string, error)
}

// HostKeyQuestion is what an [Asker] shows about an unknown host. All texts are safe to print.
type HostKeyQuestion struct {
	Host        string // as known_hosts would name it
	Type        string // key type, "ssh-ed25519"
	Fingerprint string // "SHA256:…"
}

// Info is what was found out about the host once, right after login.
type Info struct {
	Target      string // as given
	Addr        string // host:port connected to
	User        string
	UID, GID    int    // -1 where the host does not tell (SFTP only)
	Home        string // absolute, symbolic links resolved
	HomeLink    string // as the login gives it, before resolving
	Shell       bool   // commands run through sh -c
	OS          string // uname -s, "" without a shell
	Fingerprint string // of the host key
	HashTool    string // "sha256sum", "shasum -a 256", "sha256 -q", "openssl", or ""
	Server      string // what the SSH server calls itself, "SSH-2.0-OpenSSH_9.2p1"; safe to print
	Dovecot     string // what the host's dovecot program gives as its version, "2.3.19.1 (9b53102964)"; "" where it cannot be asked
}

// Space is what the file system around a path has left. Unknown figures are -1.
type Space struct {
	FreeBytes, TotalBytes int64
	FreeInodes            int64
}

// IMAPSpec says how the host's own imap binary is to be started on one account (StartIMAP).
type IMAPSpec struct {
	Layout   string // mdbox, sdbox, maildir
	MailRoot string // absolute
	LayoutFS bool   // Maildir with LAYOUT=fs
	Binary   string // "" to look in the usual places
}

// IMAPSession is a running imap process of the host: its IMAP stream, and what it writes to its log.
type IMAPSession struct {
	io.ReadWriteCloser
	Binary string // the path that was started
	// Stderr gives the whole lines that it has logged from a place on, as far as they are kept (the last 256 KiB), and the place to go on
	// from; 0 is the beginning. It is safe for concurrent use.
	Stderr func(from int64) (lines []byte, next int64)
}
