//go:build unix

package performance

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// corpus is an account to be copied.
type corpus struct {
	name   string
	layout string
	lay    func(root string, scale int, r *rand.Rand) error
}

// corpora are the accounts. scale 1 is the whole, 100 a hundredth.
var corpora = []corpus{
	{"maildir", "maildir", layMaildir}, // 20,000 files of 21 kB in 30 folders
	{"mdbox", "mdbox", layMDBox},       // 60 files of 10 to 30 MB
	{"sdbox", "sdbox", laySDBox},       // 5,000 files of 33 kB
	{"large", "sdbox", layLarge},       // one mailbox of 20,000 files of 3 kB
}

// settled is the time all files of an account were last changed at.
var settled = time.Now().Add(-48 * time.Hour)

func layMaildir(root string, scale int, r *rand.Rand) error {
	const folders = 30
	w := newWriter(r)
	for f := range folders {
		dir := root
		if f > 0 {
			dir = filepath.Join(root, fmt.Sprintf(".Folder%02d", f))
		}
		for _, sub := range []string{"cur", "new", "tmp"} {
			if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
				return err
			}
		}
		if err := w.file(filepath.Join(dir, "dovecot-uidlist"), 40_000/scale+100); err != nil {
			return err
		}
		for i := range 20_000 / folders / scale {
			name := fmt.Sprintf("%d.M%dP%d.mail,S=%d:2,S", settled.Unix()-int64(i), r.IntN(1e6), 1000+i, i)
			if err := w.file(filepath.Join(dir, "cur", name), size(r, 21_000)); err != nil {
				return err
			}
		}
	}
	return nil
}

func layMDBox(root string, scale int, r *rand.Rand) error {
	w := newWriter(r)
	for f := range 30 {
		dir := filepath.Join(root, "mailboxes", fmt.Sprintf("Folder%02d", f), "dbox-Mails")
		if f == 0 {
			dir = filepath.Join(root, "mailboxes", "INBOX", "dbox-Mails")
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := w.file(filepath.Join(dir, "dovecot.index.log"), 8_000); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "storage"), 0o700); err != nil {
		return err
	}
	for i := range 60 {
		if err := w.file(filepath.Join(root, "storage", fmt.Sprintf("m.%d", i+1)), (10_000_000+r.IntN(20_000_000))/scale); err != nil {
			return err
		}
	}
	return w.file(filepath.Join(root, "storage", "dovecot.map.index.log"), 400_000/scale)
}

func laySDBox(root string, scale int, r *rand.Rand) error {
	w := newWriter(r)
	for f := range 10 {
		dir := filepath.Join(root, "mailboxes", fmt.Sprintf("Folder%02d", f), "dbox-Mails")
		if f == 0 {
			dir = filepath.Join(root, "mailboxes", "INBOX", "dbox-Mails")
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		for _, n := range []string{"dovecot.index.log", "dovecot.index", "dovecot.index.cache"} {
			if err := w.file(filepath.Join(dir, n), 20_000/scale+100); err != nil {
				return err
			}
		}
		for i := range 500 / min(scale, 50) {
			if err := w.file(filepath.Join(dir, fmt.Sprintf("u.%d", i+1)), size(r, 33_000)); err != nil {
				return err
			}
		}
	}
	return nil
}

func layLarge(root string, scale int, r *rand.Rand) error {
	w := newWriter(r)
	dir := filepath.Join(root, "mailboxes", "INBOX", "dbox-Mails")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for i := range 20_000 / scale {
		if err := w.file(filepath.Join(dir, fmt.Sprintf("u.%d", i+1)), 1_000+r.IntN(4_000)); err != nil {
			return err
		}
	}
	return nil
}

// size is that of a message: most are small, a few are large.
func size(r *rand.Rand, mean int) int {
	if r.IntN(10) == 0 {
		return r.IntN(mean * 14)
	}
	return 1_000 + r.IntN(mean/2)
}

// writer makes files of text as mail is: words and, for four of ten, base64.
type writer struct {
	r     *rand.Rand
	text  []byte
	coded []byte
}

func newWriter(r *rand.Rand) *writer {
	w := &writer{r: r}
	words := make([]string, 4000)
	for i := range words {
		b := make([]byte, 2+r.IntN(9))
		for j := range b {
			b[j] = 'a' + byte(r.IntN(26)*r.IntN(26)/26)
		}
		words[i] = string(b)
	}
	var text strings.Builder
	for line := 0; text.Len() < 8<<20; {
		word := words[r.IntN(4000)*r.IntN(4000)/4000]
		text.WriteString(word)
		if line += len(word) + 1; line > 70 {
			text.WriteString("\r\n")
			line = 0
		} else {
			text.WriteByte(' ')
		}
	}
	w.text = []byte(text.String())
	raw := make([]byte, 6<<20)
	for i := range raw {
		raw[i] = byte(r.Uint32())
	}
	var coded strings.Builder
	for i := 0; i+57 <= len(raw); i += 57 {
		coded.WriteString(base64.StdEncoding.EncodeToString(raw[i : i+57]))
		coded.WriteString("\r\n")
	}
	w.coded = []byte(coded.String())
	return w
}

func (w *writer) file(name string, n int) error {
	b := make([]byte, 0, n)
	for len(b) < n {
		from := w.text
		if w.r.IntN(10) < 4 {
			from = w.coded
		}
		piece := min(n-len(b), 200+w.r.IntN(60_000))
		at := w.r.IntN(len(from) - piece)
		b = append(b, from[at:at+piece]...)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		return err
	}
	return os.Chtimes(name, settled, settled)
}
