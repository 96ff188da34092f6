package remote

import "strings"

// attempts gives the argument lists to try, the likeliest first. Dovecot 2.3 takes an empty configuration file and
// settings on top; 2.4 refuses that file for want of a version, and has -O for "no configuration" instead, which 2.3
// does not know. So only the right one starts, and the wrong one ends before it touches any mail.
func (f foundIMAP) attempts(s IMAPSpec) [][]string {
	old, modern := f.args23(s), f.args24(s)
	var lists [][]string
	if f.compress && !f.zlib {
		lists = [][]string{append(modern[:len(modern):len(modern)], "-o", "mail_plugins=mail_compress"), modern, old}
	} else {
		if f.zlib {
			lists = [][]string{append(old[:len(old):len(old)], "-o", "mail_plugins=zlib")}
		}
		lists = append(lists, old, modern)
	}
	return lists
}

// args23 is for Dovecot up to 2.3. Settings which an older version does not know it ignores.
func (f foundIMAP) args23(s IMAPSpec) []string {
	location := s.Layout + ":" + strings.ReplaceAll(s.MailRoot, ":", "::")
	if s.Layout == "maildir" && s.LayoutFS {
		location += ":LAYOUT=fs"
	}
	return f.settings([]string{"-c", "/dev/null"}, "mail_location="+location, "namespace=inbox", "namespace/inbox/inbox=yes", "namespace/inbox/separator=/")
}

// args24 is for Dovecot 2.4. Without a configuration it would offer no capability at all, so they are named.
func (f foundIMAP) args24(s IMAPSpec) []string {
	more := []string{"mail_driver=" + s.Layout, "mail_path=" + s.MailRoot, "namespace_separator=/",
		"imap_capability=IMAP4rev1 SASL-IR ID ENABLE IDLE SORT MULTIAPPEND UNSELECT CHILDREN NAMESPACE UIDPLUS LIST-EXTENDED ESEARCH WITHIN LIST-STATUS MOVE LITERAL+"}
	if s.Layout == "maildir" {
		layout := "maildir++"
		if s.LayoutFS {
			layout = "fs"
		}
		more = append(more, "mailbox_list_layout="+layout)
	}
	return f.settings([]string{"-O"}, more...)
}

// settings are those both take alike. Variables ("%u") in what -o gives are not expanded by either. A message that cannot
// be read is answered with NO, so that one connection can read all the others; files are read, not mapped, for the store
// may be on NFS.
func (f foundIMAP) settings(args []string, more ...string) []string {
	all := append([]string{"log_path=/dev/stderr", "first_valid_uid=1", "mmap_disable=yes", "imap_fetch_failure=no-after"}, more...)
	if f.lockMethod != "" {
		all = append(all, "lock_method="+f.lockMethod)
	}
	for _, s := range all {
		args = append(args, "-o", s)
	}
	return args
}
