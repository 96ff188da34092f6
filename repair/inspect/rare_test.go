package inspect

import (
	"encoding/binary"
	"strings"
	"testing"
	"testing/fstest"
)

// What follows makes files of what few stores hold, or none that this Dovecot writes.

var le = binary.LittleEndian

// logFile makes a log that starts from nothing.
func logFile(records ...[]byte) []byte {
	b := make([]byte, 40)
	b[0], b[1], b[2], b[32] = 1, 3, 40, 1
	le.PutUint32(b[4:], 77)
	le.PutUint32(b[8:], 2)
	le.PutUint64(b[24:], 1)
	for _, r := range records {
		b = append(b, r...)
	}
	return b
}

// logRecord frames a payload; bits of the type are 0x10000000 external, 0x20000000 sync.
func logRecord(kind uint32, payload ...any) []byte {
	b := make([]byte, 8)
	for _, p := range payload {
		switch p := p.(type) {
		case int:
			b = le.AppendUint32(b, uint32(p))
		case string:
			b = append(b, p...)
			for len(b)%4 != 0 {
				b = append(b, 0)
			}
		}
	}
	n := uint32(len(b)) >> 2
	b[0], b[1], b[2], b[3] = byte(n>>21)|0x80, byte(n>>14)|0x80, byte(n>>7)|0x80, byte(n)|0x80
	le.PutUint32(b[4:], kind)
	return b
}

const external = 0x10000000

// virtualHeader is the header of the extension of a virtual mailbox that has one mailbox, "Work".
func virtualHeader() string {
	b := make([]byte, 40)
	le.PutUint32(b[4:], 1)  // mailbox_count
	le.PutUint32(b[16:], 9) // id
	le.PutUint32(b[20:], 4) // name_len
	le.PutUint32(b[28:], 3) // next_uid
	return string(b) + "Work"
}

// rareLog has a record of every type, and extensions of virtual mailboxes and of the list.
func rareLog() []byte {
	intro := func(name string, header, record, align int) []byte {
		return logRecord(external|0x40, byName, 0, header, record|align<<16, 1|len(name)<<16, name)
	}
	list := "\x01" + "\x05\x00\x00\x00Sent\x00" + "\x00\x00\x00\x00"
	return logFile(
		logRecord(external|0x20, 24|4<<16, 1234567890, 92|2<<16, 7, 13|2<<16, 0),
		logRecord(external|0x2, 1, 0, 2, 8, 3, 0x40, 4, 0x80),
		logRecord(0x4, 1, 2, 0x0308, 3, 3, 0x01ff20),
		logRecord(external|0x400, 4<<16, "Work", 1, 2),
		logRecord(0x20000400, 1|3<<16, "abc", 3, 3),
		logRecord(0x800, 2, 2),
		intro("virtual", len(virtualHeader()), 8, 4), logRecord(external|0x100, len(virtualHeader())<<16, virtualHeader()),
		logRecord(external|0x200, 1, 9, 77),
		intro("list", len(list), 28, 4), logRecord(external|0x10000, 0, len(list), list),
		logRecord(external|0x200, 1, 5, 0, "0123456789abcdef", 1234567890),
		logRecord(external|0x100, 4|4<<16, "Sent"),
		intro("own", 0, 3, 1), logRecord(external|0x200, 1, "xyz", 2, "abc"),
		intro("count", 0, 2, 2), logRecord(external|0x1000, 1, 5, 2, -3), logRecord(external|0x80, 99, 1),
		intro("1saved", 0, 8, 4), logRecord(external|0x200, 1, 4, 1234567890), intro("box-name", 12, 0, 0), logRecord(external|0x100, 12<<16, "Archive\x002020"),
		intro("modseq", 16, 8, 8),
		logRecord(external|0x40, 1, 0, 48, 8|4<<16, 1),
		logRecord(external|0x8000, 1, 100, 0, 0, 200, 0),
		logRecord(external|0x100000, "+pcomment\x00-sadmin\x00\x00", 1234567890, 5, 1234567891),
		logRecord(0xcd91, 1, 1), logRecord(0xed90, 2, "0123456789abcdef"), logRecord(external|0xed90, 2, "0123456789abcdef"),
		logRecord(external|0x80000, 12), logRecord(0x20000, 0), logRecord(external|0x40000, 0),
		logRecord(0x40000), // empty: invalid
	)
}

// rareFiles are files of what few stores hold.
func rareFiles() fstest.MapFS {
	return fstest.MapFS{"odd/dovecot.index.log": {Data: rareLog()}, "odd/dovecot.index.cache": {Data: rareCache()}}
}

// rareCache has a field of every type, and values that are broken.
func rareCache() []byte {
	names := []string{"flags", "date.sent", "date.received", "size.virtual", "guid", "mime.parts", "body.snippet", "hdr.Subject", "own"}
	types := []byte{3, 0, 0, 0, 2, 1, 1, 4, 9}
	sizes := []uint32{4, 8, 4, 8, ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0)}
	b := make([]byte, 32)
	b[0], b[1], b[2] = 1, 8, 1
	le.PutUint32(b[4:], 77)
	le.PutUint32(b[8:], 1)
	b[28], b[29], b[30], b[31] = 0x80, 0x80, 0x80, 0x80|32>>2
	fields := make([]byte, 12)
	le.PutUint32(fields[8:], uint32(len(names)))
	fields = append(fields, make([]byte, 4*len(names))...)
	for _, n := range sizes {
		fields = le.AppendUint32(fields, n)
	}
	fields = append(fields, types...)
	fields = append(fields, 0, 1, 2, 0x82, 0x81, 0, 0, 0, 9)
	fields = append(fields, strings.Join(names, "\x00")+"\x00"...)
	for len(fields)%4 != 0 {
		fields = append(fields, 0)
	}
	le.PutUint32(fields[4:], uint32(len(fields)))
	b = append(b, fields...)
	record := func(values ...any) {
		r := make([]byte, 8)
		for _, v := range values {
			switch v := v.(type) {
			case int:
				r = le.AppendUint32(r, uint32(v))
			case string:
				r = append(le.AppendUint32(r, uint32(len(v))), v...)
				for len(r)%4 != 0 {
					r = append(r, 0)
				}
			}
		}
		le.PutUint32(r[4:], uint32(len(r)))
		b = append(b, r...)
	}
	leaf := strings.Repeat("\x07\x00\x00\x00\x00\x00\x00\x00", 4)
	record(0, 0x30, 1, 1234567890, -60, 2, 1234567890, 3, 99, 0, 4, "guid\x1b[31m")
	record(5, "\x08\x00\x00\x00"+leaf+"\x02\x00\x00\x00", 5, "\x01\x00\x00\x00"+leaf+"\x01\x00\x00\x00"+"\x00\x00\x00\x00"+"\x00\x00\x00\x00\x00\x00\x00\x00"+leaf, 5, "\x08\x00\x00\x00")
	record(6, "1a snippet", 7, "\x03\x00\x00\x00\x00\x00\x00\x00Subject: x\n", 7, "", 7, "\x03\x00\x00\x00", 8, "abcd", 8, "abcde")
	record(0, 1, 200, 7) // no such field
	return b
}

func TestRareRecordsAreTold(t *testing.T) {
	all, text, res := dumped(t, rareFiles(), ".", Options{})
	for _, want := range []string{
		"field=uid_validity value=1234567890 (2009-02-13 23:31:30 UTC)", "offset=92 size=2 hex=0700", "uid=4 flags=0x80 (dirty)",
		`first_uid=1 last_uid=2 add=0x08 (\Seen) remove=0x03 (\Answered \Flagged)`, "modseq_inc", `change=add keyword="Work"`,
		"type=keyword-update sync size=24", `change=remove keyword="abc"`, `name="Work" id=9`, "mailbox_id=9 real_uid=77", `id=5 name="Sent"`,
		"type=ext-hdr32 ", `uid=1 hex=78797a`, "uid=2 diff=-3", "new_reset_id=99 preserve_data", "first_saved_uid=4 first_saved=1234567890",
		`levels="Archive","2020"`, "uid=1 modseq=100", `change=add scope=private attribute="comment" timestamp=1234567890 (2009-02-13 23:31:30 UTC) value_len=5`,
		`change=remove scope=shared attribute="admin"`, "type=expunge size=16", "uid=2 guid=30313233343536373839616263646566",
		"transaction_size=12", "type=index-deleted size=12", "type=index-undeleted external", "invalid", "log-record-invalid",
		`field="date.sent" time=1234567890 (2009-02-13 23:31:30 UTC) timezone_minutes=-60`, "bits=0x30", `text="guid\x1b[31m"`,
		"pos=0 header_physical=7", "depth=1 pos=0", "broken", `version=49 text="a snippet"`, `lines=3 text="Subject: x\n"`, `type=0x9`, `decision=yes!`, `decision=0x9`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the text", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
	if res.Faults == 0 || len(all) != 3 || rules(all[0]) != "cache-record" {
		t.Errorf("%+v, %s", res, rules(all[0]))
	}
}
