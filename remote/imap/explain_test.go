package imap

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestRepliesAreExplainedByTheirVerbatimTexts(t *testing.T) {
	tests := []struct {
		op, line string
		class    Class
		whose    Whose
	}{
		{"EXAMINE", "NO [SERVERBUG] Internal error occurred. Refer to server log for more information. [2026-08-14 10:11:12] (0.002 + 0.000 secs).", ClassInternal, WhoseMailbox},
		{"STATUS", "NO [SERVERBUG] Internal error occurred. Refer to server log for more information. [2026-08-14 10:11:12]", ClassInternal, WhoseMailbox},
		{"SORT", "NO [SERVERBUG] Internal error occurred. Refer to server log for more information. [2026-08-14 10:11:12]", ClassInternal, WhoseMessage},
		{"FETCH", "NO [SERVERBUG] Internal error occurred. Refer to server log for more information.", ClassInternal, WhoseMessage},
		{"", "NO [SERVERBUG] Internal error occurred. Refer to server log for more information.", ClassInternal, WhoseMailbox},
		{"FETCH", "BYE FETCH failed: Internal error occurred. Refer to server log for more information. [2026-08-14 10:11:12]", ClassUnreadable, WhoseMessage},
		{"FETCH", "BYE IMAP session state is inconsistent, please relogin.", ClassInconsistent, WhoseMailbox},
		{"EXAMINE", "BYE Mailbox UIDVALIDITY changed", ClassUIDValidity, WhoseMailbox},
		{"connect", "BYE Internal error occurred. Refer to server log for more information. [2026-08-14 10:11:12]", ClassInternal, WhoseAccount},
		{"LOGIN", "OK Logged in, but initialization failed.", ClassInternal, WhoseAccount},
		{"LOGIN", "BYE [UNAVAILABLE] Internal login failure. Refer to server log for more information.", ClassUnavailable, WhoseHost},
		{"LOGIN", "NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)", ClassConnectionLimit, WhoseClient},
		{"LOGIN", "NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=20)", ClassConnectionLimit, WhoseClient},
		{"LOGIN", "NO [ALERT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=4)", ClassConnectionLimit, WhoseClient},
		{"LOGIN", "NO [UNAVAILABLE] Temporary authentication failure. [mail:2026-08-14 10:11:12]", ClassUnavailable, WhoseHost},
		{"LOGIN", "NO [UNAVAILABLE] Account is temporarily unavailable.", ClassUnavailable, WhoseHost},
		{"LOGIN", "NO [AUTHENTICATIONFAILED] Authentication failed.", ClassPassword, WhoseAccount},
		{"LOGIN", "NO [AUTHORIZATIONFAILED] Authorization failed", ClassAccount, WhoseAccount},
		{"LOGIN", "NO [EXPIRED] Password expired", ClassAccount, WhoseAccount},
		{"LOGIN", "NO [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.", ClassEncryption, WhoseClient},
		{"LOGIN", "NO [CONTACTADMIN] Login disabled for this user", ClassAccount, WhoseAccount},
		{"LOGIN", "NO [ALERT] Invoice unpaid, see mail of 3 August", ClassAlert, WhoseHost},
		{"", "NO [OVERQUOTA] Quota exceeded (mailbox for user is full)", ClassQuota, WhoseAccount},
		{"", "NO [OVERQUOTA] Not enough disk quota", ClassDiskFull, WhoseAccount},
		{"", "NO Not enough disk space", ClassDiskFull, WhoseAccount},
		{"", "NO [INUSE] Mailbox sizes are being recalculated", ClassBusy, WhoseNone},
		{"EXAMINE", "NO [SERVERBUG] Timeout while waiting for lock", ClassLock, WhoseMailbox},
		{"", "NO [LIMIT] Message has been copied too many times. Try again by downloading and re-uploading the message.", ClassLimit, WhoseMessage},
		{"SORT", "NO [LIMIT] Requested sort would have taken too long.", ClassLimit, WhoseMailbox},
		{"EXAMINE", "NO [CANNOT] Mailbox isn't a valid mbox file", ClassStrayFile, WhoseMailbox},
		{"EXAMINE", "NO [NOPERM] Permission denied", ClassPermission, WhoseAccount},
		{"EXAMINE", "NO [NOPERM] Read only file system", ClassPermission, WhoseAccount},
		{"EXAMINE", "NO [NONEXISTENT] Mailbox doesn't exist: Archive.2020", ClassMissing, WhoseMailbox},
		{"", "NO [TRYCREATE] Mailbox doesn't exist: Archive", ClassMissing, WhoseMailbox},
		{"EXAMINE", "NO Mailbox doesn't exist: Archive", ClassMissing, WhoseMailbox},
		{"EXAMINE", "NO Directory structure is broken", ClassMissing, WhoseMailbox},
		{"FETCH", "OK [EXPUNGEISSUED] Some messages were already expunged.", ClassExpunged, WhoseClient},
		{"FETCH", "NO [UNKNOWN-CTE] Unknown Content-Transfer-Encoding", ClassMIME, WhoseMessage},
		{"FETCH", "NO [PARSE] Invalid data", ClassMIME, WhoseMessage},
		{"", "BYE Disconnected for inactivity.", ClassBye, WhoseNone},
		{"", "BYE Server shutting down.", ClassBye, WhoseNone},
		{"", "BYE Too many invalid IMAP commands.", ClassMisunderstood, WhoseClient},
		{"LOGIN", "BYE Timeout while finishing login.", ClassUnavailable, WhoseHost},
		{"", "NO [THROTTLED] Slow down", ClassThrottled, WhoseHost},
		{"", "BAD Error in IMAP command FOO: Unknown command", ClassMisunderstood, WhoseClient},
		{"", "NO [STRANGE] never heard of", ClassOther, WhoseUnknown},
		{"", "OK Fetch completed.", ClassOther, WhoseNone},
	}
	for _, tt := range tests {
		s, ok := parseStatus([]byte("* " + tt.line))
		if !ok {
			t.Errorf("%q is no status", tt.line)
			continue
		}
		x := explainStatus(tt.op, s.typ, s.code, s.text)
		if x.Class != tt.class || x.Whose != tt.whose {
			t.Errorf("%s %q: %s, %s; want %s, %s", tt.op, tt.line, x.Class, x.Whose, tt.class, tt.whose)
		}
		if x.Meaning == "" || x.Next == "" && x.Class != ClassOther {
			t.Errorf("%q is not explained in full: %+v", tt.line, x)
		}
		if tt.op != "" {
			continue
		}
		if y := ExplainReply("* " + tt.line + "\r\n"); y != x {
			t.Errorf("ExplainReply(%q) = %+v", tt.line, y)
		}
		if y := ExplainReply(tt.line); y != x {
			t.Errorf("ExplainReply(%q) without the star = %+v", tt.line, y)
		}
	}
}

func TestConnectionLimitTellsHowMany(t *testing.T) {
	for text, want := range map[string]int{
		"NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)":             10,
		"NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=250)":                  250,
		"NO [LIMIT] Maximum number of connections from user+IP exceeded":                                                    0,
		"NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=99999999999999999999)": 0,
		"BYE Too many connections from your host.":                                                                          0,
	} {
		if x := ExplainReply(text); x.Class != ClassConnectionLimit || x.Limit != want {
			t.Errorf("%q: %+v", text, x)
		}
	}
}

func TestErrorsWithoutWordsAreExplained(t *testing.T) {
	tests := []struct {
		err   error
		class Class
		says  string
	}{
		{&Error{Op: "FETCH", Type: TypeClosed, UID: 9, Partial: true}, ClassClosed, "UID 9"},
		{&Error{Op: "LOGIN", Type: TypeClosed}, ClassClosed, "before the login"},
		{&Error{Op: "FETCH", Type: TypeTimeout}, ClassTimeout, ""},
		{&Error{Op: "FETCH", Type: TypeLimit}, ClassHostile, ""},
		{&Error{Op: "FETCH", Type: TypeProtocol}, ClassHostile, ""},
		{&Error{Op: "FETCH", Type: TypeStopped, Err: context.Canceled}, ClassStopped, ""},
		{&Error{Op: "LOGIN", Type: TypeRefused, Code: "PRIVACYREQUIRED"}, ClassEncryption, ""},
		{&Error{Op: "FETCH", Type: TypeBye, Text: "FETCH failed: Internal error occurred.", UID: 12}, ClassUnreadable, "UID 12"},
		{io.ErrUnexpectedEOF, ClassUnreachable, ""},
		{errors.Join(errors.New("x"), &Error{Type: TypeNo, Code: "AUTHENTICATIONFAILED"}), ClassPassword, ""},
	}
	for _, tt := range tests {
		x := Explain(tt.err)
		if x.Class != tt.class || !strings.Contains(x.Meaning, tt.says) || x.Next == "" {
			t.Errorf("%v: %+v", tt.err, x)
		}
	}
	if x := Explain(nil); x.Whose != WhoseNone {
		t.Errorf("nil: %+v", x)
	}
}

func TestLogLinesAreExplainedByTheirVerbatimTexts(t *testing.T) {
	const box = "/home/u/mail/mailboxes/INBOX/dbox-Mails/"
	tests := []struct {
		line  string
		class Class // "" for lines that mean nothing bad
	}{
		{"imap(u)<1><x>: Error: Corrupted index file " + box + "dovecot.index: File too small (0)", ClassIndex},
		{"imap(u)<1><x>: Error: Mailbox INBOX: " + box + "dovecot.index: indexid changed: 1 -> 2; reset, view is now inconsistent", ClassIndex},
		{"imap(u)<1><x>: Error: Mailbox INBOX: " + box + "dovecot.index reset, view is now inconsistent", ClassIndex},
		{"imap(u)<1><x>: Error: Corrupted transaction log file " + box + "dovecot.index.log seq 2: record size too small (type=0x0, offset=2384, size=0) (sync_offset=2384)", ClassLog},
		{"imap(u)<1><x>: Error: Index " + box + "dovecot.index: Lost log for seq=4 offset=24848: Missing middle file seq=4 (between 4..4294967295, we have seqs 6): .log.2 contains file_seq=5", ClassLog},
		{"imap(u)<1><x>: Error: Log synchronization error at seq=3,offset=2420 for " + box + "dovecot.index: Append with UID 15, but next_uid = 21", ClassLog},
		{"imap(u)<1><x>: Warning: fscking index file " + box + "dovecot.index", ""},
		{"imap(u)<1><x>: Error: Mailbox INBOX: Failed to map transaction log " + box + "dovecot.index.log at sync_offset=888 after locking: Unexpected garbage at EOF", ClassLog},
		{"imap(u)<1><x>: Error: Failed to map transaction log /home/u/mail/dovecot.list.index.log at sync_offset=1776 after locking: Unexpected garbage at EOF", ClassIndex},
		{"imap(u)<1><x>: Error: read() failed for file " + box + "u.15: No buffer space available", ClassMessageFile},
		{"imap(u)<1><x>: Error: Mailbox INBOX: Maildir filename has wrong W value, renamed the file from /m/cur/1.S=1,W=2:2,S to /m/cur/1.S=1:2,S", ClassCachedSize},
		{"imap(u)<1><x>: Panic: file index-mail.c: line 1140 (index_mail_parse_body_finish): assertion failed: (mail->data.parts != NULL)", ClassCrash},
		{"imap(u)<1><x>: Panic: file mail-index-util.c: line 10 (mail_index_uint32_to_offset): assertion failed: (offset < 0x40000000)", ClassCrash},
		{"imap(u)<1><x>: Panic: file mail-transaction-log-view.c: line 165 (mail_transaction_log_view_set): assertion failed: (min_file_seq <= max_file_seq)", ClassCrash},
		{"imap(u)<1><x>: Panic: file message-parser.c: line 174 (message_part_finish): assertion failed: (ctx->nested_parts_count > 0)", ClassCrash},
		{"imap(u)<1><x>: Panic: file istream.c: line 315 (i_stream_read_memarea): assertion failed: (old_size <= _stream->pos - _stream->skip)", ClassCachedSize},
		{"imap(u)<1><x>: Error: Corrupted index file " + box + "dovecot.index: messages_count too large (9 > 2)", ClassIndex},
		{"imap(u)<1><x>: Error: Corrupted index file " + box + "dovecot.index: Keyword header too small", ClassIndex},
		{"imap(u)<1><x>: Error: Recent flags state corrupted for mailbox INBOX", ClassIndex},
		{"imap(u)<1><x>: Error: Mailbox INBOX: Deleting corrupted cache record uid=12: UID 12: Broken physical size in mailbox INBOX: read(u.12) failed: something", ClassCache},
		{"imap(u)<1><x>: Error: Fixed index file " + box + "dovecot.index: log_file_seq 1 -> 2", ClassRepaired},
		{"imap(u)<1><x>: Warning: mdbox /home/u/mail/storage: rebuilding indexes", ClassRepaired},
		{"imap(u)<1><x>: Warning: sdbox " + box + ": Rebuilding index", ClassRepaired},
		{"imap(u)<1><x>: Error: mdbox map /home/u/mail/storage/dovecot.map.index corrupted: Unexpectedly lost INBOX uid=133 map_uid=17460", ClassMap},
		{"imap(u)<1><x>: Error: mdbox " + box + ": map uidvalidity mismatch (1 vs 2)", ClassMap},
		{"imap(u)<1><x>: Error: mdbox " + box + ": Unexpectedly lost INBOX uid=133 map_uid=17460", ClassMap},
		{"imap(u)<1><x>: Error: mdbox map /home/u/mail/storage/dovecot.map.index: Inconsistency in map index (1,2 != 3,4)", ClassMap},
		{"imap(u)<1><x>: Error: mdbox: Storage keeps breaking", ClassMap},
		{"imap(u)<1><x>: Error: Deleting corrupted cache file " + box + "dovecot.index.cache: Corrupted field", ClassCache},
		{"imap(u)<1><x>: Error: Corrupted index cache file " + box + "dovecot.index.cache: used_file_size too large", ClassCache},
		{"imap(u)<1><x>: Error: Mailbox INBOX: UID=12: read(" + box + "u.12) failed: Cached message size smaller than expected (8896 < 8942, box=INBOX, UID=12) (FETCH BODY[])", ClassCachedSize},
		{"imap(u)<1><x>: Error: Mailbox INBOX: UID=12: read(/m/cur/1.S=8896) failed: Cached message size larger than expected (8896 > 4000, box=INBOX, UID=12) (read reason=mail stream)", ClassCachedSize},
		{"imap(u)<1><x>: Error: Corrupted dbox file " + box + "u.12 (around offset=0): EOF while reading file header", ClassMessageFile},
		{"imap(u)<1><x>: Error: Corrupted dbox file /home/u/mail/storage/m.1 (around offset=512): EOF reading msg header (got 0/30 bytes)", ClassMessageFile},
		{"imap(u)<1><x>: Panic: file istream-dbox.c: line 12 (x): assertion failed: (y)", ClassCrash},
		{"imap(u)<1><x>: Fatal: master: service(imap): child 22 killed with signal 6 (core dumps disabled)", ClassCrash},
		{"imap(u)<1><x>: Fatal: block_alloc(268435456): Out of memory", ClassCrash},
		{"imap(u)<1><x>: Error: Timeout (180s) while waiting for lock for transaction log file " + box + "dovecot.index.log (WRITE lock held by pid 4)", ClassLock},
		{"imap(u)<1><x>: Warning: Broken file /m/dovecot-uidlist line 3: Invalid data:", ClassUIDList},
		{"imap(u)<1><x>: Error: write(" + box + "dovecot.index.log) failed: No space left on device", ClassDiskFull},
		{"imap(u)<1><x>: Error: open(" + box + "dovecot.index.log) failed: Permission denied (euid=5555(<unknown>) egid=5555(<unknown>) missing +r perm)", ClassPermission},
		{"imap(u)<1><x>: Error: read(/m) failed: Input/output error", ClassUnavailable},
		{"doveconf: Fatal: dovecot_storage_version setting must be set", ClassSetup},
		{"Fatal: Plugin 'zlib' not found from directory /usr/lib/dovecot/modules", ClassSetup},
		{"imap(u)<1><x>: Info: Disconnected: Logged out in=38 out=823 deleted=0 expunged=0", ""},
		{"imap(u)<1><x>: Info: Disconnected: FETCH failed: Corrupted dbox file " + box + "u.12 (around offset=0)", ""},
		{"", ""},
	}
	for _, tt := range tests {
		x, ok := ExplainLog(tt.line)
		if ok != (tt.class != "") || x.Class != tt.class {
			t.Errorf("%q: %s, %v; want %s", tt.line, x.Class, ok, tt.class)
		}
		if ok && (x.Meaning == "" || x.Next == "" || x.Whose == "") {
			t.Errorf("%q is not explained in full: %+v", tt.line, x)
		}
	}
}

func TestEveryRuleSaysWhatToDo(t *testing.T) {
	for i, r := range replies {
		if r.means == "" || r.next == "" || r.class == "" || r.whose == "" || r.text == nil && r.code == "" && r.typ == "" {
			t.Errorf("reply rule %d: %+v", i, r)
		}
	}
	for i, r := range logLines {
		if r.means == "" || r.next == "" || r.class == "" || r.whose == "" || r.text == nil {
			t.Errorf("log rule %d: %+v", i, r)
		}
	}
}
