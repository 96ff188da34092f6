package remote

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// noHashTool is the error of a host that cannot compute SHA-256: errors.Is finds ErrNoShell and errors.ErrUnsupported.
type noHashTool struct{}

func (noHashTool) Error() string   { return "the host has no tool for SHA-256" }
func (noHashTool) Unwrap() []error { return []error{ErrNoShell, errors.ErrUnsupported} }

// Sums has the host compute the SHA-256 of files named relative to dir, an absolute path. yield is called once for each,
// from one goroutine at a time but in no certain order, with its index in rel; an error of yield's ends the work and is returned. A file
// that is not there is yielded with an error wrapping fs.ErrNotExist, one that is no regular file (a symbolic link is
// none) with one wrapping fs.ErrInvalid. Where the host has no tool the error wraps [ErrNoShell] and
// [errors.ErrUnsupported]. A lost connection is made anew once, and the work goes on.
func (h *Host) Sums(ctx context.Context, dir string, rel []string, yield func(i int, sum [32]byte, err error) error) error {
	tool, ok := hashTools[h.Info().HashTool]
	if !ok {
		return noHashTool{}
	}
	if !path.IsAbs(dir) || !validRemote(dir) {
		return &fs.PathError{Op: "sum", Path: dir, Err: fs.ErrInvalid}
	}
	s := &summing{host: h, ctx: ctx, dir: path.Clean(dir), rel: rel, tool: tool, yield: yield, done: make([]bool, len(rel))}
	for i, name := range rel {
		if _, err := remotePath("sum", name); err != nil || name == "." {
			if err := s.give(i, [32]byte{}, &fs.PathError{Op: "sum", Path: name, Err: fs.ErrInvalid}); err != nil {
				return err
			}
		}
	}
	if err := h.reading(ctx, s.many); err != nil {
		return s.error(err)
	}
	if err := h.reading(ctx, s.single); err != nil {
		return s.error(err)
	}
	return nil
}

// hashTools are the commands for files named in arguments, and for standard input.
var hashTools = map[string]struct{ files, input string }{
	"sha256sum":     {"sha256sum", "sha256sum"},
	"shasum -a 256": {"shasum -a 256", "shasum -a 256"},
	"sha256 -q":     {"sha256 -r", "sha256 -q"},
	"openssl":       {"openssl dgst -sha256 -r", "openssl dgst -sha256 -r"},
}

// Prefix is the beginning of a file.
type Prefix struct {
	Name string // relative to the directory
	Size int64  // bytes
}

// PrefixSums is [Host.Sums] of the beginnings of files: yield gets the SHA-256 of the first Size bytes. One that is shorter is
// yielded with the sum of what there is.
func (h *Host) PrefixSums(ctx context.Context, dir string, files []Prefix, yield func(i int, sum [32]byte, err error) error) error {
	tool, ok := hashTools[h.Info().HashTool]
	if !ok {
		return noHashTool{}
	}
	if !path.IsAbs(dir) || !validRemote(dir) {
		return &fs.PathError{Op: "sum", Path: dir, Err: fs.ErrInvalid}
	}
	s := &summing{host: h, ctx: ctx, dir: path.Clean(dir), tool: tool, yield: yield, done: make([]bool, len(files))}
	for i, f := range files {
		s.rel, s.sizes = append(s.rel, f.Name), append(s.sizes, f.Size)
		if _, err := remotePath("sum", f.Name); err != nil || f.Name == "." || f.Size < 0 {
			if err := s.give(i, [32]byte{}, &fs.PathError{Op: "sum", Path: f.Name, Err: fs.ErrInvalid}); err != nil {
				return err
			}
		}
	}
	if err := h.reading(ctx, s.single); err != nil {
		return s.error(err)
	}
	return nil
}

// summing is one call of Sums in progress.
type summing struct {
	host  *Host
	ctx   context.Context
	dir   string
	rel   []string
	sizes []int64 // of the beginnings that are wanted; nil for whole files
	tool  struct{ files, input string }
	first string // a command, ended by a semicolon, for the files named in arguments, before they are summed many at a time
	yield func(int, [32]byte, error) error
	done  []bool // given to yield
	stop  error  // what yield returned
}

func (s *summing) give(i int, sum [32]byte, err error) error {
	s.done[i] = true
	s.stop = s.yield(i, sum, err)
	return s.stop
}

func (s *summing) error(err error) error {
	if s.stop != nil {
		return s.stop
	}
	var exit *ExitError
	if errors.As(err, &exit) {
		if _, statErr := s.host.FS(s.ctx).Stat(strings.TrimPrefix(s.dir, "/")); statErr != nil {
			return statErr
		}
	}
	return fmt.Errorf("sum files in %s: %w", Safe(s.dir), err)
}

// plainName says whether every tool prints the name as it is. GNU's escape backslash, newline and carriage return;
// busybox's do not.
func plainName(name string) bool { return !strings.ContainsAny(name, "\\\n\r") }

// xargsScript reads names, each ended by NUL, and hands up to 500 of them at a time to the tool. A pipe or device in the place of a file is
// passed over.
const xargsScript = `cd %s || exit 1
LC_ALL=C; export LC_ALL
xargs -0 -n 500 sh -c 'odd=; for f; do if [ ! -f "$f" ] || [ -h "$f" ]; then odd=1; fi; done
if [ -z "$odd" ]; then %[3]s exec %[2]s "$@" </dev/null; fi
for f; do if [ -f "$f" ] && [ ! -h "$f" ]; then %[2]s "$f" </dev/null; fi; done' sh
:`

// manyScript does the same where there is no xargs for it, with names one per line, up to 256 of them, or 16 KiB, at a time. A shell reads a
// pipe byte by byte.
const manyScript = `cd %s || exit 1
LC_ALL=C; export LC_ALL
n=0; b=0; set --
while IFS= read -r f; do
	if [ -f "./$f" ] && [ ! -h "./$f" ]; then
		set -- "$@" "./$f"
		n=$((n+1)); b=$((b+${#f}))
		if [ "$n" -ge 256 ] || [ "$b" -ge 16384 ]; then %[2]s "$@" </dev/null; set --; n=0; b=0; fi
	fi
done
if [ "$n" -gt 0 ]; then %[2]s "$@" </dev/null; fi
:`

// many sums the files with plain names, many to one process. What it gets no answer for is left to single.
func (s *summing) many(l *link) error {
	where := map[string][]int{}
	for i, name := range s.rel {
		if !s.done[i] && plainName(name) {
			where[name] = append(where[name], i)
		}
	}
	if len(where) == 0 {
		return nil
	}
	script, before, after := manyScript, "", "\n"
	if s.host.bulk.xargs {
		script, before, after = xargsScript, "./", "\x00"
	}
	args := []any{quote(s.dir), s.tool.files, s.first}
	if !s.host.bulk.xargs {
		args = args[:2]
	}
	return l.stream(s.ctx, fmt.Sprintf(script, args...), func(w *bufio.Writer) error {
		for name := range where {
			w.WriteString(before)
			w.WriteString(name)
			if _, err := w.WriteString(after); err != nil {
				return err
			}
		}
		return nil
	}, func(line string) error {
		sum, rest, ok := cutSum(line)
		if !ok {
			return nil
		}
		_, name, ok := strings.Cut(rest, "./")
		if !ok {
			return nil
		}
		for _, i := range where[name] {
			if s.done[i] {
				continue
			}
			if err := s.give(i, sum, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// single sums what is left by itself: files with names the tools may print escaped, and those many got no answer for.
// What it cannot sum either is looked at over SFTP, to say why.
func (s *summing) single(l *link) error {
	var todo []int
	for i := range s.rel {
		if !s.done[i] {
			todo = append(todo, i)
		}
	}
	const perScript = 16 << 10 // a byte can take five on the line
	for len(todo) > 0 {
		var script strings.Builder
		input := s.tool.input + ` <"$2"`
		if s.sizes != nil {
			input = `head -c "$3" <"$2" | ` + s.tool.input
		}
		fmt.Fprintf(&script, "cd %s || exit 1\nt() { printf '%%s ' \"$1\"; if [ -f \"$2\" ] && [ ! -h \"$2\" ]; then %s || echo; else echo; fi; }\n", quote(s.dir), input)
		var part []int
		for len(todo) > 0 && (len(part) == 0 || script.Len()+len(s.rel[todo[0]]) < perScript) {
			fmt.Fprintf(&script, "t %d ./%s", todo[0], quote(s.rel[todo[0]]))
			if s.sizes != nil {
				fmt.Fprintf(&script, " %d", s.sizes[todo[0]])
			}
			script.WriteByte('\n')
			part, todo = append(part, todo[0]), todo[1:]
		}
		script.WriteString(":")
		err := l.stream(s.ctx, script.String(), nil, func(line string) error {
			var i int
			if _, err := fmt.Sscanf(line, "%d ", &i); err != nil || i < 0 || i >= len(s.rel) || s.done[i] {
				return nil
			}
			_, rest, _ := strings.Cut(line, " ")
			if sum, _, ok := cutSum(rest); ok {
				return s.give(i, sum, nil)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, i := range part {
			if s.done[i] {
				continue
			}
			why, err := s.why(s.rel[i])
			if err != nil {
				return err
			}
			if err := s.give(i, [32]byte{}, why); err != nil {
				return err
			}
		}
	}
	return nil
}

// why looks at a file that could not be summed.
func (s *summing) why(name string) (why, err error) {
	info, err := s.host.FS(s.ctx).Lstat(path.Join(s.dir, name)[1:])
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission):
		return err, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return &fs.PathError{Op: "sum", Path: name, Err: fmt.Errorf("%s: %w", kind(info.Mode()), fs.ErrInvalid)}, nil
	}
	return &fs.PathError{Op: "sum", Path: name, Err: errors.New("the host cannot read it")}, nil
}

// cutSum takes a SHA-256 in hexadecimal off the front of a line.
func cutSum(line string) (sum [32]byte, rest string, ok bool) {
	if len(line) < 64 {
		return sum, "", false
	}
	n, err := hex.Decode(sum[:], []byte(line[:64]))
	return sum, line[64:], err == nil && n == 32
}

// stream runs a script, writes to it and takes its lines as they come.
func (l *link) stream(ctx context.Context, script string, write func(*bufio.Writer) error, line func(string) error) error {
	c, err := l.command(ctx, script, false)
	if err != nil {
		return err
	}
	defer c.stop()
	c.keepErrors()
	go func() {
		defer c.stdin.Close()
		if write != nil {
			w := bufio.NewWriterSize(c.stdin, packet)
			if write(w) == nil {
				w.Flush()
			}
		}
	}()
	if err := c.skipNoise(ctx); err != nil {
		return err
	}
	lines := bufio.NewScanner(c.stdout)
	lines.Buffer(make([]byte, channelRead), channelRead)
	for lines.Scan() {
		if err := line(lines.Text()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return c.end(c.wait())
}
