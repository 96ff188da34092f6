package remote

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"time"
)

// lookLeast is from how many files of one directory on a list of it is worth its command.
const lookLeast = 256

// lookScript lists what lies directly in a directory, once it is proven that no symbolic link leads there.
const lookScript = `cd %[1]s && [ "$(pwd -P)" = %[1]s ] || exit 1
LC_ALL=C; export LC_ALL
exec find . -ignore_readdir_race -maxdepth 1 -printf %[2]s`

// listedView answers the looks at files that lie, with many others, in one directory from a list of it.
type listedView struct {
	viewer
	at map[string]seen
}

func (v *listedView) item(ctx context.Context, p string) seen {
	if at, ok := v.at[p]; ok {
		return at
	}
	return v.viewer.item(ctx, p)
}

// listed lists those directories that hold many of the files, where the host can. It is for the first look at files, which is
// followed by another, at each by itself, before anything is done to them.
func (r *Root) listed(ctx context.Context, view viewer, rels []string) viewer {
	if len(rels) < lookLeast || !r.canList() {
		return view
	}
	in := map[string][]string{}
	for _, rel := range rels {
		in[path.Dir(rel)] = append(in[path.Dir(rel)], rel)
	}
	v := &listedView{viewer: view, at: map[string]seen{}}
	for dir, list := range in {
		if abs := r.abs(dir); len(list) >= lookLeast && abs == r.dir+"/"+dir {
			if err := r.listDir(ctx, abs, list, v.at); err != nil {
				r.host.log.Info("files are looked at one by one", "reason", err)
			}
		}
	}
	return v
}

// canList says whether the host has what a listedView needs.
func (r *Root) canList() bool {
	if r.host == nil || r.link.lost() != nil {
		return false
	}
	b := &r.host.bulk
	return r.host.Info().Shell && b.sameHome && b.find == "gnu" && !b.noFind.Load() && r.host.cfg.Engine != EngineSFTP
}

// listDir adds to at what is known of these files after a list of their directory, also that they are not there.
func (r *Root) listDir(ctx context.Context, dir string, rels []string, at map[string]seen) error {
	wanted := make(map[string]bool, len(rels))
	for _, rel := range rels {
		wanted[path.Base(rel)] = true
	}
	found := make(map[string]seen, len(rels))
	err := r.link.list(ctx, fmt.Sprintf(lookScript, quote(dir), quote(findFormat)), func(_ string, e Listed) error {
		if wanted[e.Path] { // a time over SFTP has whole seconds
			found[e.Path] = seen{kind: e.Type, mode: e.Mode, uid: e.Stat.UID, size: e.Size, mtime: time.Unix(e.MTime.Unix(), 0)}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for name := range wanted {
		s, ok := found[name]
		p := path.Join(dir, name)
		if !ok {
			s = seen{err: fsError("lstat", p, fs.ErrNotExist)}
		}
		at[p] = s
	}
	return nil
}
