//go:build unix

package inspect

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What follows writes our dumps in the form of `doveadm dump` of 2.3.19, so that the two can be compared line by line:
// whatever doveadm tells and we do not is a difference.

func date(n int64) string { return time.Unix(n, 0).UTC().Format("2006-01-02 15:04:05") }

func withDate(n int64) string { return fmt.Sprintf("%d (%s)", n, date(n)) }

func asLog(o object) []string {
	h := o.object("log", "header")
	out := []string{
		fmt.Sprintf("version = %s.%s", h.str("major_version"), h.str("minor_version")),
		"hdr size = " + h.str("hdr_size"), "index id = " + h.str("indexid"), "file seq = " + h.str("file_seq"),
		fmt.Sprintf("prev file = %s/%s", h.str("prev_file_seq"), h.str("prev_file_offset")), "create stamp = " + h.str("create_stamp"),
		"initial modseq = " + h.str("initial_modseq"), fmt.Sprintf("compat flags = %x", h.num("compat_flags")),
	}
	modseq := h.num("initial_modseq")
	for _, r := range o.list("log", "records") {
		kind := r.str("type")
		line := fmt.Sprintf("record: offset=%s, type=%s", r.str("offset"), kind)
		if r.at("external") == true {
			line += " (ext)"
		}
		if r.at("sync") == true {
			line += " (sync)"
		}
		line += ", size=" + r.str("size")
		if m := r.num("modseq"); m > modseq {
			modseq = m
			line += fmt.Sprintf(", modseq=%d", m)
		}
		out = append(append(out, line), logEntries(kind, r.list("entries"))...)
	}
	return out
}

func logEntries(kind string, entries []object) []string {
	uids := " - uids="
	blobAt, blob := "", "" // fields that doveadm does not know, all behind each other
	var out []string
	for i, e := range entries {
		span := fmt.Sprintf("%s-%s", e.str("first_uid"), e.str("last_uid"))
		switch kind {
		case "append":
			uids += e.str("uid")
			if n := e.num("flags"); n != 0 {
				uids += fmt.Sprintf(" (flags=%x)", n)
			}
			uids += ","
		case "expunge", "keyword-reset":
			uids += span + ","
		case "keyword-update":
			if i == 0 {
				modify := 0
				if e.str("change") == "remove" {
					modify = 1
				}
				uids = fmt.Sprintf(" - modify=%d, name=%s, uids=", modify, e.str("keyword"))
				continue
			}
			uids += span + ","
		case "expunge-guid":
			out = append(out, fmt.Sprintf(" - uid=%s (guid %s)", e.str("uid"), e.str("guid")))
		case "flag-update":
			inc := 0
			if e.at("modseq_inc") == true {
				inc = 1
			}
			out = append(out, fmt.Sprintf(" - uids=%s (flags +%x-%x, modseq_inc_flag=%d)", span, e.num("add"), e.num("remove"), inc))
		case "header-update":
			if i > 0 && e.num("offset") != entries[i-1].num("offset")+entries[i-1].num("size") {
				return out // doveadm shows the first of several updates in one record
			}
			if blob != "" {
				blob += e.str("hex")
			} else if e.str("field") == "" || strings.HasPrefix(e.str("field"), "day_first") || slices.Contains([]string{"log2_rotate_time", "last_temp_file_scan"}, e.str("field")) {
				blobAt, blob = e.str("offset"), e.str("hex")
			} else {
				out = append(out, fmt.Sprintf(" - %s = %s", e.str("field"), e.str("value")))
			}
			last := i+1 == len(entries) || entries[i+1].num("offset") != e.num("offset")+e.num("size")
			if blob != "" && last {
				out = append(out, fmt.Sprintf(" - offset = %s, size = %d: %s", blobAt, len(blob)/2, hexData(blob)))
			}
		case "ext-intro":
			flags := 0
			if e.at("no_shrink") == true {
				flags = 1
			}
			for _, f := range []string{"ext_id", "reset_id", "hdr_size", "record_size", "record_align"} {
				out = append(out, fmt.Sprintf(" - %s = %s", f, e.str(f)))
			}
			out = append(out, fmt.Sprintf(" - flags = %d", flags), fmt.Sprintf(" - name_size = %d", len(e.str("name"))))
			if e.str("name") != "" {
				out = append(out, fmt.Sprintf(" - name = '%s'", e.str("name")))
			}
		case "ext-reset":
			preserve := 0
			if e.at("preserve_data") == true {
				preserve = 1
			}
			out = append(out, " - new_reset_id = "+e.str("new_reset_id"), fmt.Sprintf(" - preserve_data = %d", preserve))
		case "ext-hdr", "ext-hdr32":
			out = append(out, fmt.Sprintf(" - offset = %s, size = %s: %s", e.str("offset"), e.str("size"), hexData(e.str("hex"))))
		case "ext-rec":
			out = append(out, fmt.Sprintf(" - uid=%s: %s", e.str("uid"), hexData(e.str("hex"))))
		case "ext-atomic-inc":
			diff := e.str("diff")
			if e.num("diff") > 0 {
				diff = "+" + diff
			}
			out = append(out, fmt.Sprintf(" - uid=%s: %s", e.str("uid"), diff))
		case "modseq-update":
			out = append(out, fmt.Sprintf(" - uid=%s modseq=%s", e.str("uid"), e.str("modseq")))
		case "boundary":
			out = append(out, " - size="+e.str("transaction_size"))
		case "attribute-update":
			line := fmt.Sprintf(" - %s: %s/%s : timestamp=%s", e.str("change"), e.str("scope"), e.str("attribute"), date(e.num("timestamp")))
			if e.str("change") == "add" {
				line += " value_len=" + e.str("value_len")
			}
			out = append(out, line)
		}
	}
	if len(uids) > len(" - uids=") {
		out = append(out, uids)
	}
	return out
}

// hexData is print_data of doveadm-dump-log.c.
func hexData(s string) string {
	if len(s) == 8 {
		b, _ := hex.DecodeString(s)
		return fmt.Sprintf("%s (dec=%d)", s, little(b))
	}
	return s
}

func asMailboxLog(o object) []string {
	var out []string
	for _, r := range o.list("mailbox_log", "records") {
		out = append(out, fmt.Sprintf("#%s: %s %s (%s)", r.str("offset"), r.str("type"), r.str("guid"), date(r.num("time"))))
	}
	return out
}

func asDbox(o object) []string {
	d := o.object("dbox")
	out := []string{"file.msg_header_size = " + d.str("msg_header_size"), "file.create_stamp = " + withDate(d.num("create_stamp")), ""}
	for _, m := range d.list("messages") {
		guid := m.str("guid_text")
		if guid == "" {
			guid = m.str("guid")
		}
		out = append(out, fmt.Sprintf("offset %s:", m.str("offset")), "msg.size = "+m.str("declared_size"), "msg.received = "+withDate(m.num("received")))
		if m.at("physical_size") != nil {
			out = append(out, "msg.physical-size = "+m.str("physical_size"))
		}
		out = append(out, "msg.virtual-size = "+m.str("virtual_size"))
		for _, f := range [][2]string{{"pop3-uidl", "pop3_uidl"}, {"pop3-order", "pop3_order"}} {
			if m.str(f[1]) != "" {
				out = append(out, fmt.Sprintf("msg.%s = %s", f[0], m.str(f[1])))
			}
		}
		out = append(out, "msg.guid = "+guid)
		for _, f := range [][2]string{{"orig-mailbox", "orig_mailbox"}, {"ext-ref", "ext_ref"}} {
			if m.str(f[1]) != "" {
				out = append(out, fmt.Sprintf("msg.%s = %s", f[0], m.str(f[1])))
			}
		}
		out = append(out, "")
	}
	return out
}

// asIndex is `doveadm dump -t index`: an index, or a state, with its cache or nil.
func asIndex(index, cache object) []string {
	h := index.object("header")
	var out []string
	line := func(name, value string) { out = append(out, name+" = "+value) }
	line("version", h.str("major_version")+"."+h.str("minor_version"))
	for _, f := range [][2]string{{"base header size", "base_header_size"}, {"header size", "header_size"}, {"record size", "record_size"},
		{"compat flags", "compat_flags"}, {"index id", "indexid"}, {"flags", "flags"}, {"uid validity", "uid_validity"}, {"next uid", "next_uid"},
		{"messages count", "messages_count"}, {"seen messages count", "seen_messages_count"}, {"deleted messages count", "deleted_messages_count"},
		{"first recent uid", "first_recent_uid"}, {"first unseen uid lowwater", "first_unseen_uid_lowwater"},
		{"first deleted uid lowwater", "first_deleted_uid_lowwater"}, {"log file seq", "log_file_seq"}, {"log file tail offset", "log_file_tail_offset"},
		{"log file head offset", "log_file_head_offset"}, {"log2 rotate time", "log2_rotate_time"}, {"last temp file scan", "last_temp_file_scan"}, {"day stamp", "day_stamp"}} {
		v := h.str(f[1])
		switch f[1] {
		case "indexid", "uid_validity", "log2_rotate_time", "last_temp_file_scan", "day_stamp":
			v = withDate(h.num(f[1]))
		}
		line(f[0], v)
	}
	for i, n := range h.texts("day_first_uid") {
		line(fmt.Sprintf("day first uid[%d]", i), n)
	}
	for _, e := range index.list("extensions") {
		out = append(out, asExtension(e, index)...)
	}
	out = append(out, "-- Keywords --")
	for i, k := range index.texts("keywords") {
		out = append(out, fmt.Sprintf("%3d = %s", i, k))
	}
	out = append(out, "-- CACHE")
	out = append(out, asCacheHeader(cache)...)
	out = append(out, "-- RECORDS: "+h.str("messages_count"))
	return single(append(out, asRecords(index, cache)...))
}

func asExtension(e, state object) []string {
	out := []string{fmt.Sprintf("-- Extension %s --", e.str("id")), "name = " + e.str("name")}
	for _, f := range []string{"hdr_size", "reset_id", "record_offset", "record_size", "record_align"} {
		out = append(out, f+" = "+e.str(f))
	}
	h := e.object("header")
	facts := func(names ...string) {
		out = append(out, "header")
		for _, n := range names {
			v := h.str(n)
			switch {
			case strings.HasSuffix(n, "_time") || strings.HasSuffix(n, "mtime"):
				v = date(h.num(n))
			case n == "flags":
				v = fmt.Sprintf("0x%x", h.num(n))
			}
			if name := e.str("name"); name == "hdr-vsize" {
				n = strings.ReplaceAll(n, "_", " ")
			}
			out = append(out, fmt.Sprintf(" - %s = %s", n, v))
		}
	}
	switch name := e.str("name"); {
	case e.num("hdr_size") == 0 || name == "keywords":
	case name == "hdr-vsize":
		facts("highest_uid", "message_count", "vsize")
	case name == "maildir":
		facts("new_check_time", "new_mtime", "new_mtime_nsecs", "cur_check_time", "cur_mtime", "cur_mtime_nsecs", "uidlist_mtime", "uidlist_mtime_nsecs", "uidlist_size")
	case name == "mdbox-hdr":
		facts("map_uid_validity", "mailbox_guid", "flags")
	case name == "dbox-hdr":
		facts("rebuild_count", "mailbox_guid", "flags")
	case name == "modseq":
		if state.at("to") != nil { // Dovecot has it follow the logs
			h = object{"highest_modseq": state.at("highest_modseq"), "log_seq": state.at("to", "log_file_seq"), "log_offset": state.at("to", "offset")}
		} else if state.object("header").num("log_file_seq") > h.num("log_seq") { // a log was begun, and nothing is in it yet
			h = object{"highest_modseq": h.at("highest_modseq"), "log_seq": state.at("header", "log_file_seq"), "log_offset": state.at("header", "log_file_head_offset")}
		}
		facts("highest_modseq", "log_seq", "log_offset")
	case name == "hdr-pop3-uidl":
		facts("max_uid_with_pop3_uidl")
	case name == "list":
		out = append(out, "header = "+h.str("hex"), " - refresh_flag = "+h.str("refresh_flag"))
		for _, n := range h.list("names") {
			out = append(out, fmt.Sprintf(" - %s : %s", n.str("id"), n.str("name")))
		}
	case name == "box-name":
		out = append(out, "header = "+h.str("hex"))
		for _, l := range h.texts("levels") {
			out = append(out, " "+l)
		}
	default:
		out = append(out, "header = "+h.str("hex"))
	}
	return out
}

func asCacheHeader(cache object) []string {
	if cache == nil {
		return []string{"cache is unusable"}
	}
	h := cache.object("header")
	at := uint32(h.num("field_header_offset"))
	packed := 0x80<<24 | at>>2&0x7f<<24 | 0x80<<16 | at>>9&0x7f<<16 | 0x80<<8 | at>>16&0x7f<<8 | 0x80 | at>>23&0x7f
	out := []string{
		"major version = " + h.str("major_version"), "minor version = " + h.str("minor_version"), "indexid = " + withDate(h.num("indexid")),
		fmt.Sprintf("file_seq = %s (%d purges)", withDate(h.num("file_seq")), h.num("file_seq")-h.num("indexid")),
		"continued_record_count = " + h.str("continued_record_count"), "record_count = " + h.str("record_count"),
		"used_file_size (old) = " + h.str("used_file_size"), "deleted_record_count = " + h.str("deleted_record_count"),
		fmt.Sprintf("field_header_offset = %d (0x%08x nontranslated)", at, packed),
		"-- Cache fields --",
	}
	for _, f := range cache.list("fields") { // doveadm forgets that a setting demands a field
		size := "-"
		if f.at("size") != nil {
			size = f.str("size")
		}
		out = append(out, fmt.Sprintf("%s: %s %s %s %s %.16s", f.str("id"), f.str("name"), f.str("type"), size, strings.TrimSuffix(f.str("decision"), "!"), date(f.num("last_used"))))
	}
	return out
}

func asRecords(index, cache object) []string {
	byOffset := map[int64]object{}
	for _, r := range cache.list("records") {
		byOffset[r.num("offset")] = r
	}
	types := map[string]string{}
	for _, f := range cache.list("fields") {
		types[f.str("name")] = f.str("type")
	}
	var out []string
	for i, r := range index.list("records") {
		n := r.num("flags")
		names := ""
		for _, f := range []struct {
			bit  int64
			name string
		}{{8, "Seen"}, {1, "Answered"}, {2, "Flagged"}, {4, "Deleted"}, {16, "Draft"}} {
			if n&f.bit != 0 {
				names += " " + f.name
			}
		}
		if names != "" {
			names = "(" + names[1:] + ")"
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("RECORD: seq=%d, uid=%s, flags=0x%02x %s", i+1, r.str("uid"), n, names)))
		var values []string
		at := int64(0)
		for _, v := range r.list("values") {
			if v.str("extension") == "cache" {
				at = v.num("cache_offset")
			}
			values = append(values, asValue(v))
		}
		slices.Sort(values)
		out = append(out, values...)
		for cr := byOffset[at]; cr != nil; cr = byOffset[cr.num("prev_offset")] {
			out = append(out, fmt.Sprintf("- cache offset=%s size=%s, prev_offset = %s", cr.str("offset"), cr.str("size"), cr.str("prev_offset")))
			for _, v := range cr.list("values") {
				out = append(out, asCacheValue(v, types[v.str("field")]))
			}
		}
	}
	return out
}

// asValue is the data of an extension in a record, with what doveadm tells of it in lines beneath.
func asValue(v object) string {
	h := v.str("hex")
	b, _ := hex.DecodeString(h)
	number := ""
	name := v.str("extension")
	switch name {
	case "cache", "vsize", "modseq", "hmodseq", "ref": // by size and alignment
		if len(b) <= 8 {
			number = strconv.FormatUint(little(b), 10) + " "
		}
	case "keywords":
		h = strings.TrimRight(h, "0")
	}
	line := fmt.Sprintf("- ext %s: %s(%s)", name, number, h)
	for _, f := range map[string][]string{"map": {"file_id", "offset", "size"}, "mdbox": {"map_uid", "save_date"},
		"list": {"name_id", "parent_uid", "guid", "uid_validity"}, "msgs": {"messages", "unseen", "recent", "uidnext"}, "vsize": {"vsize", "highest_uid", "message_count"}}[name] {
		if v.at(f) == nil {
			continue
		}
		s := v.str(f)
		if f == "save_date" {
			s = withDate(v.num(f))
		}
		line += fmt.Sprintf("\n: %s = %s", f, s)
	}
	return line
}

func asCacheValue(v object, kind string) string {
	line := "- " + v.str("field") + ": "
	h := v.str("hex")
	switch kind {
	case "str":
		return line + v.str("text")
	case "hdr":
		lines := v.texts("lines")
		line += strings.Join(lines, ", ")
		text := v.str("text")
		if len(lines) == 1 {
			text = strings.TrimSuffix(text, "\n")
		}
		if text != "" {
			line += ": " + text
		}
		return line
	case "fix":
		b, _ := hex.DecodeString(h)
		if len(b) == 4 || len(b) == 8 {
			line += strconv.FormatUint(little(b), 10)
			if len(b) == 4 {
				line += " "
			}
		}
	}
	line += "(" + h + ")"
	switch v.str("field") {
	case "mime.parts":
		line += " " + asParts(v.list("parts"))
	case "body.snippet":
		line += fmt.Sprintf(" (version=%s: %s)", v.str("version"), v.str("text"))
	}
	return line
}

func asParts(parts []object) string {
	out, open := "", int64(-1)
	for _, p := range parts {
		depth := p.num("depth")
		for ; open >= depth; open-- {
			out += ")"
		}
		if depth > 0 && strings.HasSuffix(out, ")") == false {
			out += " "
		}
		out += fmt.Sprintf("(pos=%s hdr.p=%s hdr.v=%s body.p=%s body.v=%s flags=%x", p.str("pos"), p.str("header_physical"), p.str("header_virtual"),
			p.str("body_physical"), p.str("body_virtual"), p.num("flags"))
		open = depth
	}
	for ; open >= 0; open-- {
		out += ")"
	}
	return out
}
