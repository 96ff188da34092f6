package dovecot

import (
	"math/bits"
	"sort"
)

// Base is what a replay started from.
type Base string

// The bases, best first.
const (
	BaseIndex  Base = "index"         // dovecot.index
	BaseZero   Base = "log from zero" // a log whose prev_file_seq is 0 starts from nothing and tells all
	BaseBackup Base = "backup"        // dovecot.index.backup
	BaseNone   Base = "none"          // the base is lost: only what the remaining logs tell of it
)

// Position is a place in a transaction log.
type Position struct {
	Seq    uint32
	Offset int64
}

// State is an index as base and logs together tell it. Its records and values share memory with the files.
type State struct {
	Base        Base
	IndexID     uint32
	UIDValidity uint32 // 0: not told
	NextUID     UID
	FirstRecent UID
	Header      IndexHeader // as Dovecot would have it in memory; counters are those of Records
	Records     []Record    // by UID
	Exts        []Ext       // a log's ext_id is the position here, as long as nothing was lost
	Keywords    []string    // names, by bit number

	Gaps           []UIDRange // of these UIDs messages may have existed that are told no more
	PendingExpunge []UID      // messages someone asked to expunge, and which are still there
	PendingFlags   []UID      // messages whose flags someone asked to change, which had not yet reached a Maildir's file names
	Start, End     Position   // the part of the logs that was applied; zero where none was
	Tail           Position   // up to where the storage has carried out what the logs ask for; offset 0 where that is not told
	Exact          bool       // complete, from a base without a fault
	Complete       bool       // nothing is known to be missing between base, logs and their end
	Deleted        bool       // the logs say that the mailbox was deleted
	ModSeq         uint64     // highest that index and logs tell; 0 where there is none
	Doubtful       bool       // the base's header is damaged: UIDValidity, FirstRecent and the header's fields may be noise

	raw   [indexHeaderSize]byte
	sound bool // the base is a file without a fault
	known UID  // below it, outside of the gaps, the base tells of every message there was
}

// Record is a message of a mailbox; in a map index a stored message; in a list index a mailbox name.
type Record struct {
	UID       UID
	Flags     Flags
	Suspect   bool // the base's record may be damaged behind its UID
	Phantom   bool // nothing that is left in the index or the logs tells that the message exists, other evidence does
	Recovered bool // the message's existence or something about it is told only behind damage in a log

	gone   bool
	modseq uint64 // of the last log record that changed flags or keywords; 0: none did
	owned  bool   // keywords is not shared with the base
	bits   []byte // keywords
	base   []byte // the record in the base index, or nil
	over   []extValue
}

// extValue is a value a log gave to an extension of a record.
type extValue struct {
	ext, gen int
	data     []byte
}

// Find returns the record with this UID, or nil.
func (s *State) Find(uid UID) *Record {
	i := sort.Search(len(s.Records), func(i int) bool { return s.Records[i].UID >= uid })
	if i < len(s.Records) && s.Records[i].UID == uid && !s.Records[i].gone {
		return &s.Records[i]
	}
	return nil
}

// Ext finds an extension by name; nil if there is none.
func (s *State) Ext(name string) *Ext { return findExt(s.Exts, name) }

// Value is a record's data for an extension of this State: Ext.RecordSize bytes, or nil if nothing ever set it.
func (s *State) Value(r *Record, e *Ext) []byte {
	if e == nil || e.RecordSize == 0 {
		return nil
	}
	for i := range r.over {
		if v := &r.over[i]; v.ext == e.id && v.gen == e.gen {
			return padded(v.data, int(e.RecordSize))
		}
	}
	from := int(e.baseOffset)
	if e.gen > 0 || e.baseSize == 0 || from+int(e.baseSize) > len(r.base) {
		return nil
	}
	return padded(r.base[from:from+int(e.baseSize)], int(e.RecordSize))
}

func padded(b []byte, size int) []byte {
	if len(b) >= size {
		return b[:size:size]
	}
	return append(make([]byte, 0, size), b...)[:size]
}

// number is an extension value of up to 8 bytes as a number.
func (s *State) number(r *Record, name string) (uint64, bool) {
	v := s.Value(r, s.Ext(name))
	if v == nil || len(v) > 8 {
		return 0, false
	}
	var b [8]byte
	copy(b[:], v)
	return le.Uint64(b[:]), true
}

// KeywordBits are a record's keywords as a set: bit i%8 of byte i/8 is the one named Keywords[i]. It is not to be changed.
func (s *State) KeywordBits(r *Record) []byte { return r.bits }

// KeywordNames are the names of a record's keywords, in the order of their bits.
func (s *State) KeywordNames(r *Record) []string {
	var out []string
	for i, b := range r.bits {
		for ; b != 0; b &= b - 1 {
			if n := i*8 + bits.TrailingZeros8(b); n < len(s.Keywords) {
				out = append(out, s.Keywords[n])
			}
		}
	}
	return out
}

// GUID is the message's GUID-128 (extension "guid", mdbox only).
func (s *State) GUID(r *Record) (GUID, bool) {
	v := s.Value(r, s.Ext("guid"))
	if len(v) != 16 || GUID(v).IsZero() {
		return GUID{}, false
	}
	return GUID(v), true
}

// MapUID is the message's number in the map index and when it was saved to this mailbox, in Unix time (extension
// "mdbox", struct mdbox_mail_index_record). The time is 0 where it is not known.
func (s *State) MapUID(r *Record) (uid UID, saved uint32, ok bool) {
	v := s.Value(r, s.Ext("mdbox"))
	if len(v) < 4 || u32(v, 0) == 0 {
		return 0, 0, false
	}
	return UID(u32(v, 0)), u32(v, 4), true
}

// VirtualSize is the message's size with CRLF line ends (extension "vsize").
func (s *State) VirtualSize(r *Record) (uint32, bool) {
	n, ok := s.number(r, "vsize")
	if !ok || n == 0 {
		return 0, false
	}
	return uint32(n - 1), true
}

// CacheOffset is where the message's newest record lies in dovecot.index.cache, if that cache's sequence is resetID.
func (s *State) CacheOffset(r *Record) (offset, resetID uint32, ok bool) {
	n, ok := s.number(r, "cache")
	if !ok || n == 0 {
		return 0, 0, false
	}
	return uint32(n), s.Ext("cache").ResetID, true
}

// ModSeqOf is the message's modification sequence, where CONDSTORE was used: what the index tells (extension "modseq"), or
// what follows from the logs since. A message that was there when counting began has the highest of that moment, which the
// extension's header tells (mail_index_modseq_sync_init, Dovecot 2.3.19).
func (s *State) ModSeqOf(r *Record) (uint64, bool) {
	e := s.Ext("modseq")
	if e == nil {
		return 0, false
	}
	n, _ := s.number(r, "modseq")
	if n == 0 && len(e.Header) >= 8 {
		if n = le.Uint64(e.Header); n > maxModSeq {
			n = 0
		}
	}
	n = max(n, r.modseq)
	return n, n != 0
}

// MailboxGUID is the mailbox's identity (struct sdbox_index_header, struct mdbox_index_header); Maildir has it in the uidlist.
func (s *State) MailboxGUID() (GUID, bool) {
	for _, name := range [...]string{"mdbox-hdr", "dbox-hdr"} {
		if e := s.Ext(name); e != nil && len(e.Header) >= 20 {
			if g := GUID(e.Header[4:20]); !g.IsZero() {
				return g, true
			}
		}
	}
	return GUID{}, false
}

// MapUIDValidity is the UIDVALIDITY of the map index this mdbox mailbox refers to.
func (s *State) MapUIDValidity() (uint32, bool) {
	e := s.Ext("mdbox-hdr")
	if e == nil || len(e.Header) < 4 {
		return 0, false
	}
	return u32(e.Header, 0), true
}

// finish fills in what follows from the records.
func (s *State) finish() {
	n := 0
	for i := range s.Records {
		if !s.Records[i].gone {
			s.Records[n] = s.Records[i]
			n++
		}
	}
	clear(s.Records[n:])
	s.Records = s.Records[:n]
	s.sortGaps()
	s.Header = parseIndexHeader(s.raw[:])
	h := &s.Header
	h.NextUID = max(s.NextUID, 1)
	if n > 0 {
		h.NextUID = max(h.NextUID, s.Records[n-1].UID+1)
	}
	h.IndexID = s.IndexID
	s.count()
	h.FirstRecentUID = min(max(h.FirstRecentUID, 1), h.NextUID)
	s.UIDValidity, s.NextUID, s.FirstRecent = h.UIDValidity, h.NextUID, h.FirstRecentUID
}

// count makes the header's counters those of the records.
func (s *State) count() {
	h := &s.Header
	h.Messages, h.Seen, h.Deleted = uint32(len(s.Records)), 0, 0
	for i := range s.Records {
		if s.Records[i].Flags&FlagSeen != 0 {
			h.Seen++
		}
		if s.Records[i].Flags&FlagDeleted != 0 {
			h.Deleted++
		}
	}
}
