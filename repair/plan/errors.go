package plan

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dovemend/repair/store"
)

// These errors can be branched on.
var (
	// ErrWouldLoseData: the remedy costs something the user has not accepted by name. See [WouldLoseError].
	ErrWouldLoseData = errors.New("would lose data")
	// ErrNotConfirmed: a mailbox would be cleared that the user has not confirmed by name. See [ConfirmError].
	ErrNotConfirmed = errors.New("not confirmed")
	// ErrNoCopy: there is no verified copy of something the plan would change. See [NoCopyError].
	ErrNoCopy = errors.New("no verified copy")
	// ErrInTheWay: something stands where a file must come back to, and cannot be moved away. See [InTheWayError].
	ErrInTheWay = errors.New("in the way")
)

// WouldLoseError lists what the user has not accepted. It is an [ErrWouldLoseData]; the plan is returned with it.
type WouldLoseError struct{ Costs []Cost }

// Error names each loss, and what to say to accept them.
func (e *WouldLoseError) Error() string {
	var texts []string
	for i, c := range e.Costs {
		if i == 8 {
			texts = append(texts, fmt.Sprintf("and %d more", len(e.Costs)-i))
			break
		}
		texts = append(texts, fmt.Sprintf("in %s %s", safe(c.Mailbox), c.Text))
	}
	return fmt.Sprintf("would lose data: %s (to accept: --accept-loss %s)", strings.Join(texts, "; "), e.Accept())
}

// Accept is what --accept-loss would have to be given besides.
func (e *WouldLoseError) Accept() string {
	var names []string
	for _, l := range Losses() {
		if slices.ContainsFunc(e.Costs, func(c Cost) bool { return c.Loss == l }) {
			names = append(names, string(l))
		}
	}
	return strings.Join(names, ",")
}

// Is makes a WouldLoseError an [ErrWouldLoseData].
func (e *WouldLoseError) Is(target error) bool { return target == ErrWouldLoseData }

// ConfirmError names the mailboxes that must be confirmed. It is an [ErrNotConfirmed] and an [ErrWouldLoseData].
type ConfirmError struct{ Mailboxes []string }

// Error says what to type.
func (e *ConfirmError) Error() string {
	var args []string
	for _, m := range e.Mailboxes {
		args = append(args, "--confirm "+strconv.Quote(m))
	}
	return "clearing a mailbox must be confirmed by its name: " + strings.Join(args, " ")
}

// Is makes a ConfirmError an [ErrNotConfirmed] and an [ErrWouldLoseData].
func (e *ConfirmError) Is(target error) bool {
	return target == ErrNotConfirmed || target == ErrWouldLoseData
}

// NoCopyError says which file has no verified copy, and why. It is an [ErrNoCopy].
type NoCopyError struct {
	Path store.RelPath
	Why  string
}

// Error names the file.
func (e *NoCopyError) Error() string {
	return fmt.Sprintf("no verified copy of %s: %s", safe(string(e.Path)), e.Why)
}

// Is makes a NoCopyError an [ErrNoCopy].
func (e *NoCopyError) Is(target error) bool { return target == ErrNoCopy }

// InTheWayError names what stands in the way of an undo. It is an [ErrInTheWay].
type InTheWayError struct {
	Path store.RelPath
	What string // "a symbolic link", "a directory"
}

// Error names the path.
func (e *InTheWayError) Error() string {
	return fmt.Sprintf("%s: %s stands where the file must come back to; move it away by hand", safe(string(e.Path)), e.What)
}

// Is makes an InTheWayError an [ErrInTheWay].
func (e *InTheWayError) Is(target error) bool { return target == ErrInTheWay }

// safe makes text from the host fit to print: as it is where every rune of it is printable, else quoted.
func safe(s string) string {
	if q := strconv.Quote(s); q != `"`+s+`"` {
		return q
	}
	return s
}
