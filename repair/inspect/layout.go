package inspect

import (
	"encoding/binary"
	"slices"

	"dovemend/repair/dovecot"
)

// A part is a member of one of Dovecot's structures: where it lies and how it is shown.
type part struct {
	name     string
	at, size int // size 0: up to the end
	form     form
}

type form uint8

const (
	number form = iota
	bits
	stamp
	guid
	raw
)

// u32s is a structure of nothing but numbers of 4 bytes.
func u32s(names ...string) []part {
	var out []part
	for i, name := range names {
		out = append(out, part{name, 4 * i, 4, number})
	}
	return out
}

// times makes the named parts times.
func times(parts []part, names ...string) []part {
	for i := range parts {
		if slices.Contains(names, parts[i].name) {
			parts[i].form = stamp
		}
	}
	return parts
}

var mailboxVsize = []part{{"vsize", 0, 8, number}, {"highest_uid", 8, 4, number}, {"message_count", 12, 4, number}}

// extHeaders are the structures in the headers of extensions, by the extension's name. Those of "list", "box-name" and the
// mailboxes of "virtual" have no fixed length; see [extHeader].
var extHeaders = map[string][]part{
	"hdr-vsize": mailboxVsize,
	"maildir": times(u32s("new_check_time", "new_mtime", "new_mtime_nsecs", "cur_check_time", "cur_mtime", "cur_mtime_nsecs",
		"uidlist_mtime", "uidlist_mtime_nsecs", "uidlist_size"), "new_check_time", "new_mtime", "cur_check_time", "cur_mtime", "uidlist_mtime"),
	"mbox":              {{"sync_size", 0, 8, number}, {"sync_mtime", 8, 4, stamp}, {"dirty_flag", 12, 1, number}, {"mailbox_guid", 16, 16, guid}},
	"mdbox-hdr":         {{"map_uid_validity", 0, 4, number}, {"mailbox_guid", 4, 16, guid}, {"flags", 20, 1, bits}},
	"dbox-hdr":          {{"rebuild_count", 0, 4, number}, {"mailbox_guid", 4, 16, guid}, {"flags", 20, 1, bits}},
	"mobox-hdr":         {{"rebuild_count", 0, 4, number}, {"map_uid_validity", 4, 4, number}, {"mailbox_guid", 12, 16, guid}},
	"mobox-map":         u32s("rebuild_count"),
	"map":               u32s("highest_file_id", "rebuild_count"),
	"modseq":            {{"highest_modseq", 0, 8, number}, {"log_seq", 8, 4, number}, {"log_offset", 12, 4, number}},
	"fts":               u32s("last_indexed_uid", "settings_checksum"),
	"virtual":           u32s("change_counter", "mailbox_count", "highest_mailbox_id", "search_args_crc32"),
	"hdr-pop3-uidl":     u32s("max_uid_with_pop3_uidl"),
	"last-rename-stamp": {{"last_rename", 0, 4, stamp}},
	"subs":              {{"subscriptions_mtime", 0, 4, stamp}},
	"list":              {{"refresh_flag", 0, 1, number}},
}

// extValues are the structures in records, by the extension's name.
var extValues = map[string][]part{
	"mdbox":      times(u32s("map_uid", "save_date"), "save_date"),
	"guid":       {{"guid", 0, 16, guid}},
	"cache":      u32s("cache_offset"),
	"modseq":     {{"modseq", 0, 8, number}},
	"map":        u32s("file_id", "offset", "size"),
	"ref":        {{"refcount", 0, 2, number}},
	"list":       {{"name_id", 0, 4, number}, {"parent_uid", 4, 4, number}, {"guid", 8, 16, guid}, {"uid_validity", 24, 4, number}},
	"msgs":       u32s("messages", "unseen", "recent", "uidnext"),
	"hmodseq":    {{"highest_modseq", 0, 8, number}},
	"1saved":     times(u32s("first_saved_uid", "first_saved"), "first_saved"),
	"index sync": times(u32s("log_size", "log_mtime"), "log_mtime"),
	"maildir":    times(u32s("new_mtime", "cur_mtime"), "new_mtime", "cur_mtime"),
	"virtual":    u32s("mailbox_id", "real_uid"),
	"obox":       {{"guid", 0, 16, guid}, {"oid", 16, 0, raw}},
	"mobox":      times(u32s("map_uid", "save_date"), "save_date"),
	"mobox-map":  {{"offset", 0, 4, number}, {"size", 4, 4, number}, {"oid", 8, 16, raw}},
}

// decode reads the parts that lie wholly in b, which begins at an offset of the structure.
func decode(parts []part, b []byte, offset int) Facts {
	var out Facts
	for _, p := range parts {
		at, size := p.at-offset, p.size
		if size == 0 {
			size = len(b) - at
		}
		if at < 0 || size < 0 || at+size > len(b) {
			continue
		}
		v := b[at : at+size]
		var value any = Hex(v)
		switch p.form {
		case number:
			value = little(v)
		case bits:
			value = Bits(little(v))
		case stamp:
			value = Stamp(little(v))
		case guid:
			value = dovecot.GUID(v)
		}
		out = append(out, Fact{Name: p.name, Value: value})
	}
	return out
}

// little is a little-endian number of up to 8 bytes.
func little(b []byte) uint64 {
	var p [8]byte
	copy(p[:], b)
	return binary.LittleEndian.Uint64(p[:])
}

// extValue tells the data of an extension in a record. names are those of the mailbox list, by their numbers.
func extValue(name string, v []byte, names map[uint32]string) Facts {
	out := Facts{{Name: "extension", Value: clip(name)}}
	parts := extValues[name]
	if name == "vsize" && len(v) >= 16 { // the list index has another of this name
		parts = mailboxVsize
	}
	known := decode(parts, v, 0)
	switch {
	case name == "keywords": // the record tells them by their names
	case name == "vsize" && len(v) == 4: // stored plus 1, 0 is unknown
		known = Facts{{Name: "virtual_size", Value: Maybe(little(v)) - 1}}
	case name == "list" && len(v) >= 4:
		if s, ok := names[uint32(little(v[:4]))]; ok {
			known = append(known, Fact{Name: "name", Value: clip(s)})
		}
	case len(known) == 0 && (len(v) == 1 || len(v) == 2 || len(v) == 4 || len(v) == 8):
		known = Facts{{Name: "number", Value: little(v)}}
	}
	if name == "keywords" {
		out[0].Extra = true
	}
	out = append(out, Fact{Name: "hex", Value: Hex(v), Extra: len(known) > 0 || name == "keywords"})
	return append(out, known...)
}
