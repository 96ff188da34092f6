package dovecot

import "encoding/binary"

// mailboxLogRecordSize is sizeof(struct mailbox_log_record).
const mailboxLogRecordSize = 24

// MailboxLogType is enum mailbox_log_record_type.
type MailboxLogType uint8

// What a record of a mailbox log tells.
const (
	MailboxDeleted MailboxLogType = 1 + iota
	MailboxDirDeleted
	MailboxRenamed
	MailboxSubscribed
	MailboxUnsubscribed
	MailboxDirCreated // 2.3.19 writes it, but where it reads the log it takes it for damage and deletes the file
)

// String is the name `doveadm dump` gives the type, "" for one it does not know.
func (t MailboxLogType) String() string {
	switch t {
	case MailboxDeleted:
		return "delete-mailbox"
	case MailboxDirDeleted:
		return "delete-dir"
	case MailboxRenamed:
		return "rename"
	case MailboxSubscribed:
		return "subscribe"
	case MailboxUnsubscribed:
		return "unsubscribe"
	case MailboxDirCreated:
		return "create-dir"
	}
	return ""
}

// MailboxLogRecord is struct mailbox_log_record.
type MailboxLogRecord struct {
	Offset int64
	Type   MailboxLogType
	GUID   GUID   // of the mailbox; of a subscription or a directory the first 16 bytes of the SHA-1 of its name
	Time   uint32 // Unix time; the only number in Dovecot's files that is big-endian
}

// ParseMailboxLog reads a dovecot.mailbox.log or .log.2: what was created, deleted, renamed and subscribed, for dsync. The
// records have one size and no marks; one that cannot be is left out and reported, and behind bytes that were lost or
// put in between the reader goes on at the next place where two records in a row, or the last one of the file, make sense.
func ParseMailboxLog(b []byte) ([]MailboxLogRecord, []Fault) {
	var out []MailboxLogRecord
	fs := &faults{}
	for at := 0; at < len(b); {
		if len(b)-at < mailboxLogRecordSize {
			fs.add(at, "mailbox-log-cut", "%d bytes are left, a record has %d", len(b)-at, mailboxLogRecordSize)
			break
		}
		if problem := mailboxLogProblem(b[at:]); problem != "" {
			next := mailboxLogResync(b, at+1)
			fs.add(at, "mailbox-log-record", "%s; %d bytes are passed over", problem, next-at)
			at = next
			continue
		}
		out = append(out, MailboxLogRecord{Offset: int64(at), Type: MailboxLogType(b[at]), GUID: GUID(b[at+4 : at+20]), Time: binary.BigEndian.Uint32(b[at+20:])})
		at += mailboxLogRecordSize
	}
	return out, fs.all()
}

// mailboxLogProblem says why no record begins here, or "".
func mailboxLogProblem(b []byte) string {
	switch {
	case len(b) < mailboxLogRecordSize:
		return "the record is cut"
	case MailboxLogType(b[0]).String() == "":
		return "no record has this type"
	case b[1]|b[2]|b[3] != 0:
		return "the bytes behind the record's type are not zero"
	}
	return ""
}

// mailboxLogResync is the next place from at on where records make sense, or the end.
func mailboxLogResync(b []byte, at int) int {
	for ; at+mailboxLogRecordSize <= len(b); at++ {
		if next := b[at+mailboxLogRecordSize:]; mailboxLogProblem(b[at:]) == "" && (len(next) == 0 || mailboxLogProblem(next) == "") {
			return at
		}
	}
	return len(b)
}
