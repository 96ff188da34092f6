package repair

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"dovemend/repair/apply"
	"dovemend/repair/plan"
	"dovemend/repair/rebuild"
	"dovemend/repair/rundir"
)

// rebuilt makes the files of a rebuild in the run's folder, from the copy as it was last examined. They are made once.
func (r *Run) rebuilt(ctx context.Context, force bool) (*rebuild.Work, error) {
	if r.work != nil && r.forced == force {
		return r.work, nil
	}
	out, err := r.blobs()
	if err != nil {
		return nil, err
	}
	w, err := rebuild.Build(ctx, rebuild.Input{FS: r.snap.FS(), Account: r.acct, Reports: r.reports, Shared: r.shared, Now: time.Now(), Force: force, Out: out})
	if err = errors.Join(err, out.Close()); err != nil {
		return nil, err
	}
	r.work, r.forced = w, force
	return w, nil
}

// blobs opens the folder for what the run makes, empty.
func (r *Run) blobs() (*blobs, error) {
	if err := r.dir.Root().RemoveAll(rundir.BlobsDir); err != nil {
		return nil, fmt.Errorf("make room for new files: %w", err)
	}
	if err := r.dir.Root().Mkdir(rundir.BlobsDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make room for new files: %w", err)
	}
	root, err := r.dir.BlobsRoot()
	if err != nil {
		return nil, err
	}
	return &blobs{root}, nil
}

// blobs is a [rebuild.Output]: each file is on the disk once it is closed.
type blobs struct{ *os.Root }

func (b *blobs) Create(name string) (io.WriteCloser, error) {
	f, err := b.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return synced{f}, nil
}

type synced struct{ *os.File }

func (s synced) Close() error { return errors.Join(s.Sync(), s.File.Close()) }

// hasPuts reports whether a plan puts files that the run itself has made.
func hasPuts(p *plan.Plan) bool {
	for _, s := range p.Steps {
		if p.Of == "" && s.Op == plan.OpPut {
			return true
		}
	}
	return false
}

// openBlobs lets an executor read what the run has made.
func (r *Run) openBlobs(e *apply.Executor) (func(), error) {
	root, err := r.dir.BlobsRoot()
	if err != nil {
		return nil, err
	}
	e.Open = func(_ context.Context, s plan.Step) (io.ReadCloser, error) {
		return root.Open(path.Clean(string(s.Source)))
	}
	return func() { _ = root.Close() }, nil
}

// choose picks the remedy of "auto": the one that is recommended. Where nothing above a note was found, that is a rebuild with
// nothing to do.
func (r *Run) choose(ctx context.Context) (plan.Remedy, string, error) {
	if w := together(r.reports, r.shared); !w.found {
		return plan.Rebuild, "nothing wrong was found: nothing is done", nil
	}
	offers, err := r.Offers(ctx)
	if err != nil {
		return "", "", err
	}
	for _, o := range offers {
		if o.Recommended {
			return o.Remedy, o.Why, nil
		}
	}
	return plan.Rebuild, "nothing of what was found can be mended by a remedy; what to do is told with each finding", nil
}
