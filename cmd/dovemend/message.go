package main

import (
	"context"
	"errors"
	"strings"

	"dovemend/cmd/internal/ui"
	"dovemend/remote"
	"dovemend/repair"
)

// unseenError: the plan was done, but the look at what came of it did not come to its end.
type unseenError struct {
	run, of string // of is set where the run takes another one back
	err     error
}

func (e *unseenError) Error() string {
	what := "the repair is done"
	if e.of != "" {
		what = "run " + e.of + " is taken back"
	}
	return what + ", but the result could not be looked at: " + e.err.Error()
}

func (e *unseenError) Unwrap() error { return e.err }

// messageOf is an error as it is shown: joined errors on lines of their own; of a stop by the person, and of a lost
// connection, how far it had come and not at which of many calls it was noticed.
func messageOf(err error) string {
	if errors.Is(err, ui.ErrAborted) {
		return ui.ErrAborted.Error()
	}
	text := strings.TrimSpace(err.Error())
	why := ""
	switch {
	case errors.Is(err, context.Canceled):
		why = "interrupted"
	case errors.Is(err, remote.ErrDisconnected):
		i := strings.Index(text, remote.ErrDisconnected.Error())
		if i < 0 {
			return text
		}
		why = text[i:]
	default:
		return text
	}
	var stopped *repair.StoppedError
	var unseen *unseenError
	switch {
	case errors.As(err, &stopped):
		return stopped.Far() + ": " + why
	case errors.As(err, &unseen):
		return (&unseenError{run: unseen.run, of: unseen.of, err: errors.New(why)}).Error()
	case errors.Is(err, repair.ErrUnchanged):
		return why + "; nothing was changed"
	}
	return why
}
