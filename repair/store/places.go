package store

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
)

// Places are the directories to search for a login's mail: its home, and where hosts are known to keep mail outside of
// it. A "*" in one of them stands for any text within one component; most of them will not exist.
func Places(home HostPath, user string) []HostPath {
	places := []HostPath{home}
	if user == "" || strings.ContainsAny(user, "/*?[]\\\x00") || user == "." || user == ".." {
		return places
	}
	for _, p := range []string{
		"/userdata*/" + user, "/home*/" + user, "/data*/" + user, "/vol*/" + user, "/mnt/*/" + user, "/srv/*/" + user,
		"/var/vmail/" + user, "/var/mail/" + user, "/var/spool/mail/" + user,
	} {
		if HostPath(p) != home {
			places = append(places, HostPath(p))
		}
	}
	return places
}

// expand replaces the components of a path that hold a "*" by what is there, at most 64 paths.
func (r *reader) expand(ctx context.Context, p HostPath) ([]HostPath, error) {
	if !strings.Contains(string(p), "*") {
		return []HostPath{p}, nil
	}
	found := []string{"."}
	for c := range strings.SplitSeq(p.inFS(), "/") {
		var next []string
		for _, dir := range found {
			if !strings.Contains(c, "*") {
				next = append(next, path.Join(dir, c))
				continue
			}
			entries, err := r.readDir(ctx, dir)
			if err != nil {
				if !r.lasting(ctx, err) {
					return nil, err
				}
				continue
			}
			for _, e := range entries {
				if ok, _ := path.Match(c, e.Name()); ok && (e.IsDir() || e.Type()&fs.ModeSymlink != 0) && len(next) < 64 {
					next = append(next, path.Join(dir, e.Name()))
				}
			}
		}
		found = next
	}
	var out []HostPath
	for _, name := range found {
		if _, err := fs.Lstat(r.fsys, name); err == nil || !errors.Is(err, fs.ErrNotExist) {
			out = append(out, fromFS(name))
		}
	}
	return out, nil
}
