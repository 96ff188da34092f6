package remote

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
	"time"
)

// Listed is one entry of [Host.List].
type Listed struct {
	Path   string      // relative to the directory listed
	Type   fs.FileMode // type bits; fs.ModeIrregular where the host tells none we know
	Mode   fs.FileMode // permission bits, setuid, setgid, sticky
	Size   int64       // bytes
	MTime  time.Time   // to the nanosecond, where the file system holds that
	Stat   Stat
	Inode  uint64
	Target string // target of a symbolic link, where the host's command tells it
	Err    error  // a directory that cannot be read
}

// ErrListAgain: the host's list broke off, and what was given of it does not count. Unless the connection was lost, [Host.List] will
// not serve on this host.
var ErrListAgain = errors.New("the host's list broke off")

// findFormat is for GNU find's -printf: type, mode, size, modification time, owner, group and inode, a word each, then path and
// link target. A path may hold any byte but NUL.
const findFormat = `%y %m %s %T@ %U %G %i\0%p\0%l\0`

// findUnreadable is true of directories that this login cannot list.
const findUnreadable = `-type d \( \! -readable -o \! -executable \)`

// List lists everything at and beneath the given paths, relative to dir, an absolute path, with one command on the host. It goes
// into no symbolic link and passes over what skip, a path relative to dir, names ("" for none). A path that is not there
// yields nothing. Where the host has no shell or no find for it the error wraps [errors.ErrUnsupported]; when the list breaks off it
// wraps [ErrListAgain]. All that is yielded is the host's word, paths too; the caller bounds how much it takes.
func (h *Host) List(ctx context.Context, dir string, paths []string, skip string, yield func(Listed) error) error {
	if !h.Info().Shell || h.bulk.find == "" || h.bulk.noFind.Load() || h.cfg.Engine == EngineSFTP {
		return fmt.Errorf("list files with one command: %w", errors.ErrUnsupported)
	}
	if !path.IsAbs(dir) || !validRemote(dir) {
		return &fs.PathError{Op: "list", Path: dir, Err: fs.ErrInvalid}
	}
	var script strings.Builder
	fmt.Fprintf(&script, "cd %s || exit 1\nLC_ALL=C; export LC_ALL\nset --\nt() { if [ -e \"$1\" ] || [ -h \"$1\" ]; then return 0; fi; return 1; }\n", quote(path.Clean(dir)))
	for _, p := range paths {
		if _, err := remotePath("list", p); err != nil {
			return err
		}
		word := quote(dotted(p))
		fmt.Fprintf(&script, "t %s && set -- \"$@\" %[1]s\n", word)
	}
	script.WriteString(`[ "$#" -gt 0 ] || exit 0` + "\n" + `exec find "$@"`)
	gnu := h.bulk.find == "gnu"
	if gnu {
		script.WriteString(" -ignore_readdir_race")
	}
	if skip != "" {
		fmt.Fprintf(&script, " -path %s -prune -o", quote(globEscape(dotted(skip))))
	}
	if gnu {
		fmt.Fprintf(&script, " %s -printf %s -prune -o -printf %s", findUnreadable, quote("!"+findFormat), quote(findFormat))
	} else {
		fmt.Fprintf(&script, " -exec sh -c %s sh {} +", quote(`echo "$#"; stat `+h.bulk.find+" "+statFormats[h.bulk.find]+` "$@" || exit 1; printf '%s\0' "$@"`))
	}
	if script.Len() > lineLimit/5 { // a byte can take five on the line
		return fmt.Errorf("list files with one command: %d paths are too many: %w", len(paths), errors.ErrUnsupported)
	}
	var own error
	err := func() error {
		l, err := h.readable(ctx)
		if err != nil {
			return err
		}
		take := func(_ string, e Listed) error {
			own = yield(e)
			return own
		}
		if gnu {
			return l.list(ctx, script.String(), take)
		}
		return l.listing(ctx, script.String(), func(r *bufio.Reader) error { return readStats(r, take) })
	}()
	switch {
	case err == nil:
		return nil
	case own != nil:
		return own
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if !errors.Is(err, ErrDisconnected) {
		h.bulk.noFind.Store(true)
		h.log.Info("the host's find does not serve; directories are listed over SFTP", "reason", err)
	}
	return fmt.Errorf("%w: %w", ErrListAgain, err)
}

// dotted makes a relative path one that no command takes for an option.
func dotted(p string) string {
	if p == "." {
		return p
	}
	return "./" + p
}

// globEscape makes find's -path match the text itself.
func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// list runs a GNU find and takes its entries as they come. What stands before a colon in their facts is passed on as prefix.
func (l *link) list(ctx context.Context, script string, yield func(prefix string, e Listed) error) error {
	return l.listing(ctx, script, func(r *bufio.Reader) error { return readFound(r, yield) })
}

// listing runs a command that lists and has what it prints read.
func (l *link) listing(ctx context.Context, script string, read func(*bufio.Reader) error) error {
	c, err := l.command(ctx, script, false)
	if err != nil {
		return err
	}
	defer c.stop()
	c.stdin.Close()
	c.keepErrors()
	if err := c.skipNoise(ctx); err != nil {
		return err
	}
	if err := read(bufio.NewReaderSize(c.stdout, 64<<10)); err != nil {
		return err
	}
	return c.end(c.wait())
}

// listField reads up to a byte, which is left out. At the end of what there is the error is io.EOF where nothing came before.
func listField(r *bufio.Reader, end byte) (string, error) {
	b, err := r.ReadSlice(end)
	switch {
	case err == nil:
		return string(b[:len(b)-1]), nil
	case err == bufio.ErrBufferFull:
		err = errBadListing
	case err == io.EOF && len(b) > 0:
		err = io.ErrUnexpectedEOF
	}
	return "", err
}

// readFound reads what findFormat has printed.
func readFound(r *bufio.Reader, yield func(prefix string, e Listed) error) error {
	for {
		facts, err := listField(r, 0)
		if err == io.EOF {
			return nil
		}
		var p, to string
		if err == nil {
			p, err = listField(r, 0)
		}
		if err == nil {
			to, err = listField(r, 0)
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		prefix, rest, ok := strings.Cut(facts, ":")
		if !ok {
			prefix, rest = "", facts
		}
		e, err := parseListed(rest, p, to)
		if err != nil {
			return err
		}
		if err := yield(prefix, e); err != nil {
			return err
		}
	}
}

// parseListed reads what find printed of one entry.
func parseListed(facts, p, to string) (Listed, error) {
	rel, err := listedAt(p)
	if err != nil {
		return Listed{}, err
	}
	e := Listed{Path: rel, Target: to}
	facts, locked := strings.CutPrefix(facts, "!")
	if locked {
		e.Err = fs.ErrPermission
	}
	words := strings.Split(facts, " ")
	if len(words) != 7 {
		return e, fmt.Errorf("%w: it says %.100q", errBadListing, facts)
	}
	var errs [4]error
	var mode uint64
	mode, errs[0] = strconv.ParseUint(words[1], 8, 12)
	e.Size, errs[1] = strconv.ParseInt(words[2], 10, 64)
	e.MTime, errs[2] = parseTime(words[3])
	e.Inode, errs[3] = strconv.ParseUint(words[6], 10, 64)
	if err := errors.Join(errs[:]...); err != nil || e.Size < 0 {
		return e, fmt.Errorf("%w: it says %.100q", errBadListing, facts)
	}
	e.Stat = Stat{UID: number(words[4]), GID: number(words[5])}
	e.Type = findType(words[0])
	e.Mode = permissions(mode)
	return e, nil
}

// listedAt reads a path that a command printed.
func listedAt(p string) (string, error) {
	rel, ok := strings.CutPrefix(p, "./")
	if p == "." {
		rel, ok = p, true
	}
	if !ok {
		return "", fmt.Errorf("%w: it holds %.100q", errBadListing, p)
	}
	return rel, nil
}

// specialBits are those of POSIX's mode that Go has elsewhere.
var specialBits = map[uint64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky}

// permissions reads the lower twelve bits of a mode.
func permissions(mode uint64) fs.FileMode {
	m := fs.FileMode(mode) & fs.ModePerm
	for bit, is := range specialBits {
		if mode&bit != 0 {
			m |= is
		}
	}
	return m
}

// findType reads find's %y.
func findType(s string) fs.FileMode {
	switch s {
	case "f":
		return 0
	case "d":
		return fs.ModeDir
	case "l":
		return fs.ModeSymlink
	case "p":
		return fs.ModeNamedPipe
	case "s":
		return fs.ModeSocket
	case "b":
		return fs.ModeDevice
	case "c":
		return fs.ModeDevice | fs.ModeCharDevice
	}
	return fs.ModeIrregular
}

// parseTime reads seconds with a fraction, as find's %T@ gives them.
func parseTime(s string) (time.Time, error) {
	whole, fraction, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || sec > math.MaxInt64/4 || sec < math.MinInt64/4 {
		return time.Time{}, fmt.Errorf("time %q", s)
	}
	fraction = (fraction + "000000000")[:9]
	ns, err := strconv.ParseUint(fraction, 10, 32)
	if err != nil {
		return time.Time{}, fmt.Errorf("time %q", s)
	}
	return time.Unix(sec, int64(ns)), nil // also before 1970: the fraction counts forwards
}
