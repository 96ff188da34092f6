package repair

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"dovemend/remote"
	"dovemend/repair/rundir"
	"dovemend/repair/watch"
)

// watchFolder is where states are kept beneath the state directory, a file for each account.
const watchFolder = "watch"

// lookLimit is how long one look may take. Whatever hangs for longer is an alarm by itself.
const lookLimit = 20 * time.Minute

// WatchOptions are what watching is told besides the Options. Mailboxes named there are watched; none named: all.
type WatchOptions struct {
	Policy watch.Policy
	Now    bool          // look also where an earlier failure says to wait
	Pinger *watch.Pinger // may be nil
}

// Watched is what one look came to.
type Watched struct {
	watch.Verdict
	At          time.Time
	Looked      bool      // something was looked at
	Waits       bool      // not, since earlier looks failed
	Busy        string    // not, since another dovemend works on the account; who
	Until       time.Time // the next look is not to be before; zero: whenever
	IMAP        string    // how it was looked at over IMAP; "": not at all
	IMAPNot     string    // why not
	Connections int       // over IMAP, one after the other
	Seen        watch.Observation
	Err         error // why the account could not be reached; one of the alarms tells it in words
	Pinged      bool  // a monitor was to be told
	PingErr     error // and could not be

	left string // which mailboxes were not opened, for want of their files; "" for none
}

// Healthy reports whether there is no alarm.
func (w *Watched) Healthy() bool { return len(w.Alarms) == 0 }

// Watcher looks at an account, compares with what it remembers, and tells a monitor.
type Watcher struct {
	o     Options
	w     WatchOptions
	rep   Reporter
	log   *slog.Logger
	now   func() time.Time
	most  int           // mailboxes whose files are looked at
	limit time.Duration // how long a look may take
}

// NewWatcher makes a watcher. Without a host, Options.IMAP must say where the server is and who logs in.
func NewWatcher(o Options, w WatchOptions, rep Reporter) *Watcher {
	if rep == nil {
		rep = Silent{}
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Watcher{o: o, w: w, rep: rep, log: log, now: time.Now, most: watch.MaxMailboxes, limit: lookLimit}
}

// Account names what is watched, for people.
func (w *Watcher) Account() string {
	name := w.o.Account
	if name == "" {
		name = w.o.IMAP.User
	}
	at := w.o.Remote.Target
	if at == "" {
		at = w.o.IMAP.Addr
	}
	if name == "" {
		return at
	}
	return name + " at " + at
}

// key names the account's state and its lock. It is known before anything is reached.
func (w *Watcher) key() string {
	h := sha256.New()
	parts := []string{"dovemend watch 1", strings.ToLower(w.o.Remote.Target), strings.ToLower(w.o.Account), string(w.o.MailRoot), "", ""}
	if w.o.Remote.Target == "" {
		parts[4], parts[5] = strings.ToLower(w.o.IMAP.Addr), strings.ToLower(w.o.IMAP.User)
	}
	for _, s := range parts {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// StateFile is where the state is kept, relative to the state directory.
func (w *Watcher) StateFile() string { return watchFolder + "/" + w.key() + ".json" }

// Look looks once. While it does, no other look at the same account can begin on this machine: [rundir.ErrLocked]. What is wrong with
// the account is no error but an alarm; an error means that nothing could be judged: the state cannot be read or written, ctx has ended,
// or it is not clear which account is meant. The monitor is told of an error too, but not of the first two.
func (w *Watcher) Look(ctx context.Context) (*Watched, error) {
	release, err := rundir.Lock(w.o.StateDir, w.key(), "")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err := release(); err != nil {
			w.log.Warn("let go of the watch's lock", "error", err)
		}
	}()
	state, err := w.load()
	if err != nil {
		return nil, err
	}
	x := &Watched{At: w.now(), Seen: watch.Observation{Processes: -1}}
	for _, name := range w.o.Mailboxes {
		x.Seen.Asked = append(x.Seen.Asked, askedName(name))
	}
	if w.w.Now || w.w.Policy.Accept || state.Wait.Over(x.At) {
		w.ping(ctx, x, func(p *watch.Pinger) error { return p.Start(ctx) })
		err = w.observeInTime(ctx, state, x)
	} else {
		x.Waits, x.Seen.Waited = true, true
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		w.ping(ctx, x, func(p *watch.Pinger) error {
			return p.Fail(ctx, "the account could not be looked at: "+remote.Safe(err.Error()))
		})
		return nil, err
	}
	x.Seen.At = x.At
	x.Verdict = watch.Judge(state, x.Seen, w.w.Policy)
	if x.left != "" {
		x.Notes = append(x.Notes, x.left)
	}
	x.Until = x.State.Wait.Until
	if err := w.save(x.State); err != nil {
		return nil, err
	}
	w.tell(ctx, x)
	return x, nil
}

// observeInTime observes for as long as a look may take. What hangs for longer counts as a look that failed.
func (w *Watcher) observeInTime(ctx context.Context, state *watch.State, x *Watched) error {
	within, cancel := context.WithTimeout(ctx, w.limit)
	defer cancel()
	err := w.observe(within, state, x)
	if within.Err() == nil || ctx.Err() != nil || err == nil && x.Seen.Failure == nil {
		return err
	}
	x.Err = fmt.Errorf("the look was not at its end after %v", w.limit)
	if err != nil {
		x.Err = fmt.Errorf("%w: %w", x.Err, err)
	}
	x.Seen.Host = w.o.Remote.Target != ""
	x.Seen.Failure = &watch.Failure{Class: "look-hangs", Text: remote.Safe(x.Err.Error()), Meaning: "The host or the server took the connection and then did not answer, or answers very slowly. That says nothing about the mailbox.",
		Next: "Wait; if it stays, look whether ssh and a mail program get answers, and ask the hosting company about the host's load and its file system. Of an account with very many mailboxes watch some, with --mailbox."}
	return nil
}

// load reads the state. One that is damaged is set aside, and everything is learned anew: that must be told, because a
// loss since the last look cannot be seen any more.
func (w *Watcher) load() (*watch.State, error) {
	name := w.key() + ".json"
	b, err := rundir.ReadKept(w.o.StateDir, watchFolder, name, watch.MaxState)
	if errors.Is(err, fs.ErrNotExist) {
		return watch.New(w.Account(), w.now()), nil
	}
	if err != nil {
		return nil, err
	}
	s, err := watch.Decode(b)
	switch {
	case errors.Is(err, watch.ErrDamaged):
		if aside := rundir.SetAsideKept(w.o.StateDir, watchFolder, name); aside != nil {
			return nil, aside
		}
		w.rep.Warn(fmt.Sprintf("what was remembered of %s cannot be read (%v) and was set aside as %s.damaged; this look learns anew, and what was lost since the last one is not seen",
			remote.Safe(w.Account()), err, w.StateFile()))
		return watch.New(w.Account(), w.now()), nil
	case err != nil:
		return nil, fmt.Errorf("read what is remembered of the account (%s): %w", w.StateFile(), err)
	}
	return s, nil
}

func (w *Watcher) save(s *watch.State) error {
	b, err := s.Encode()
	if err != nil {
		return err
	}
	return rundir.WriteKept(w.o.StateDir, watchFolder, w.key()+".json", b)
}

// ping tells the monitor something. That it cannot be told changes nothing about the look; the first failure is kept.
func (w *Watcher) ping(ctx context.Context, x *Watched, send func(*watch.Pinger) error) {
	if w.w.Pinger == nil || ctx.Err() != nil {
		return
	}
	x.Pinged = true
	if err := send(w.w.Pinger); err != nil && ctx.Err() == nil && x.PingErr == nil {
		x.PingErr = err
		w.rep.Warn("the monitor could not be told: " + err.Error())
	}
}

// tell tells the monitor what the look came to.
func (w *Watcher) tell(ctx context.Context, x *Watched) {
	w.ping(ctx, x, func(p *watch.Pinger) error {
		switch {
		case x.Healthy() && x.First:
			return p.Success(ctx, x.Summary()+"; this first look only learned")
		case x.Healthy():
			return p.Success(ctx, x.Summary())
		}
		return p.Fail(ctx, x.Reason())
	})
}

// Summary says in one line what was seen.
func (x *Watched) Summary() string {
	boxes, messages := 0, 0
	for _, m := range x.Seen.Mailboxes {
		if m.Looked {
			boxes++
			messages += m.Numbers.Messages
		}
	}
	s := counted(boxes, "mailbox", "mailboxes") + ", " + counted(messages, "message", "messages")
	switch {
	case x.Busy != "":
		return "not looked at: another dovemend works on this account"
	case x.Waits:
		return "not looked at before " + x.Until.Local().Format("15:04:05") + ", since earlier looks failed"
	case x.IMAP == "" && len(x.Seen.Mailboxes) == 0:
		return "nothing could be looked at"
	case x.IMAP == "":
		s = "looked at the files of " + counted(len(x.Seen.Mailboxes), "mailbox", "mailboxes") + ", not over IMAP"
	}
	return s
}

// Headline names the weightiest alarm in one line, and counts the others.
func (x *Watched) Headline() string {
	if len(x.Alarms) == 0 {
		return ""
	}
	a := x.Alarms[0]
	s := a.Text
	if a.Mailbox != "" {
		s = a.Mailbox + ": " + s
	}
	if n := len(x.Alarms) - 1; n > 0 {
		s += " (and " + counted(n, "more alarm", "more alarms") + ")"
	}
	return s
}

// Reason says in words what is wrong, the weightiest first.
func (x *Watched) Reason() string {
	var b strings.Builder
	for _, a := range x.Alarms {
		if a.Mailbox != "" {
			b.WriteString(a.Mailbox + ": ")
		}
		fmt.Fprintf(&b, "%s [%s, since %s]\n", a.Text, a.Kind, a.Since.Local().Format("2006-01-02 15:04"))
		for _, text := range append([]string{a.Meaning, a.Next}, a.Log...) {
			if text != "" {
				b.WriteString("  " + text + "\n")
			}
		}
	}
	b.WriteString(x.Summary() + "\n")
	return b.String()
}
