package check

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// bigCache is the size from which on Dovecot before 2.3.21 is known to crash on its own cache file. readCache is how long
// one may be to be read here; damage in a longer one is healed by Dovecot all the same.
const (
	bigCache  = 1 << 30
	readCache = 128 << 20
)

const harmless = "removing the cache (drop-cache) is harmless: it only saves Dovecot work, and is filled anew"

// cache looks at what Dovecot remembers of the messages to save work.
func (x *examiner) cache() error {
	f := Finding{Severity: Suspect, File: x.file("dovecot.index.cache"), Offset: -1, Cure: CureCache, Advice: harmless,
		Effect: "Dovecot mostly notices it, removes the cache and fills it anew; some mail programs may see an error once"}
	info, err := fs.Stat(x.fsys, string(f.File))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if x.caches() {
			x.find(Finding{Severity: Note, Rule: "cache-missing", File: f.File, Offset: -1, Text: "dovecot.index.cache was removed",
				Effect: "none: it only saves Dovecot work, and is filled anew"})
		}
		return nil
	case err != nil:
		return fmt.Errorf("look at the copy of dovecot.index.cache: %w", err)
	case info.Size() >= bigCache:
		f.Rule, f.Text = "cache-huge", fmt.Sprintf("dovecot.index.cache is %d MiB long", info.Size()>>20)
		f.Effect = "Dovecot before 2.3.21 is known to crash when it writes or tidies a cache of 1024 MiB and more: connections end without a word"
		x.find(f)
		return nil
	case info.Size() > readCache:
		return nil
	}
	b, err := reconstruct.ReadFile(x.fsys, string(f.File), readCache)
	if reconstruct.NotCopied(err) {
		f.Rule, f.Text, f.Cure = "unreadable", "dovecot.index.cache cannot be read on the host", CureNone
		f.Effect, f.Advice = "Dovecot may fail to open the mailbox", chmod
		x.find(f)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the copy of dovecot.index.cache: %w", err)
	}
	c, faults := dovecot.ParseCache(b)
	if fault, n := x.cacheFault(c, faults); n > 0 {
		f.Rule, f.Offset, f.Text = fault.Rule, fault.Offset, "dovecot.index.cache is damaged "+detail(fault.Detail, n-1)
		x.find(f)
	} else if x.otherCache(c) {
		f.Rule, f.Text = "cache-other", "dovecot.index.cache is not the one that the index knows"
		if x.State.Files.Log != nil && !unchanged(x.fsys, string(f.File), string(x.file("dovecot.index.log"))) { // Dovecot may have been exchanging it
			f.Severity, f.Cure = Note, CureNone
		}
		x.find(f)
	}
	return nil
}

// otherCache reports whether Dovecot would take the cache for corrupt since the index tells of another one, made before or after
// it: the record that tells of the exchange was in a log that is gone (mail_cache_sync_reset_id, Dovecot 2.3.19).
func (x *examiner) otherCache(c *dovecot.Cache) bool {
	known := x.State.Index.Ext("cache")
	return known != nil && known.ResetID != 0 && c.IndexID == x.State.Index.IndexID && c.Seq != known.ResetID
}

// caches reports whether the index refers to a cache.
func (x *examiner) caches() bool {
	for i := range x.State.Index.Records {
		if _, _, ok := x.State.Index.CacheOffset(&x.State.Index.Records[i]); ok {
			return true
		}
	}
	return false
}

// cacheFault is the first thing wrong with a cache, in the file or in what it tells of a message; and how many were found.
func (x *examiner) cacheFault(c *dovecot.Cache, faults []dovecot.Fault) (first dovecot.Fault, n int) {
	if len(faults) > 0 {
		return faults[0], len(faults)
	}
	values := map[string][]byte{}
	for i := range x.State.Index.Records {
		offset, seq, ok := x.State.Index.CacheOffset(&x.State.Index.Records[i])
		if !ok || seq != c.Seq || c.IndexID != x.State.Index.IndexID {
			continue // of another cache, which Dovecot does not use
		}
		if faults := c.LookupInto(values, offset); len(faults) > 0 {
			return faults[0], len(faults)
		}
	}
	return first, 0
}

// chmod is what helps where the host denies its own user a file.
const chmod = "give the file its permissions back, by your host's file manager or by SFTP (\"chmod 600\"), and make a new copy; nothing was copied of it"

// unread names files that the host has and that could not be copied.
func (x *examiner) unread() {
	for i, u := range x.State.Unread {
		if i == maxMessageFindings {
			x.find(Finding{Severity: Broken, Rule: "more-unreadable", File: x.box.Dir, Offset: -1, Advice: chmod,
				Text: fmt.Sprintf("%s cannot be read either", plural(len(x.State.Unread)-i, "more file", "more files"))})
			return
		}
		why := u.Why
		if i := strings.LastIndex(why, ": "); i >= 0 {
			why = why[i+2:]
		}
		x.find(Finding{Severity: Broken, Rule: "unreadable", File: u.File, Offset: -1, Text: fmt.Sprintf("this file could not be copied: %q", short(why)),
			Effect: "Dovecot, which runs under the same user, cannot read it either: opening the mailbox fails", Advice: chmod})
	}
}

// leftovers names files that interrupted work of Dovecot left behind.
func (x *examiner) leftovers() {
	entries, err := fs.ReadDir(x.fsys, string(x.box.Dir))
	if err != nil {
		return
	}
	aside, temp := 0, 0
	var locks leftLocks
	for _, e := range entries {
		name := e.Name()
		switch {
		case isLock(name):
			locks.add(x.file(name))
		case strings.HasSuffix(name, ".broken"):
			if aside++; aside <= maxLeftovers {
				x.find(Finding{Severity: Suspect, Rule: "leftover-broken", File: x.file(name), Offset: -1,
					Text:   "Dovecot found a message damaged, and set the damaged file aside here",
					Effect: "that message may be missing, or lack a part", Advice: "the bytes as they were are in this file, and in the copy"})
			}
		case isTemp(name):
			if temp++; temp <= maxLeftovers {
				x.find(Finding{Severity: Note, Rule: "leftover-temp", File: x.file(name), Offset: -1,
					Text: "an unfinished write of Dovecot was left behind", Effect: "none", Advice: "Dovecot removes it by itself after some days"})
			}
		}
	}
	if locks.n > 0 {
		x.find(locks.finding())
	}
	if x.account.Layout == store.Maildir {
		x.deliveries()
	}
	if n := aside - maxLeftovers; n > 0 {
		x.find(Finding{Severity: Suspect, Rule: "leftover-broken", File: x.box.Dir, Offset: -1, Text: fmt.Sprintf("%s were set aside by Dovecot as damaged", plural(n, "more file", "more files"))})
	}
	if n := temp - maxLeftovers; n > 0 {
		x.find(Finding{Severity: Note, Rule: "leftover-temp", File: x.box.Dir, Offset: -1, Text: fmt.Sprintf("%s of unfinished writes were left behind", plural(n, "more file", "more files"))})
	}
}

// maxLeftovers bounds how many files of each kind are named one by one.
const maxLeftovers = 20

// isTemp reports whether a file is one that Dovecot writes to and then renames.
func isTemp(name string) bool {
	return strings.HasPrefix(name, ".temp.") || strings.HasSuffix(name, ".newlock") || strings.HasPrefix(name, "dovecot") && strings.HasSuffix(name, ".tmp")
}

// isLock reports whether a file is there while something of the mailbox is being changed, and otherwise left over.
func isLock(name string) bool { return strings.HasSuffix(name, ".lock") || name == "maildirlock" }

// leftLocks counts such files. Dovecot takes one whose time has not changed for some minutes (2 for dovecot-uidlist.lock, 10 at most) for left
// over, and removes it, so that none stops it for long.
type leftLocks struct {
	n     int
	first store.RelPath
}

func (l *leftLocks) add(p store.RelPath) {
	if l.n++; l.n == 1 {
		l.first = p
	}
}

func (l *leftLocks) finding() Finding {
	f := Finding{Severity: Note, Rule: "leftover-lock", File: l.first, Offset: -1, Text: "this file says that somebody is changing something here; it may have been left behind by a program that ended too early",
		Effect: "none for long: Dovecot may wait for some minutes once, then takes it for left over and removes it"}
	if l.n > 1 {
		f.Text += fmt.Sprintf("; so it is with %s", plural(l.n-1, "more file", "more files"))
	}
	return f
}

// staleDelivery is the age from which on Dovecot removes a file in tmp/ (MAILDIR_TMP_DELETE_SECS).
const staleDelivery = 36 * time.Hour

// deliveries tells of files in a Maildir's tmp/ whose delivery was never finished.
func (x *examiner) deliveries() {
	entries, err := fs.ReadDir(x.fsys, string(x.file("tmp")))
	if err != nil || len(entries) == 0 {
		return
	}
	now := x.newest()
	n, first := 0, store.RelPath("")
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || now.Sub(info.ModTime()) < staleDelivery {
			continue
		}
		if n == 0 {
			first = x.file("tmp/" + e.Name())
		}
		n++
	}
	if n > 0 {
		x.find(Finding{Severity: Note, Rule: "leftover-delivery", File: first, Offset: -1, Effect: "none; the sender's server has most likely sent it again",
			Text:   sentence(n, "1 message whose delivery was never finished lies in tmp/", "%d messages whose delivery was never finished lie in tmp/"),
			Advice: "Dovecot removes such files by itself after some days"})
	}
}

// newest is when something of the mailbox was changed last, as far as the copy tells.
func (x *examiner) newest() time.Time {
	var t time.Time
	for _, name := range []string{"dovecot.index.log", "dovecot-uidlist", "cur", "new", "tmp"} {
		if info, err := fs.Lstat(x.fsys, string(x.file(name))); err == nil && info.ModTime().After(t) {
			t = info.ModTime()
		}
	}
	return t
}
