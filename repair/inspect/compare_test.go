//go:build unix

package inspect

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Settings that make Dovecot write an index with almost every change; and such that make logs rotate.
const (
	always   = "mail_index_rewrite_min_log_bytes = 0\nmail_index_rewrite_max_log_bytes = 1\n"
	rotating = "mail_index_rewrite_min_log_bytes = 1k\nmail_index_rewrite_max_log_bytes = 2k\nmail_index_log_rotate_min_size = 4k\n" +
		"mail_index_log_rotate_min_age = 0\nmail_index_log_rotate_max_size = 16k\n"
	metadata = "mail_attribute_dict = file:%h/attributes\nimap_metadata = yes\nmailbox_list_index_include_inbox = yes\nmailbox_list_index_very_dirty_syncs = no\n"
)

var (
	dots    = regexp.MustCompile(`^([^=]*?)[ .]+= `)
	spaces2 = regexp.MustCompile(` {2,}`)
)

// tidy brings the lines of doveadm's dump of an index into the form of [asIndex]: without padding, and with the data of
// extensions sorted by their names instead of by numbers that doveadm makes up.
func tidy(dump string) []string {
	var out, values []string
	flush := func() {
		slices.Sort(values)
		out, values = append(out, values...), nil
	}
	ext := regexp.MustCompile(`^ - ext \d+ (.*?) *: +(.*)$`)
	for _, line := range strings.Split(strings.TrimRight(dump, "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, " - ext "):
			m := ext.FindStringSubmatch(line)
			if m[1] == "keywords" {
				m[2] = strings.TrimRight(strings.TrimSuffix(m[2], ")"), "0") + ")"
			}
			values = append(values, fmt.Sprintf("- ext %s: %s", m[1], m[2]))
			continue
		case strings.HasPrefix(line, "                   : "):
			values[len(values)-1] += "\n" + spaces2.ReplaceAllString(strings.TrimSpace(line), " ")
			continue
		}
		flush()
		switch {
		case line == "" || strings.HasPrefix(line, "-- INDEX") || strings.HasPrefix(line, " #  Name"):
		case strings.HasPrefix(line, "-- CACHE"):
			out = append(out, "-- CACHE")
		case strings.HasPrefix(line, " - cache ") || strings.HasPrefix(line, "    - ") || strings.HasPrefix(line, "RECORD"):
			out = append(out, strings.TrimSpace(line))
		case regexp.MustCompile(`^ *\d+: `).MatchString(line):
			out = append(out, spaces2.ReplaceAllString(strings.TrimSpace(line), " "))
		default:
			out = append(out, dots.ReplaceAllString(line, "$1 = "))
		}
	}
	flush()
	return single(out)
}

// single splits what has several lines, and takes spaces from the ends of all.
func single(lines []string) []string {
	out := strings.Split(strings.Join(lines, "\n"), "\n")
	for i := range out {
		out[i] = strings.TrimRight(out[i], " ")
	}
	return out
}

// TestDumpTellsEverythingThatDoveadmDumpTells compares every file of an account with doveadm dump; with DOVEMEND_TEST_FULL=1 the
// account has more than 10,000 messages.
func TestDumpTellsEverythingThatDoveadmDumpTells(t *testing.T) {
	messages, kinds := 28, map[string]string{"always": always, "rotating": rotating, "fresh": ""}
	if os.Getenv("DOVEMEND_TEST_FULL") != "" {
		messages = 10_500
		delete(kinds, "always") // to write a large index anew with each change takes hours
	}
	for _, layout := range []string{"mdbox", "sdbox", "maildir", "mdbox-index"} {
		for name, settings := range kinds {
			t.Run(layout+"/"+name, func(t *testing.T) {
				t.Parallel()
				location, extra, _ := strings.Cut(layout, "-")
				settings := settings + metadata
				if extra == "index" {
					settings += "mail_location = mdbox:~/mail:LAYOUT=index\n"
				}
				s := newRealStore(t, location, settings)
				s.fill(messages)
				if location == "mdbox" {
					s.Doveadm("purge")
				}
				compareTree(t, s, name != "fresh")
			})
		}
	}
}

// indexAlone is what doveadm tells of an index without the part of its log that is not written into it yet: Dovecot opens no
// index without a log.
func (s *realStore) indexAlone(name string, header object, cached bool) string {
	s.t.Helper()
	dir, err := os.MkdirTemp(s.Dir, "")
	if err != nil {
		s.t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	put := func(suffix string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, "dovecot.index"+suffix), b, 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, suffix := range []string{"", ".cache", ".log.2", ".log"} {
		b, err := os.ReadFile(name + suffix)
		if err != nil {
			continue
		}
		if suffix == ".cache" && !cached {
			continue
		}
		if strings.HasPrefix(suffix, ".log") {
			if int64(little(b[8:12])) != header.num("log_file_seq") {
				continue
			}
			suffix, b = ".log", b[:header.num("log_file_head_offset")]
		}
		put(suffix, b)
	}
	err = filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err == nil {
			err = s.Chown(p)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.Doveadm("dump", "-t", "index", filepath.Join(dir, "dovecot.index"))
}

// knows reports whether an index is of a time when the cache was this one; it may have been exchanged since.
func knows(index, cache object) bool {
	for _, e := range index.list("extensions") {
		if e.str("name") == "cache" {
			return e.num("reset_id") == cache.object("header").num("file_seq")
		}
	}
	return true
}

func compareTree(t *testing.T, s *realStore, snapshots bool) {
	all, _, res := dumped(t, tree(t, s.root), ".", Options{})
	if res.Faults > 0 || res.Unreadable > 0 {
		t.Errorf("a healthy store: %+v", res)
		for _, o := range all {
			if rules(o) != "" {
				t.Errorf("%s: %s", o.str("path"), rules(o))
			}
		}
	}
	compared, dbox := map[string]int{}, 0
	check := func(what, path string, got, want []string) {
		t.Helper()
		compared[what] += len(want)
		if d := differences(got, want); d != "" {
			t.Errorf("%s: %s", path, d)
		}
	}
	for _, o := range all {
		name := filepath.Join(s.root, o.str("path"))
		lines := func(kind string) []string {
			return strings.Split(strings.TrimRight(s.Doveadm("dump", "-t", kind, name), "\n"), "\n")
		}
		switch Kind(o.str("kind")) {
		case KindLog:
			check("log", name, asLog(o), lines("log"))
		case KindMailboxLog:
			check("mailbox log", name, asMailboxLog(o), lines("mailboxlog"))
		case KindDbox:
			if dbox++; dbox > 10 && dbox%100 != 0 {
				continue // a process of its own for each message of an sdbox takes long
			}
			want := lines("dbox")
			check("dbox", name, asDbox(o), append(want, ""))
		case KindIndex:
			if path.Ext(name) == ".backup" {
				continue
			}
			cache := find(all, o.str("path")+".cache", KindCache).object("cache")
			if !knows(o.object("index"), cache) {
				cache = nil
			}
			check("index", name, asIndex(o.object("index"), cache), tidy(s.indexAlone(name, o.object("index", "header"), cache != nil)))
		case KindState:
			cache := find(all, o.str("path")+".cache", KindCache).object("cache")
			check("state", name, withoutMemory(asIndex(o.object("state"), cache)), withoutMemory(tidy(s.Doveadm("dump", "-t", "index", name))))
		}
	}
	t.Logf("lines of doveadm compared: %v", compared)
	if snapshots && compared["index"] == 0 || compared["state"] == 0 || compared["log"] == 0 || compared["mailbox log"] == 0 {
		t.Errorf("too little was compared: %v", compared)
	}
}

// withoutMemory leaves out what is in no file while logs are not yet written into the index: how Dovecot lays records and
// the list of keywords out in memory, how far it moves the tail on over records that ask for nothing, and the low-water
// marks that it keeps while it applies the logs.
func withoutMemory(lines []string) []string {
	name := ""
	return slices.DeleteFunc(lines, func(l string) bool {
		if n, ok := strings.CutPrefix(l, "name = "); ok {
			name = n
		}
		field, _, _ := strings.Cut(l, " =")
		switch field {
		case "header size", "record size", "record_offset", "first unseen uid lowwater", "first deleted uid lowwater", "log file tail offset":
			return true
		case "hdr_size", "record_size":
			return name == "keywords"
		}
		return false
	})
}
