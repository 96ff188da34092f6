package remote

import (
	"context"
	"strings"
)

// await does a thing that cannot be interrupted and returns early when ctx or the connection ends; what it gives then
// is thrown away.
func await[T any](ctx context.Context, l *link, do func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	ch := make(chan result, 1)
	go func() {
		v, err := do()
		ch <- result{v, err}
	}()
	select {
	case r := <-ch:
		if r.err != nil {
			if lost := l.lost(); lost != nil {
				return none, lost
			}
		}
		return r.v, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	case <-l.done:
		return none, l.lost()
	}
}

// validRemote says whether p can be a path on a host at all.
func validRemote(p string) bool {
	return p != "" && len(p) <= 4096 && strings.IndexByte(p, 0) < 0
}
