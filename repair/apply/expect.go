package apply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"

	"dovemend/repair/plan"
	"dovemend/repair/store"
)

// maxRehash is the size, in bytes, up to which an index file is read once more just before it goes: a file can change
// within one second and keep its size.
const maxRehash = 1 << 20

func (l Look) absent() bool { return errors.Is(l.Err, fs.ErrNotExist) }

// lookAt looks at the Path and the To of each step.
func (a *applying) lookAt(ctx context.Context, steps []plan.Step) (at, to []Look, err error) {
	paths := make([]store.RelPath, 0, 2*len(steps))
	for _, s := range steps {
		paths = append(paths, s.Path)
	}
	for _, s := range steps {
		if s.Op == plan.OpRename {
			paths = append(paths, s.To)
		}
	}
	looks := make([]Look, len(paths))
	for i := range looks {
		looks[i].Err = errors.New("not looked at")
	}
	if err := a.Host.Lstat(ctx, paths, func(i int, f Found, err error) { looks[i] = Look{f, err} }); err != nil {
		return nil, nil, a.refused(steps, err)
	}
	for i, l := range looks {
		if l.Err != nil && !l.absent() {
			return nil, nil, &StepError{Step: steps[i%len(steps)], Err: l.Err}
		}
	}
	at, to = looks[:len(steps)], make([]Look, len(steps))
	next := len(steps)
	for i, s := range steps {
		if s.Op == plan.OpRename {
			to[i] = looks[next]
			next++
		}
	}
	return at, to, nil
}

// matches reports why what was found is not what is expected, or "".
func matches(x plan.Expect, l Look) string {
	switch {
	case x.Absent && !l.absent():
		return "something is there that was not"
	case x.Absent:
		return ""
	case l.absent():
		return "it is no longer there"
	case l.Type != x.Type:
		return "it is of another type"
	case x.Type.IsDir():
		return ""
	case l.Size != x.Size:
		return fmt.Sprintf("its size was %d and is %d", x.Size, l.Size)
	case !x.MTime.IsZero() && l.MTime.Unix() != x.MTime.Unix():
		return "its time has changed"
	}
	return ""
}

func changed(s plan.Step, why string) error {
	return &StepError{Step: s, Err: fmt.Errorf("%s: %w", why, ErrChanged)}
}

// expect compares what the guard saw on the host with what each step wants to find.
func (a *applying) expect(ctx context.Context, todo []plan.Step, ready Prepared) error {
	for i, s := range todo {
		x := s.Expect
		if s.Op == plan.OpSetAttr {
			x.MTime = plan.Expect{}.MTime
		}
		if why := matches(x, ready.At[i]); why != "" {
			return changed(s, why)
		}
		if s.Op == plan.OpRename && !ready.To[i].absent() {
			return changed(s, "something stands where it is to go")
		}
	}
	if err := a.clear(ctx, todo); err != nil {
		return err
	}
	sums, err := a.sums(ctx, todo, rehash)
	if err != nil {
		return err
	}
	for i, s := range todo {
		if rehash(s) && sums[i] != s.Expect.SHA256 {
			return changed(s, "its bytes have changed")
		}
	}
	return nil
}

// lookAhead compares everything that is still to be taken away or moved with what each step wants to find, before the first
// of it is touched: bringing the new files may have taken long, and to stop here costs nothing.
func (a *applying) lookAhead(ctx context.Context, steps []plan.Step) error {
	made := map[store.RelPath]bool{} // by a step before
	var ahead []plan.Step
	for _, s := range steps {
		if (s.Op == plan.OpRemove || s.Op == plan.OpRename) && !made[s.Path] && s.Class != plan.ClassTemp && !a.r.Begun[s.Seq] && !a.r.Done[s.Seq] {
			s.To = "" // what stands there now may be on its way out
			ahead = append(ahead, s)
		}
		made[s.To] = true
	}
	if len(ahead) == 0 {
		return nil
	}
	paths := make([]store.RelPath, len(ahead))
	for i, s := range ahead {
		paths[i] = s.Path
	}
	var failed error
	fail := func(err error) {
		if failed == nil {
			failed = err
		}
	}
	err := a.Host.Lstat(ctx, paths, func(i int, f Found, err error) {
		l := Look{f, err}
		if err != nil && !l.absent() {
			fail(&StepError{Step: ahead[i], Err: err})
		} else if why := matches(ahead[i].Expect, l); why != "" {
			fail(changed(ahead[i], why))
		}
	})
	if err != nil {
		return a.refused(ahead, err)
	}
	if failed != nil {
		return failed
	}
	sums, err := a.sums(ctx, ahead, rehash)
	if err != nil {
		return err
	}
	for i, s := range ahead {
		if rehash(s) && sums[i] != s.Expect.SHA256 {
			return changed(s, "its bytes have changed")
		}
	}
	return nil
}

// clear looks at the places where nothing else may stand.
func (a *applying) clear(ctx context.Context, todo []plan.Step) error {
	for _, s := range todo {
		if len(s.Clear) == 0 {
			continue
		}
		var found error
		err := a.Host.Lstat(ctx, s.Clear, func(i int, _ Found, err error) {
			switch {
			case err == nil:
				found = changed(s, fmt.Sprintf("%q is there that was not: a mail process has woken up", s.Clear[i]))
			case !errors.Is(err, fs.ErrNotExist):
				found = &StepError{Step: s, Err: err}
			}
		})
		if err != nil {
			return a.refused([]plan.Step{s}, err)
		}
		if found != nil {
			return found
		}
	}
	return nil
}

// sums reads the files at the Path of those steps that want it.
func (a *applying) sums(ctx context.Context, steps []plan.Step, want func(plan.Step) bool) ([]string, error) {
	sums := make([]string, len(steps))
	var paths []store.RelPath
	var of []int
	for i, s := range steps {
		if want(s) {
			paths, of = append(paths, s.Path), append(of, i)
		}
	}
	if len(paths) == 0 {
		return sums, nil
	}
	var failed error
	err := a.Host.Sums(ctx, paths, func(i int, sum string, err error) {
		if err != nil && failed == nil {
			failed = &StepError{Step: steps[of[i]], Err: err}
		}
		sums[of[i]] = sum
	})
	if err != nil {
		return nil, a.refused(steps, err)
	}
	return sums, failed
}

func rehash(s plan.Step) bool {
	if s.Op != plan.OpRemove && s.Op != plan.OpRename || s.Expect.SHA256 == "" || s.Expect.Size > maxRehash {
		return false
	}
	return s.Class == plan.ClassCache || s.Class == plan.ClassIndex || s.Class == plan.ClassIndexFile
}

// madeAlready takes out of todo the directories that are there already, which is as good as made.
func (a *applying) madeAlready(ctx context.Context, todo []plan.Step) ([]plan.Step, error) {
	if todo[0].Op != plan.OpMkdir {
		return todo, nil
	}
	at, _, err := a.lookAt(ctx, todo)
	if err != nil {
		return nil, err
	}
	var rest []plan.Step
	for i, s := range todo {
		if at[i].absent() || !at[i].Type.IsDir() {
			rest = append(rest, s)
			continue
		}
		if err := a.j.write(record{Kind: kindDone, Step: s.Seq, Found: true}); err != nil {
			return nil, err
		}
		a.finished(s)
	}
	return rest, nil
}

// settle decides, by what is on the host, what came of steps that were begun and whose outcome is not known. It
// returns those that are still to do.
func (a *applying) settle(ctx context.Context, todo []plan.Step) ([]plan.Step, error) {
	var open, rest []plan.Step
	for _, s := range todo {
		if a.r.Begun[s.Seq] {
			open = append(open, s)
		} else {
			rest = append(rest, s)
		}
	}
	if len(open) == 0 {
		return todo, nil
	}
	at, to, err := a.lookAt(ctx, open)
	if err != nil {
		return nil, err
	}
	whole := map[int]bool{} // puts of which there is something that may be it
	for i, s := range open {
		whole[s.Seq] = s.Op == plan.OpPut && at[i].Err == nil && at[i].Type == 0 && at[i].Size == s.Size
	}
	sums, err := a.sums(ctx, open, func(s plan.Step) bool { return whole[s.Seq] })
	if err != nil {
		return nil, err
	}
	var records []record
	var done []plan.Step
	for i, s := range open {
		is, err := happened(s, at[i], to[i], sums[i])
		if err != nil {
			return nil, err
		}
		if is {
			records = append(records, record{Kind: kindDone, Step: s.Seq, Found: true})
			done = append(done, s)
		} else {
			rest = append(rest, s)
		}
	}
	if err := a.j.write(records...); err != nil {
		return nil, err
	}
	for _, s := range done {
		a.finished(s)
	}
	return rest, nil
}

// happened decides whether a step that was begun has been done. What fits neither before nor after is [ErrChanged].
func happened(s plan.Step, at, to Look, sum string) (bool, error) {
	switch s.Op {
	case plan.OpRemove, plan.OpRemoveDir:
		return at.absent(), nil
	case plan.OpMkdir:
		return !at.absent() && at.Type.IsDir(), nil
	case plan.OpRename:
		if !at.absent() || to.absent() {
			return false, nil // expect says whether it can be done
		}
		if why := matches(s.Expect, to); why != "" {
			return false, changed(s, "it is gone, and where it was to go "+why)
		}
		return true, nil
	case plan.OpPut:
		if at.absent() {
			return false, nil
		}
		if sum != s.SHA256 {
			return false, changed(s, "something else stands there")
		}
		return true, nil
	}
	return false, nil // set-attr is done again
}

// verifying reads the bytes of a put, and ends in an error instead of io.EOF where they are not the ones the plan names.
func verifying(r io.ReadCloser, s plan.Step) io.ReadCloser {
	return &verifier{ReadCloser: r, s: s, h: sha256.New()}
}

type verifier struct {
	io.ReadCloser
	s plan.Step
	h hash.Hash
	n int64
}

func (v *verifier) Read(b []byte) (int, error) {
	n, err := v.ReadCloser.Read(b)
	v.h.Write(b[:n])
	v.n += int64(n)
	if v.n > v.s.Size || err == io.EOF && (v.n != v.s.Size || hex.EncodeToString(v.h.Sum(nil)) != v.s.SHA256) {
		return n, errors.New("the copy in the snapshot is not what the plan names: it has changed on the local disk")
	}
	return n, err
}
