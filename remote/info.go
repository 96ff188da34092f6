package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pkg/sftp"
)

// probeTimeout bounds the one look at what the host offers; a login shell that asks something would never end.
const probeTimeout = 30 * time.Second

// slowStart is how long the first command may take before a command on the host counts as dear: there are login shells whose start files
// run for a second.
const slowStart = 800 * time.Millisecond

// firstCommand is how many round trips opening a session and running a command in it take.
const firstCommand = 4

// probeScript prints one name=value per line. Every part may be missing on a jailed account. Of the tools for SHA-256 openssl comes first: it
// uses what the processor has for it, and GNU's, in most distributions, does not.
var probeScript = `echo "uid=$(id -u 2>/dev/null)"
echo "gid=$(id -g 2>/dev/null)"
echo "os=$(uname -s 2>/dev/null)"
echo "home=$HOME"
echo "real=$(cd "$HOME" 2>/dev/null && pwd -P)"
empty=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
for t in "openssl dgst -sha256 -r" "sha256sum" "shasum -a 256" "sha256 -q"; do
	case $($t </dev/null 2>/dev/null) in $empty*) echo "hash=$t"; break;; esac
done
for t in gnu bsd busybox; do
	case $t in
	gnu) tar ` + tarArguments["gnu"] + ` ;;
	bsd) tar ` + tarArguments["bsd"] + ` ;;
	busybox) tar ` + tarArguments["busybox"] + ` ;;
	esac </dev/null >/dev/null 2>&1 && echo "tar=$t" && break
done
for t in zstd gzip; do
	if $t -1 -c </dev/null >/dev/null 2>&1; then echo "pack=$t"; break; fi
done
[ "$(printf 'a b\0' | xargs -0 -n 1 sh -c 'echo "$1"' sh 2>/dev/null)" = "a b" ] && echo xargs=yes
case $(find /dev/null -prune -printf %y 2>/dev/null) in c) echo find=gnu;; *)
	for t in -c -f; do
		case $t in
		-c) stat -c ` + statFormats["-c"] + ` /dev/null ;;
		-f) stat -f ` + statFormats["-f"] + ` /dev/null ;;
		esac >/dev/null 2>&1 && find /dev/null -exec sh -c : sh {} + && echo "find=$t" && break
	done ;;
esac
for d in dovecot /usr/sbin/dovecot /usr/local/sbin/dovecot /opt/dovecot/sbin/dovecot; do
	v=$($d --version 2>/dev/null </dev/null) && [ -n "$v" ] && echo "dovecot=$v" && break
done
:`

// dovecotVersion is what a dovecot program answers to --version.
var dovecotVersion = regexp.MustCompile(`^[0-9]+\.[0-9][0-9A-Za-z.:+~-]*( \([0-9A-Za-z.:+~-]+\))?$`)

// probe fills in what Info tells.
func (h *Host) probe(ctx context.Context) error {
	l := h.now
	last := h.route[len(h.route)-1]
	info := Info{Target: h.cfg.Target, Addr: l.addr, User: last.user, UID: -1, GID: -1, Fingerprint: l.key, Server: Safe(string(l.client.ServerVersion()))}

	// SFTP is opened beside the look at the shell, but after it: some hosts allow a connection only one session at a time.
	soon := make(chan sftpStart, 1)
	go func() {
		select {
		case <-l.begun:
		case <-l.done:
		}
		soon <- l.startSFTP(ctx)
	}()
	shellCtx, cancel := context.WithTimeout(ctx, probeTimeout)
	began := time.Now()
	out, err := l.run(shellCtx, probeScript, nil)
	l.begin()
	took := time.Since(began)
	timedOut := shellCtx.Err() != nil
	cancel()
	var exit *ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case l.lost() != nil:
		return l.lost()
	case err == nil || errors.As(err, &exit):
		info.Shell = true
		info.read(out)
		h.bulk.read(out)
	default:
		h.log.Info("no shell on the host", "reason", err, "timeout", timedOut)
	}

	start := <-soon
	if start.err != nil && ctx.Err() == nil && l.lost() == nil && !errors.Is(start.err, os.ErrDeadlineExceeded) {
		start = l.startSFTP(ctx) // now that the look at the shell is over
	}
	if start.err != nil {
		return start.err
	}
	same, err := info.findHome(ctx, l, start)
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.bulk.sameHome = same
	h.info, h.rtt = info, start.took
	h.bulk.slowStart = took-firstCommand*h.rtt > slowStart
	h.mu.Unlock()
	h.log.Info("logged in", "addr", info.Addr, "user", info.User, "shell", info.Shell, "os", info.OS, "hash", info.HashTool, "tar", h.bulk.tar, "compress", h.bulk.pack, "round_trip", h.rtt.Round(100*time.Microsecond))
	return nil
}

// sftpStart is how SFTP began: where, and how long the host took to say so.
type sftpStart struct {
	c    *sftp.Client
	dir  string
	took time.Duration
	err  error // of its start
	mute error // why it does not say where
}

func (l *link) startSFTP(ctx context.Context) (s sftpStart) {
	if s.c, s.err = l.sftp(ctx); s.err != nil {
		return s
	}
	asked := time.Now()
	s.dir, s.mute = linkCall(ctx, l, func() (string, error) { return s.c.RealPath(".") }, nil)
	s.took = time.Since(asked)
	return s
}

// findHome settles where the login's home directory is: where the shell says, if SFTP begins there or sees a directory there as
// well, and else where SFTP begins. same says that it was the former.
func (i *Info) findHome(ctx context.Context, l *link, s sftpStart) (same bool, err error) {
	if i.Home != "" && i.HomeLink != "" {
		if s.dir == i.Home {
			return true, nil
		}
		st, err := linkCall(ctx, l, func() (os.FileInfo, error) { return s.c.Stat(i.Home) }, nil)
		if err == nil && st.IsDir() {
			return true, nil
		}
	}
	if s.mute != nil {
		return false, fmt.Errorf("find the home directory: %w", plainError(s.mute))
	}
	if !path.IsAbs(s.dir) || !validRemote(s.dir) {
		return false, fmt.Errorf("find the home directory: the host answers %q", Safe(s.dir))
	}
	i.Home, i.HomeLink = s.dir, s.dir
	return false, nil
}

// printed yields what the probe script printed, as far as it looks right.
func printed(out []byte) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for line := range bytes.Lines(out) {
			name, value, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), "=")
			if ok && value != "" && len(value) <= 4096 && !yield(name, value) {
				return
			}
		}
	}
}

// read takes what the probe script printed; what does not look right is left out.
func (b *bulkFacts) read(out []byte) {
	for name, value := range printed(out) {
		switch name {
		case "tar":
			if tarArguments[value] != "" {
				b.tar = value
			}
		case "find":
			if value == "gnu" || statFormats[value] != "" {
				b.find = value
			}
		case "xargs":
			b.xargs = true
		case "pack":
			if packCommands[value] != "" {
				b.pack = value
			}
		}
	}
}

// read takes what the probe script printed; what does not look right is left out.
func (i *Info) read(out []byte) {
	for name, value := range printed(out) {
		switch name {
		case "uid":
			i.UID = number(value)
		case "gid":
			i.GID = number(value)
		case "os":
			i.OS = Safe(value)
		case "home":
			if path.IsAbs(value) && validRemote(value) {
				i.HomeLink = value
			}
		case "real":
			if path.IsAbs(value) && validRemote(value) {
				i.Home = value
			}
		case "dovecot":
			if len(value) <= 100 && dovecotVersion.MatchString(value) {
				i.Dovecot = value
			}
		case "hash":
			switch value {
			case "sha256sum", "shasum -a 256", "sha256 -q":
				i.HashTool = value
			case "openssl dgst -sha256 -r":
				i.HashTool = "openssl"
			}
		}
	}
}

// number reads an id; -1 where it is none.
func number(s string) int {
	n, err := strconv.ParseInt(s, 10, 33)
	if err != nil || n < 0 || n > 1<<32-2 {
		return -1
	}
	return int(n)
}
