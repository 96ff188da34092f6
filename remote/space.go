package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/bits"
	"path"
	"strconv"
	"strings"

	"github.com/pkg/sftp"
)

// Space tells what the file system around an absolute path has left for this user, by the SFTP server's statvfs or, without
// that, by df. A quota of the host may be smaller: neither shows it. What cannot be learnt is -1.
func (h *Host) Space(ctx context.Context, p string) (Space, error) {
	unknown := Space{FreeBytes: -1, TotalBytes: -1, FreeInodes: -1}
	if !path.IsAbs(p) || !validRemote(p) {
		return unknown, &fs.PathError{Op: "statvfs", Path: p, Err: fs.ErrInvalid}
	}
	var vfs *sftp.StatVFS
	err := h.reading(ctx, func(l *link) error {
		c, err := l.sftp(ctx)
		if err != nil {
			return err
		}
		if _, ok := c.HasExtension("statvfs@openssh.com"); !ok {
			return errors.ErrUnsupported
		}
		vfs, err = linkCall(ctx, l, func() (*sftp.StatVFS, error) { return c.StatVFS(p) }, nil)
		return err
	})
	if err == nil {
		return Space{FreeBytes: product(vfs.Frsize, vfs.Bavail), TotalBytes: product(vfs.Frsize, vfs.Blocks), FreeInodes: product(1, vfs.Favail)}, nil
	}
	err = fsError("statvfs", p, err)
	if !errors.Is(err, errors.ErrUnsupported) {
		return unknown, err
	}
	if !h.Info().Shell {
		return unknown, nil
	}
	out, err := h.query(ctx, "df -kP "+quote(p)+" 2>/dev/null || df -k "+quote(p), nil)
	var exit *ExitError
	if errors.As(err, &exit) {
		return unknown, nil
	}
	if err != nil {
		return unknown, fmt.Errorf("ask for the free space: %w", err)
	}
	s := unknown
	s.TotalBytes, s.FreeBytes = parseDF(out)
	return s, nil
}

// product multiplies; what does not fit is unknown. A full disk is 0.
func product(a, b uint64) int64 {
	hi, lo := bits.Mul64(a, b)
	if hi != 0 || lo > math.MaxInt64 {
		return -1
	}
	return int64(lo)
}

// parseDF reads the last line of df -kP: device, total, used, available, capacity, mounted on. A device's name may hold
// spaces, so the figures are found by the "%" behind them.
func parseDF(out []byte) (total, free int64) {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if len(lines) < 2 {
		return -1, -1
	}
	fields := strings.Fields(string(lines[len(lines)-1]))
	for i := 3; i < len(fields); i++ {
		if !strings.HasSuffix(fields[i], "%") {
			continue
		}
		t, err1 := strconv.ParseInt(fields[i-3], 10, 64)
		f, err2 := strconv.ParseInt(fields[i-1], 10, 64)
		if err1 == nil && err2 == nil && t >= 0 && t <= math.MaxInt64>>10 && f <= math.MaxInt64>>10 {
			return t << 10, max(f, 0) << 10
		}
	}
	return -1, -1
}
