package damage

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
)

// maildirKinds break what only a Maildir has.
var maildirKinds = []kind{
	{"uidlist-missing", "maildir", "dovecot-uidlist is removed", over(list, removed)},
	{"uidlist-empty", "maildir", "dovecot-uidlist has no byte left", over(list, emptied)},
	{"uidlist-garbage", "maildir", "random bytes in the middle of dovecot-uidlist", over(list, noisy(-1, 300))},
	{"uidlist-cut", "maildir", "dovecot-uidlist ends at half", over(list, keep(50))},
	{"uidlist-cut-between", "maildir", "dovecot-uidlist ends somewhere between two lines", inList(func(b *breaker, p string, lines [][]byte) error {
		return b.truncate(p, start(lines, int(b.between(1, int64(len(lines))))))
	})},
	{"uidlist-header-garbage", "maildir", "random bytes over the first line of dovecot-uidlist", inList(func(b *breaker, p string, lines [][]byte) error {
		noise := b.noise(int64(len(lines[0]) - 1))
		return b.overwrite(p, 0, bytes.ReplaceAll(noise, []byte{'\n'}, []byte{'\r'}))
	})},
	{"uidlist-uidvalidity", "maildir", "dovecot-uidlist has another UIDVALIDITY", inList(func(b *breaker, p string, lines [][]byte) error {
		at := bytes.IndexByte(lines[0], 'V') + 1
		if at == 0 {
			return nothing("%s has no UIDVALIDITY", p)
		}
		n := bytes.IndexByte(lines[0][at:], ' ')
		digits := bytes.Clone(lines[0][at : at+n])
		i := b.between(1, int64(n))
		digits[i] = '0' + (digits[i]-'0'+byte(b.between(1, 10)))%10
		return b.overwrite(p, int64(at), digits)
	})},
	{"uidlist-bad-line", "maildir", "a line of dovecot-uidlist does not begin with a UID", inList(func(b *breaker, p string, lines [][]byte) error {
		i := int(b.between(1, int64(len(lines))))
		return b.overwrite(p, start(lines, i), []byte("?~"))
	})},
	{"uidlist-unordered", "maildir", "two lines of dovecot-uidlist have changed places", inList(func(b *breaker, p string, lines [][]byte) error {
		if len(lines) < 4 {
			return nothing("%s has few lines", p)
		}
		i := int(b.between(1, int64(len(lines)-1)))
		return b.overwrite(p, start(lines, i), append(bytes.Clone(lines[i+1]), lines[i]...))
	})},
	{"uidlist-and-index-missing", "maildir", "dovecot-uidlist and dovecot.index are removed", all(over(list, removed), over(index, removed))},
	{"uidlist-and-indexes-missing", "maildir", "dovecot-uidlist and all index files are removed", all(over(list, removed), removeIndex)},
	{"keywords-missing", "maildir", "dovecot-keywords is removed", over(keywords, removed)},
	{"keywords-garbage", "maildir", "random bytes over dovecot-keywords", over(keywords, noisy(0, 1<<16))},
	{"name-size-wrong", "maildir", "the name of a message's file tells another size (S=) than it has", renumber(",S=")},
	{"name-vsize-wrong", "maildir", "the name of a message's file tells another virtual size (W=) than it has", renumber(",W=")},
	{"message-duplicate", "maildir", "a message's file lies in new/ a second time", inMail(func(b *breaker, p string) error {
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		base, _, _ := strings.Cut(filepath.Base(p), ":2,")
		dir := "new"
		if filepath.Base(filepath.Dir(p)) == "new" {
			dir, base = "cur", base+":2,"
		}
		return b.create(b.path(filepath.Join(dir, base)), p, data)
	})},
	{"cur-missing", "maildir", "the directory cur/ is removed with all in it", over("cur", (*breaker).removeDir)},
	{"new-missing", "maildir", "the directory new/ is removed with all in it", over("new", (*breaker).removeDir)},
	{"tmp-missing", "maildir", "the directory tmp/ is removed", over("tmp", (*breaker).removeDir)},
}

// inList makes a kind that changes lines of dovecot-uidlist.
func inList(do func(b *breaker, path string, lines [][]byte) error) func(*breaker) error {
	return over(list, func(b *breaker, path string) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var lines [][]byte
		for line := range bytes.Lines(data) {
			lines = append(lines, line)
		}
		if len(lines) < 2 {
			return nothing("%s names no message", path)
		}
		return do(b, path, lines)
	})
}

// start is where line i begins.
func start(lines [][]byte, i int) (at int64) {
	for _, line := range lines[:i] {
		at += int64(len(line))
	}
	return at
}

// renumber makes a kind that changes the first digit of a number in a file's name, and in the uidlist as well, as if the
// file had been delivered so.
func renumber(key string) func(*breaker) error {
	return inMail(func(b *breaker, p string) error {
		name := []byte(filepath.Base(p))
		at := bytes.Index(name, []byte(key)) + len(key)
		if at < len(key) {
			return nothing("the name of %s does not tell it", p)
		}
		base, _, _ := strings.Cut(string(name), ":2,")
		name[at] = '1' + (name[at]-'1'+byte(b.between(1, 9)))%9
		if err := b.rename(p, filepath.Join(filepath.Dir(p), string(name))); err != nil {
			return err
		}
		data, err := os.ReadFile(b.path(list))
		if err != nil {
			return err
		}
		if i := bytes.Index(data, []byte(":"+base+"\n")); i >= 0 {
			return b.overwrite(b.path(list), int64(i+1+at), name[at:at+1])
		}
		return nil
	})
}
