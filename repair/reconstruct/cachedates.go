package reconstruct

import (
	"io/fs"
	"time"

	"dovemend/repair/dovecot"
)

// maxCache is how much of a cache is read, in bytes.
const maxCache = 128 << 20

// datesFromCache gives messages whose own metadata are lost the dates that the cache holds.
func (s *State) datesFromCache(fsys fs.FS) error {
	missing := false
	for i := range s.Messages {
		missing = missing || s.Messages[i].Received.IsZero() && !s.Messages[i].Lost
	}
	if !missing {
		return nil
	}
	c, err := s.readCache(fsys)
	if c == nil || err != nil {
		return err
	}
	values := map[string][]byte{}
	for i := range s.Messages {
		m := &s.Messages[i]
		if !m.Received.IsZero() {
			continue
		}
		rec := s.Index.Find(m.UID)
		if rec == nil {
			continue
		}
		s.cacheOf(c, rec, values)
		if v := values["date.received"]; len(v) == 4 {
			m.Received, m.By.Received = time.Unix(int64(number(v)), 0).UTC(), ByCache
		}
		if v := values["date.save"]; len(v) == 4 && m.Saved.IsZero() {
			m.Saved, m.By.Saved = time.Unix(int64(number(v)), 0).UTC(), ByCache
		}
	}
	return nil
}

// cachedDates gives messages of a Maildir the received date that mail programs were told of: the time of a file changes when
// somebody writes to it.
func (r *maildirReader) cachedDates() error {
	c, err := r.readCache(r.fsys)
	if c == nil || err != nil {
		return err
	}
	values := map[string][]byte{}
	for i := range r.Messages {
		m := &r.Messages[i]
		rec := r.Index.Find(m.UID)
		if m.UID == 0 || rec == nil {
			continue
		}
		r.cacheOf(c, rec, values)
		v := values["date.received"]
		if len(v) != 4 || number(v) == 0 || int64(number(v)) == m.Received.Unix() {
			continue
		}
		m.Received, m.By.Received = time.Unix(int64(number(v)), 0).UTC(), ByCache
	}
	return nil
}

// readCache reads the cache; nil where there is none that belongs to the index.
func (s *State) readCache(fsys fs.FS) (*dovecot.Cache, error) {
	b, err := s.read(fsys, join(s.Mailbox, "dovecot.index.cache"), maxCache)
	if err != nil || b == nil {
		return nil, err
	}
	c, _ := dovecot.ParseCache(b)
	if c.IndexID != s.Index.IndexID {
		return nil, nil
	}
	return c, nil
}

// cacheOf makes values what the cache tells of a message: empty where nothing.
func (s *State) cacheOf(c *dovecot.Cache, rec *dovecot.Record, values map[string][]byte) {
	offset, seq, ok := s.Index.CacheOffset(rec)
	if !ok || seq != c.Seq {
		clear(values)
		return
	}
	c.LookupInto(values, offset)
}
