package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dovemend/remote"
	"dovemend/remote/imap"
	"dovemend/repair/probe"
	"dovemend/repair/rundir"
	"dovemend/repair/store"
	"dovemend/repair/watch"
)

// Limits of one look over IMAP.
const (
	watchDials = 3    // connections made because one broke
	watchFlags = 5000 // messages of which each one's flags are asked for; of larger mailboxes STATUS counts what is read
	goodbye    = 5 * time.Second
)

// observe looks at the account: first, where there is a host, at processes and files, and then over IMAP at what is not evidently
// damaged. Its error is one of nothing to do with the account's health.
func (w *Watcher) observe(ctx context.Context, state *watch.State, x *Watched) error {
	o := &x.Seen
	o.Processes = -1
	seer := Seer{IMAP: w.o.IMAP, Log: w.log, Account: store.Account{Address: w.o.Account}}
	var found []stored
	if w.o.Remote.Target != "" {
		s, err := Connect(ctx, w.o, calm{w.rep})
		if err != nil {
			x.Err = err
			o.Failure, o.Host, o.Banned = hostFailure(err), true, errors.Is(err, remote.ErrAuth) || errors.Is(err, remote.ErrHostKey)
			return nil
		}
		defer s.Close()
		account, failure, err := w.account(ctx, s, state)
		if err != nil || failure != nil {
			o.Failure, o.Host = failure, true
			return err
		}
		release, busy, err := w.alone(s, account)
		if busy != "" || err != nil {
			x.Busy, o.Waited = busy, true
			return err
		}
		defer release()
		w.processes(ctx, s, x)
		if found, err = w.files(ctx, s, account, o); err != nil {
			x.Err = err
			o.Failure, o.Host = hostFailure(err), true
			return nil
		}
		seer.Host, seer.Account = s.host, account
	}
	x.Looked = true
	if w.o.IMAP.Off {
		x.IMAPNot = "that is switched off (--imap off)"
	} else if watch.StorageDamage(o.Storage) != "" {
		x.IMAPNot = "the storage is damaged, and a look would make Dovecot rebuild it"
	} else if err := w.lookIMAP(ctx, seer, state, found, x); err != nil {
		return err
	}
	for _, m := range found { // those of which the files alone tell
		name := m.name()
		if m.files != nil && w.asked(m.Mailbox) && (x.IMAP == "" || state.Damage(name, m.files, w.w.Policy.Accept) != "") &&
			!slices.ContainsFunc(o.Mailboxes, func(s watch.Seen) bool { return s.Name == name }) {
			o.Mailboxes = append(o.Mailboxes, watch.Seen{Name: name, Files: m.files})
		}
	}
	return nil
}

// calm passes on what a session warns of as something worth knowing: it would be the same at each look.
type calm struct{ Reporter }

// Warn tells it as what is worth knowing.
func (c calm) Warn(text string) { c.Info(text) }

// askedName is a mailbox's name as it was given, in the form of [naming.plain].
func askedName(name string) string {
	if strings.EqualFold(name, "INBOX") {
		return "INBOX"
	}
	return remote.Safe(name)
}

// asked says whether a mailbox is one of those that were named, or none was.
func (w *Watcher) asked(m store.Mailbox) bool {
	return len(w.o.Mailboxes) == 0 || slices.ContainsFunc(w.o.Mailboxes, func(name string) bool {
		return name == m.Name || name == m.Storage || strings.EqualFold(name, "INBOX") && m.Name == "INBOX"
	})
}

// alone takes the account's lock, so that no look disturbs a repair or a copy. busy says who has it.
func (w *Watcher) alone(s *Session, a store.Account) (release func() error, busy string, err error) {
	info := s.host.Info()
	key := rundir.Meta{HostKey: info.Fingerprint, Addr: info.Addr, MailRoot: a.Root}.Key()
	release, err = rundir.Lock(w.o.StateDir, key, "")
	if errors.Is(err, rundir.ErrLocked) {
		return nil, err.Error(), nil
	}
	return release, "", err
}

// lookIMAP looks over one connection at a time. A dbox mailbox whose files were not found is not opened: whether that would destroy it
// is not known.
func (w *Watcher) lookIMAP(ctx context.Context, seer Seer, state *watch.State, found []stored, x *Watched) error {
	o := &x.Seen
	w.rep.Stage("looking over IMAP")
	l, err := seer.Look(ctx)
	var none *NoLookError
	switch {
	case errors.As(err, &none) && none.Err == nil && seer.Host != nil:
		x.IMAPNot = none.Error()
		return nil
	case errors.As(err, &none) && none.Err == nil:
		return none
	case errors.As(err, &none):
		x.fail(none.Err)
		return nil
	case err != nil:
		return err
	}
	defer l.Close()
	x.IMAP = l.How
	g := &gaze{look: l, x: x, state: state, now: w.now(), force: w.w.Now, accept: w.w.Policy.Accept}
	defer g.close()
	list, err := g.list(ctx)
	if err != nil {
		x.fail(err)
		return ctx.Err()
	}
	o.ListKnown = true
	boxes := listedBoxes(list, found)
	byServer := map[string]string{}
	for _, m := range boxes {
		o.Listed = append(o.Listed, m.name)
		byServer[serverKey(m.server)] = m.name
	}
	o.Asked = nil
	for _, name := range w.o.Mailboxes {
		if asked := askedName(name); !slices.Contains(o.Listed, asked) {
			if server, ok := list.Resolve(name); ok && byServer[server] != "" {
				name = byServer[server]
			}
		}
		o.Asked = append(o.Asked, askedName(name))
	}
	dbox := seer.Host != nil && seer.Account.Layout != store.Maildir
	var left []string
	defer func() {
		if len(left) > 0 {
			x.left = unseen(left)
		}
	}()
	for i, m := range boxes {
		if o.Asked != nil && !slices.Contains(o.Asked, m.name) {
			continue
		}
		if dbox && !m.found {
			left = append(left, m.name)
			continue
		}
		if len(o.Mailboxes) >= watch.MaxMailboxes {
			w.rep.Warn(fmt.Sprintf("there are more than %d mailboxes: name those to be watched with --mailbox", watch.MaxMailboxes))
			break
		}
		seen, goOn := g.mailbox(ctx, m.name, m.server, m.files)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		o.Mailboxes = append(o.Mailboxes, seen)
		if !goOn {
			if rest := len(boxes) - i - 1; rest > 0 && o.Failure == nil {
				w.rep.Warn(fmt.Sprintf("%s not looked at, after %d connections broke", counted(rest, "mailbox was", "mailboxes were"), x.Connections))
			}
			break
		}
	}
	return nil
}

// fail notes that the account could not be looked at over IMAP.
func (x *Watched) fail(err error) {
	x.Err = err
	x.Seen.Failure = failureOf(err, nil)
	e := imap.Explain(err)
	x.Seen.Limit = e.Limit
	x.Seen.Banned = e.Class == imap.ClassPassword || e.Class == imap.ClassAccount
}

// failureOf explains what did not work, and what the host's imap process logged about it.
func failureOf(err error, log []byte) *watch.Failure {
	x := imap.Explain(err)
	f := &watch.Failure{Class: string(x.Class), Text: remote.Safe(err.Error()), Meaning: x.Meaning, Next: x.Next}
	for line := range strings.Lines(string(log)) {
		line = strings.TrimSpace(line)
		if e, ok := imap.ExplainLog(line); ok && len(f.Log) < 5 {
			text := "The server's log says: " + remote.Safe(line) + " — " + e.Meaning
			if !slices.Contains(f.Log, text) {
				f.Log = append(f.Log, text)
			}
		}
	}
	return f
}

// gaze is a look over IMAP in progress.
type gaze struct {
	look   *Look
	x      *Watched
	state  *watch.State
	conn   *probe.Conn
	now    time.Time
	force  bool
	accept bool
}

// open makes a connection where there is none.
func (g *gaze) open(ctx context.Context) error {
	if g.conn != nil {
		return nil
	}
	c, err := g.look.Dial(ctx)
	if err != nil {
		return err
	}
	g.conn = c
	g.x.Connections++
	return nil
}

// broken closes a connection that ended and gives what its process logged.
func (g *gaze) broken() []byte {
	c := g.conn
	g.conn = nil
	c.Close()
	if c.Stderr == nil {
		return nil
	}
	log, _ := c.Stderr(0)
	return log
}

func (g *gaze) close() {
	if g.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	g.conn.Logout(ctx) // whatever it answers, the look is over
}

func (g *gaze) list(ctx context.Context) (*imap.Listing, error) {
	if err := g.open(ctx); err != nil {
		return nil, err
	}
	return g.conn.List(ctx)
}

// mailbox looks at one mailbox. goOn is false where no further one can be looked at.
func (g *gaze) mailbox(ctx context.Context, name, server string, files *watch.Files) (seen watch.Seen, goOn bool) {
	seen = watch.Seen{Name: name, Old: -1, OldRead: -1, Files: files, Numbers: watch.Numbers{Read: -1}}
	if g.state.Damage(name, files, g.accept) != "" {
		return seen, true
	}
	was := g.state.Mailboxes[name]
	if was != nil && !was.Wait.Over(g.now) && !g.force && !g.accept {
		seen.Waited = true
		return seen, true
	}
	for try := 1; ; try++ {
		if err := g.open(ctx); err != nil {
			g.x.fail(err)
			return seen, false
		}
		var from int64 // what was logged about the mailboxes before is not about this one
		if g.conn.Stderr != nil {
			_, from = g.conn.Stderr(0)
		}
		err := g.read(ctx, server, was, &seen)
		if err == nil {
			seen.Looked = true
			return seen, true
		}
		ended := imap.Ended(err)
		var log []byte
		switch {
		case ended:
			log = g.broken()
		case g.conn.Stderr != nil:
			log, _ = g.conn.LogAfter(err, from)
		}
		// A server that was just restarted, or whose process was ended on purpose, is asked once more.
		if ended && imap.Explain(err).Whose == imap.WhoseNone && try == 1 {
			continue
		}
		seen.Failure = failureOf(err, log)
		return seen, !ended || g.x.Connections < watchDials
	}
}

// read takes the numbers of a mailbox.
func (g *gaze) read(ctx context.Context, server string, was *watch.Mailbox, seen *watch.Seen) error {
	e, err := g.conn.Examine(ctx, server)
	if err != nil {
		return err
	}
	n := &seen.Numbers
	*n = watch.Numbers{UIDValidity: e.UIDValidity, UIDNext: e.UIDNext, Messages: int(e.Exists), Read: -1}
	if e.Exists > watchFlags {
		s, err := g.conn.Status(ctx, server)
		if err == nil && s.Unseen >= 0 && s.Exists >= uint32(s.Unseen) {
			n.Read = int(s.Exists) - s.Unseen
		}
		return err
	}
	known := was != nil && was.Known && was.Numbers.UIDValidity == e.UIDValidity
	read, old, oldRead := 0, 0, 0
	if e.Exists > 0 {
		err = g.conn.FetchFlags(ctx, 1, func(m imap.Message) error {
			isRead := slices.ContainsFunc(m.Flags, func(f string) bool { return strings.EqualFold(f, `\Seen`) })
			isOld := known && m.UID < was.Numbers.UIDNext
			read += one(isRead)
			old += one(isOld)
			oldRead += one(isOld && isRead)
			return nil
		})
		if err != nil {
			return err
		}
	}
	if n.Read = read; known {
		seen.Old, seen.OldRead = old, oldRead
	}
	return nil
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
