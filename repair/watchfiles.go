package repair

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"dovemend/remote"
	"dovemend/repair/dovecot"
	"dovemend/repair/store"
	"dovemend/repair/watch"
)

// hostFailure explains why the host could not be looked at.
func hostFailure(err error) *watch.Failure {
	f := &watch.Failure{Text: remote.Safe(err.Error())}
	switch {
	case errors.Is(err, remote.ErrHostKey):
		f.Class, f.Meaning, f.Next = "host-key", "The host's key is not the one that is known: it was changed, or somebody is in between.",
			"Ask the hosting company before anything else is done."
	case errors.Is(err, remote.ErrAuth):
		f.Class, f.Meaning, f.Next = "host-login", "The host does not accept the login over SSH. Hosts shut out those who try again and again, so the next try comes much later.",
			"See whether the login works with ssh; then dovemend watch with --now."
	case errors.Is(err, remote.ErrNoSFTP):
		f.Class, f.Meaning, f.Next = "host-sftp", "The host gives no access to files.", "Ask the hosting company to enable SFTP, or watch over IMAP alone, without --host."
	default:
		f.Class, f.Meaning, f.Next = "host-unreachable", "The host could not be reached over SSH, or the connection broke. That says nothing about the mailbox.",
			"Wait; if it stays, look at the network, and whether the host is up."
	}
	return f
}

// account finds the account on the host. That it is not there any more is a failure of the look once something was learned.
func (w *Watcher) account(ctx context.Context, s *Session, state *watch.State) (store.Account, *watch.Failure, error) {
	a, _, err := s.Choose(ctx)
	var none *NoAccountError
	var root *store.RootError
	var notFound *store.NotFoundError
	var ambiguous *AmbiguousError
	switch {
	case errors.As(err, &notFound):
		return a, nil, nil // a mailbox that was asked for; LIST says the same
	case err == nil, ctx.Err() != nil, errors.As(err, &ambiguous):
		return a, nil, err
	case (errors.As(err, &none) || errors.As(err, &root)) && state.First():
		return a, nil, err
	case errors.As(err, &none), errors.As(err, &root):
		return a, &watch.Failure{Class: "account-missing", Text: remote.Safe(err.Error()), Meaning: "The account's directory is not where it was at the last look, or cannot be read.",
			Next: "Change nothing. Look with dovemend accounts, and ask the hosting company."}, nil
	}
	return a, hostFailure(err), nil
}

// processes counts the account's own imap processes, before one of ours is started.
func (w *Watcher) processes(ctx context.Context, s *Session, x *Watched) {
	if !s.host.Info().Shell {
		return
	}
	hidden, err := s.host.ProcessesHidden(ctx)
	if err != nil || hidden {
		w.log.Info("processes cannot be counted", "hidden", hidden, "error", err)
		return
	}
	all, err := s.host.Processes(ctx)
	if err != nil {
		w.log.Info("processes cannot be counted", "error", err)
		return
	}
	o := &x.Seen
	o.Processes, o.Clients = 0, map[string]int{}
	for _, p := range all {
		if p.Service != "imap" || p.Account != "" && w.o.Account != "" && !strings.EqualFold(p.Account, w.o.Account) {
			continue
		}
		o.Processes++
		if p.Client != "" {
			o.Clients[remote.Safe(p.Client)]++
		}
	}
	if n := total(o.Clients); n != o.Processes {
		o.Clients = nil // of some it is not known
	}
}

func total(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// files looks at the names and sizes of the index files of every mailbox, and at their first bytes: a few hundred bytes a mailbox.
// Of more mailboxes than can be watched those that were asked for come first.
func (w *Watcher) files(ctx context.Context, s *Session, a store.Account, o *watch.Observation) ([]stored, error) {
	w.rep.Stage("looking at the files")
	fsys := s.host.FS(ctx)
	var found, others []stored
	for _, m := range a.Mailboxes {
		if w.asked(m) {
			found = append(found, stored{Mailbox: m})
		} else {
			others = append(others, stored{Mailbox: m})
		}
	}
	found = append(found, others...)
	if len(found) > w.most {
		if len(w.o.Mailboxes) == 0 {
			w.rep.Warn(fmt.Sprintf("there are more than %d mailboxes: name those to be watched with --mailbox", w.most))
		}
		found = found[:w.most]
	}
	root := strings.TrimPrefix(string(a.Root), "/")
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i, m := range found {
		g.Go(func() (err error) {
			found[i].files, err = indexFiles(ctx, fsys, path.Join(root, string(m.Dir)), "dovecot.index", string(a.Layout), func(dir string) (bool, error) {
				if a.Layout == store.MDBox {
					return holds(fsys, path.Join(root, "storage"), mdboxMail)
				}
				return holds(fsys, dir, sdboxMail)
			})
			return err
		})
	}
	if a.Layout == store.MDBox {
		g.Go(func() (err error) {
			o.Storage, err = indexFiles(ctx, fsys, path.Join(root, "storage"), "dovecot.map.index", string(a.Layout), func(dir string) (bool, error) { return holds(fsys, dir, mdboxMail) })
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("look at the files: %w", err)
	}
	return found, nil
}

var (
	sdboxMail = regexp.MustCompile(`^u\.[0-9]+$`)
	mdboxMail = regexp.MustCompile(`^m\.[0-9]+$`)
)

// holds says whether a directory has a file of that kind.
func holds(fsys fs.FS, dir string, file *regexp.Regexp) (bool, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	for _, e := range entries {
		if file.MatchString(e.Name()) {
			return true, nil
		}
	}
	return false, err
}

// recheck is how long after the first look at an index that seems damaged the second one comes: it may just be replaced.
const recheck = 300 * time.Millisecond

// indexFiles looks at one index, its log and its cache, twice where the index is not there or seems damaged. mail says whether
// messages are there, where that has to be known.
func indexFiles(ctx context.Context, fsys *remote.FS, dir, name, layout string, mail func(dir string) (bool, error)) (*watch.Files, error) {
	f, err := indexFilesNow(fsys, dir, name, layout, mail)
	if errors.Is(err, fs.ErrPermission) {
		return nil, nil // what may not be read tells nothing; that it may not, the look over IMAP will tell
	}
	if err != nil || layout == "maildir" || f.Index > 0 && f.BadIndex == "" {
		return f, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(recheck):
	}
	return indexFilesNow(fsys, dir, name, layout, mail)
}

func indexFilesNow(fsys *remote.FS, dir, name, layout string, mail func(dir string) (bool, error)) (*watch.Files, error) {
	f := &watch.Files{Layout: layout, UIDList: -1}
	for file, size := range map[string]*int64{name: &f.Index, name + ".log": &f.Log, name + ".log.2": &f.Log2, name + ".cache": &f.Cache, "dovecot-uidlist": &f.UIDList} {
		if file == "dovecot-uidlist" && layout != "maildir" {
			continue
		}
		info, err := fsys.Stat(path.Join(dir, file))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			*size = -1
		case err != nil:
			return nil, err
		default:
			*size = info.Size()
		}
	}
	if f.Index > 0 {
		head, err := headOf(fsys, path.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if head != nil {
			_, f.BadIndex = dovecot.IndexHead(head, f.Index)
		}
	}
	if f.Index > 0 && f.BadIndex == "" || layout == "maildir" {
		return f, nil
	}
	if f.Log >= 0 {
		head, err := headOf(fsys, path.Join(dir, name+".log"))
		if err != nil {
			return nil, err
		}
		h, unusable := dovecot.LogHead(head)
		f.LogWhole = head != nil && unusable == "" && h.PrevSeq == 0
	}
	var err error
	f.Mail, err = mail(dir)
	return f, err
}

// headOf reads the first bytes of a file; nil where it is not there any more, or may not be read: that is for the look over IMAP to tell.
func headOf(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, dovecot.HeadSize)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return b[:n], nil
}
