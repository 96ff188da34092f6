package remote

import (
	"io/fs"
	"math/rand/v2"
	"regexp"
	"strings"
)

var allClasses = []Class{ClassCache, ClassIndex, ClassIndexFile, ClassMailboxFile, ClassFolder, ClassTemp, ClassAside, "", "none"}

// hostilePath makes one path which is meant to get past the guard. real are relative paths of things that exist; about
// one in ten comes out as it is.
func hostilePath(r *rand.Rand, real []string, mailRoot string) string {
	p := real[r.IntN(len(real))]
	for range r.IntN(4) {
		p = hostileTurn(r, p, real, mailRoot)
	}
	return p
}

func hostileTurn(r *rand.Rand, p string, real []string, mailRoot string) string {
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	parts := strings.Split(p, "/")
	at := r.IntN(len(parts))
	insert := func(s string) string {
		return strings.Join(append(append(append([]string{}, parts[:at]...), s), parts[at:]...), "/")
	}
	swap := func(s string) string {
		q := append([]string{}, parts...)
		q[at] = s
		return strings.Join(q, "/")
	}
	switch r.IntN(22) {
	case 0:
		return insert("..")
	case 1:
		return insert(".")
	case 2:
		return insert("")
	case 3:
		return insert(pick("...", ".. ", " ..", "..\\..", "%2e%2e", "．．", "‥", "..;", "~", "-rf", "--", "*", "$HOME", "`id`", "mailboxes", "dbox-Mails", "cur"))
	case 4:
		return strings.Repeat("../", 1+r.IntN(8)) + p
	case 5:
		return p + pick("/", "//", "/.", "/..", "/../..", " ", "\x00", "\x00.cache", ".", "~", "/../"+real[r.IntN(len(real))])
	case 6:
		return pick("/", "//", "./", "../", "~/", mailRoot, mailRoot+"/", "\x00", " ", "-", "sftp://", "\\") + p
	case 7:
		return swap(parts[at] + string(rune(r.IntN(33)))) // control bytes
	case 8:
		return swap(pick("\x7f", "\x1b[2J", "\n", "\r", "\t", "\xff\xfe", "\u202e", "\u200b", "\ufeff") + parts[at])
	case 9:
		return swap(strings.ToUpper(parts[at]))
	case 10:
		return swap(strings.NewReplacer("a", "а", "o", "ο", "e", "е", "i", "і", "/", "∕", ".", "․").Replace(parts[at])) // look-alikes
	case 11:
		return swap(parts[at] + strings.Repeat("x", 200+r.IntN(120)))
	case 12:
		return strings.Repeat("mailboxes/", r.IntN(600)) + p
	case 13:
		return swap(pick("Evil", "Evil2", "Evil3", "Evil4", "Loop", "Theirs", "Odd", "canary", "bert", "stray"))
	case 14:
		return strings.Join(parts[:at], "/")
	case 15:
		return strings.Join(parts[at:], "/")
	case 16:
		return p + "/" + real[r.IntN(len(real))]
	case 17:
		return swap(pick("dovecot.index", "dovecot.index.cache", "dovecot.index.log", "u.1", ".dovemend-x", "dovemend-aside", "mailboxes", "storage", "Mailboxes", "mailboxes2"))
	case 18:
		b := []byte(p)
		if len(b) > 0 {
			b[r.IntN(len(b))] = byte(r.IntN(256))
		}
		return string(b)
	case 19:
		b := make([]byte, r.IntN(40))
		for i := range b {
			b[i] = byte(r.IntN(256))
		}
		return "mailboxes/" + string(b)
	case 20:
		return pick("", "/", ".", "..", "mailboxes", "mailboxes/", "/home/u", "/home/u/canary/u.1", "/etc/passwd", "../..", "mailboxes/..", "mailboxes/.", "*", "mailboxes/*")
	}
	return strings.ReplaceAll(p, "/", pick("//", "/./", "/x/../", "\\", "\x00", "∕"))
}

var (
	oracleFile   = regexp.MustCompile(`^mailboxes/[^/]+(?:/[^/]+)+$`)
	oracleFolder = regexp.MustCompile(`^mailboxes(?:/[^/]+)+$`)
	oracleBytes  = regexp.MustCompile(`^[^\x00-\x1f\x7f]+$`)
)

// oracle says in another way than the guard whether a path may pass. kind gives what there is under exactly this name in
// a list of all real things (nothing is followed and nothing cleaned), relative to the mail root; "" is the mail root.
func oracle(rel string, class Class, remove bool, kind func(rel string) (fs.FileMode, bool)) (ok bool, why string) {
	if !oracleBytes.MatchString(rel) {
		return false, "control bytes"
	}
	for _, part := range strings.Split(rel, "/") {
		if part == "" || part == "." || part == ".." {
			return false, "not clean"
		}
	}
	if remove {
		if k, ok := kind("mailboxes"); !ok || k != fs.ModeDir {
			return false, "no tree"
		}
		shape := oracleFile
		if class == ClassFolder {
			shape = oracleFolder
		}
		if !shape.MatchString(rel) {
			return false, "not beneath the tree"
		}
		want := fs.FileMode(0)
		if class == ClassFolder {
			want = fs.ModeDir
		}
		if k, ok := kind(rel); !ok || k != want {
			return false, "not there, or not of its kind"
		}
	}
	if rel == "mailboxes" {
		return false, "the tree itself"
	}
	if k, ok := kind(rel); ok && k != 0 && k != fs.ModeDir {
		return false, "neither file nor directory"
	}
	for p := rel; ; {
		i := strings.LastIndex(p, "/")
		if i < 0 {
			break
		}
		p = p[:i]
		if k, there := kind(p); there && k != fs.ModeDir || remove && !there {
			return false, "passes through something that is no directory: " + p
		}
	}
	return true, ""
}
