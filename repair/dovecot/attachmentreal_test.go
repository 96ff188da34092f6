//go:build unix

package dovecot

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// broken breaks a text into lines; none stands behind the last.
func broken(s string, line int, end string) string {
	var b strings.Builder
	for len(s) > line {
		b.WriteString(s[:line] + end)
		s = s[line:]
	}
	return b.String() + s
}

// withAttachments are mails whose parts Dovecot stores in files of their own, in all the ways it knows. Lines end in CR LF;
// "\r\r\n" is what becomes CR LF in the store.
func withAttachments() []string {
	rng := rand.New(rand.NewPCG(7, 7))
	data := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return base64.StdEncoding.EncodeToString(b)
	}
	var parts []string
	for _, line := range []int{4, 60, 72, 76, 1000, 1 << 20} {
		for _, size := range []int{2999, 3000, 3001, 4560, 70_000} {
			for _, end := range []string{"\r\n", "\r\r\n"} {
				parts = append(parts, broken(data(size), line, end)+end)
			}
		}
	}
	parts = append(parts,
		broken(data(5000), 76, "\r\n"),                                         // no line end
		broken(data(5000), 76, "\r\n")+"\r\n\r\n\r\nand some text\r\n",         // text behind it
		broken(data(5000), 75, "\r\n")+"\r\n",                                  // lines no blocks make
		broken(data(5000), 76, "\r\n")+broken(data(3000), 60, "\r\n"),          // lines of two lengths
		broken(data(3000), 76, "\r\n")+"\r\n"+broken(data(3000), 76, "\r\r\n"), // and ends of two kinds
		strings.Repeat("not base64 at all \xff\xfe \x01\r\n", 300),
		strings.Repeat("no line end ", 600),
		"short\r\n",
		"",
	)
	var mails []string
	for i := 0; i < len(parts); i += 3 {
		m := fmt.Sprintf("From: a@example.org\r\nSubject: parts %d\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"xx\"\r\n\r\nprologue\r\n", i)
		for _, p := range parts[i:min(i+3, len(parts))] {
			m += "--xx\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n" + p + "\r\n"
		}
		if i%2 == 0 {
			m += "--xx--\r\nepilogue\r\n"
		}
		mails = append(mails, m)
	}
	return append(mails, message(16), "Content-Type: image/png\r\n\r\n"+broken(data(9000), 76, "\r\n"))
}

// reassembly puts a stored message together from the files that Dovecot wrote.
func (s *realStore) reassembly(m storedDboxMessage, fsys fs.FS) (*Reassembly, []Attachment) {
	s.t.Helper()
	parts, err := ParseAttachments(m.Attachments)
	if err != nil {
		s.t.Fatal(err)
	}
	dir := AttachmentDir{FS: fsys}
	if s.layout == "sdbox" {
		st, _ := Replay(s.files(filepath.Join(s.mailboxDir("INBOX"), "dovecot.index")))
		guid, ok := st.MailboxGUID()
		if !ok {
			s.t.Fatal("no mailbox GUID")
		}
		dir.Suffix = SDBoxSuffix(guid, m.uid)
	}
	return Reassemble(NewPlainReader(bytes.NewReader(m.body)), parts, m.PhysicalSize, dir), parts
}

func TestReassembleGivesTheTextThatDovecotGives(t *testing.T) {
	const posix, compress = "mail_attachment_fs = sis posix\n", "mail_attachment_fs = compress:gz:6:posix\n"
	for name, settings := range map[string]string{"": posix, "zlib": posix + fmt.Sprintf(zlibPlugin, "gz"), "compressed-parts": compress} {
		for _, layout := range []string{"mdbox", "sdbox"} {
			t.Run(layout+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := newRealStore(t, layout, settings+"mail_attachment_dir = %h/attach\nmail_attachment_min_size = 1k\n")
				var c []string
				mails := withAttachments()
				for _, m := range mails {
					c = append(c, appendCommand("INBOX", "", "01-Mar-2021 08:00:00 +0100", m))
				}
				s.IMAP(c...)
				options := map[string]int{}
				dir := os.DirFS(filepath.Join(s.Dir, "attach"))
				for i, m := range s.storedDbox("INBOX") {
					r, parts := s.reassembly(m, dir)
					var size SizeCounter
					got, err := io.ReadAll(io.TeeReader(r, &size))
					if err != nil || len(r.Notes) > 0 {
						t.Errorf("message %d: %v, %+v", i, err, r.Notes)
					}
					want := s.Doveadm("-f", "pager", "fetch", "text", "mailbox", "INBOX", "uid", fmt.Sprint(m.uid))
					if want = strings.TrimPrefix(want, "text:\n"); string(got) != want {
						t.Errorf("message %d: got %d bytes, want %d", i, len(got), len(want))
					}
					if want = strings.ReplaceAll(mails[i], "\r\n", "\n"); string(got) != want {
						t.Errorf("message %d: not what was saved", i)
					}
					if size.Virtual != m.VirtualSize || m.PhysicalSize >= 0 && size.Bytes != m.PhysicalSize {
						t.Errorf("message %d: %+v, want %d and %d", i, size, m.PhysicalSize, m.VirtualSize)
					}
					for _, p := range parts {
						options[fmt.Sprintf("%d %v", p.Line, p.CRLF)]++
					}
					if i%7 == 0 && name == "" {
						damagedPartsKeepTheirPlace(t, s, m, string(got), dir)
					}
				}
				t.Logf("parts by line length and CRLF: %v", options)
				for _, want := range []string{"4 false", "60 true", "76 false", "1000 false", "0 false"} {
					if options[want] == 0 {
						t.Errorf("no part %q was tested", want)
					}
				}
			})
		}
	}
}

// changed is a directory in which one file is changed, or missing.
type changed struct {
	fs.FS
	name string
	b    []byte // nil: missing
}

func (c changed) Open(name string) (fs.File, error) {
	if strings.HasPrefix(name, c.name) {
		if c.b == nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return memFS{name: c.b}.Open(name)
	}
	if strings.Contains(name, "/hashes/") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return c.FS.Open(name)
}

func damagedPartsKeepTheirPlace(t *testing.T, s *realStore, m storedDboxMessage, text string, dir fs.FS) {
	t.Helper()
	_, parts := s.reassembly(m, dir)
	for i, p := range parts {
		before, behind := text[:p.Start], text[p.Start+p.Size:]
		whole := s.read(s.Dir, "attach", p.Path+suffixOf(s, m))
		for _, c := range []struct {
			problem PartProblem
			b       []byte
		}{{PartMissing, nil}, {PartShort, whole[:len(whole)/2]}, {PartShort, []byte{}}, {PartLong, append(bytes.Clone(whole), "more of it"...)}} {
			r, _ := s.reassembly(m, changed{dir, p.Path, c.b})
			got, err := io.ReadAll(r)
			if err != nil || len(r.Notes) != 1 || r.Notes[0].Problem != c.problem || r.Notes[0].Part != i {
				t.Errorf("part %d %s: %v, %+v", i, c.problem, err, r.Notes)
			}
			if !strings.HasPrefix(string(got), before) || !strings.HasSuffix(string(got), behind) {
				t.Errorf("part %d %s: what stands around it is not in place", i, c.problem)
			}
			if n := strings.Count(string(got), "[dovemend: "); n != 1 && c.problem != PartLong {
				t.Errorf("part %d %s: %d placeholders", i, c.problem, n)
			}
		}
	}
	// Another link to the same bytes is found by their hash.
	if s.layout == "mdbox" && len(parts) > 0 {
		r, _ := s.reassembly(m, onlyHashes{dir})
		if got, err := io.ReadAll(r); err != nil || string(got) != text || len(r.Notes) > 0 {
			t.Errorf("by hash: %v, %+v", err, r.Notes)
		}
	}
	// The stored body ends before its parts: they are there all the same.
	m.body = m.body[:10]
	r, _ := s.reassembly(m, dir)
	got, err := io.ReadAll(r)
	if err != nil || len(r.Notes) == 0 && len(parts) > 0 {
		t.Errorf("body cut: %v, %+v", err, r.Notes)
	}
	for i, p := range parts {
		if !strings.Contains(string(got), text[p.Start:p.Start+p.Size]) {
			t.Errorf("body cut: part %d is gone", i)
		}
	}
}

type onlyHashes struct{ fs.FS }

func (o onlyHashes) Open(name string) (fs.File, error) {
	if !strings.Contains(name, "/hashes/") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return o.FS.Open(name)
}

func suffixOf(s *realStore, m storedDboxMessage) string {
	if s.layout != "sdbox" {
		return ""
	}
	st, _ := Replay(s.files(filepath.Join(s.mailboxDir("INBOX"), "dovecot.index")))
	guid, _ := st.MailboxGUID()
	return SDBoxSuffix(guid, m.uid)
}

func TestReassembleNamesEncryptedParts(t *testing.T) {
	r := Reassemble(strings.NewReader("head\n\n\ntail\n"), []Attachment{{Start: 6, Size: 50, Path: "aa/bb/h-g"}}, -1,
		AttachmentDir{FS: memFS{"aa/bb/h-g": []byte("CRYPTED\x03\x07\x02 and so on")}})
	got, err := io.ReadAll(r)
	if want := "head\n\n[dovemend: an attachment of 50 bytes is missing here]\n\ntail\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
	var e *EncryptedError
	if len(r.Notes) != 1 || r.Notes[0].Problem != PartMissing || !errors.As(r.Notes[0].Err, &e) {
		t.Errorf("%+v", r.Notes)
	}
}
