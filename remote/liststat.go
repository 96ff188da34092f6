package remote

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
)

// statFormats have stat print mode, size, modification time, owner, group and inode, a word each, the mode in hexadecimal digits: -c is that
// of busybox, -f that of BSD. They stand on the host's command line as they are.
var statFormats = map[string]string{"-c": "'%f %s %Y %u %g %i'", "-f": "'%Xp %z %m %u %g %i'"}

// mostStats is how many files one command line names at most, of 2 MiB, and statLine how long a line of facts is, in bytes.
const (
	mostStats = 1 << 17
	statLine  = 200
)

// readStats reads what find has had printed of files without -printf: how many, a line of facts for each, then the names, each ended by NUL.
func readStats(r *bufio.Reader, yield func(prefix string, e Listed) error) error {
	for {
		line, err := listField(r, '\n')
		if err == io.EOF {
			return nil
		}
		n := 0
		if err == nil {
			n, err = strconv.Atoi(line)
		}
		if err != nil || n < 1 || n > mostStats {
			return fmt.Errorf("%w: it says %.100q", errBadListing, line)
		}
		var facts []string
		for range n {
			if line, err = listField(r, '\n'); err != nil {
				return noEnd(err)
			}
			if len(line) > statLine {
				return fmt.Errorf("%w: it says %.100q", errBadListing, line)
			}
			facts = append(facts, line)
		}
		for _, line := range facts {
			p, err := listField(r, 0)
			if err != nil {
				return noEnd(err)
			}
			e, err := parseStat(line, p)
			if err != nil {
				return err
			}
			if err := yield("", e); err != nil {
				return err
			}
		}
	}
}

func noEnd(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseStat reads what stat printed of one file.
func parseStat(facts, p string) (Listed, error) {
	rel, err := listedAt(p)
	if err != nil {
		return Listed{}, err
	}
	e := Listed{Path: rel}
	bad := fmt.Errorf("%w: it says %.100q", errBadListing, facts)
	words := strings.Split(facts, " ")
	if len(words) != 6 {
		return e, bad
	}
	mode, err := strconv.ParseUint(words[0], 16, 32)
	if err != nil {
		return e, bad
	}
	if e.Size, err = strconv.ParseInt(words[1], 10, 64); err != nil || e.Size < 0 {
		return e, bad
	}
	if e.MTime, err = parseTime(words[2]); err != nil {
		return e, bad
	}
	if e.Inode, err = strconv.ParseUint(words[5], 10, 64); err != nil {
		return e, bad
	}
	e.Stat = Stat{UID: number(words[3]), GID: number(words[4])}
	e.Type, e.Mode = fileType(mode), permissions(mode)
	return e, nil
}

// fileType reads the type bits of a mode.
func fileType(mode uint64) fs.FileMode {
	switch mode & 0o170000 {
	case 0o100000:
		return 0
	case 0o040000:
		return fs.ModeDir
	case 0o120000:
		return fs.ModeSymlink
	case 0o010000:
		return fs.ModeNamedPipe
	case 0o140000:
		return fs.ModeSocket
	case 0o060000:
		return fs.ModeDevice
	case 0o020000:
		return fs.ModeDevice | fs.ModeCharDevice
	}
	return fs.ModeIrregular
}
