package rundir

import "errors"

// Listed is one run as [List] finds it.
type Listed struct {
	ID   string
	Path string
	Meta Meta
	Err  error // run.json cannot be read; Meta is zero then
}

// List gives all runs, newest first. A folder whose run.json is damaged is listed with its error; a state directory
// that does not exist holds no runs.
func List(state string) ([]Listed, error) {
	runs, err := openRuns(state, false)
	if errors.Is(err, ErrNoRun) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer runs.Close()
	ids, err := runIDs(runs)
	if err != nil {
		return nil, err
	}
	var all []Listed
	for _, id := range ids {
		l := Listed{ID: id}
		d, err := openDir(state, runs, id)
		if err != nil {
			l.Err = err
			all = append(all, l)
			continue
		}
		l.Path = d.Path()
		if l.Err = d.load(); l.Err == nil {
			l.Meta = d.Meta()
		}
		if err := d.Close(); err != nil && l.Err == nil {
			l.Err = err
		}
		all = append(all, l)
	}
	return all, nil
}

// Snapshots gives the runs on the account with this key (see [Meta.Key]) whose snapshot is complete, newest first: what an
// incremental backup builds on.
func Snapshots(state, key string) ([]Listed, error) {
	all, err := List(state)
	if err != nil {
		return nil, err
	}
	var fit []Listed
	for _, l := range all {
		if l.Err == nil && l.Meta.HasSnapshot() && l.Meta.Key() == key {
			fit = append(fit, l)
		}
	}
	return fit, nil
}
