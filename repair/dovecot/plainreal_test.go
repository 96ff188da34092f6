//go:build unix

package dovecot

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const zlibPlugin = "mail_plugins = zlib\nplugin {\n  zlib_save = %s\n}\n"

// bulky messages span several blocks of the formats that have them. They are ASCII: doveadm's JSON tears other text at
// the borders of its buffers.
func bulky(n int) string {
	var b strings.Builder
	b.WriteString(message(n))
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d: some words %d of %d, and again %x\r\n", i, i*i%977, n, i*2654435761%1000003)
	}
	return b.String()
}

// storedText is a message as it is stored, and what Dovecot says of it.
type storedText struct {
	body    []byte
	text    string
	virtual string
}

// storedTexts reads a mailbox of any layout, text being what Dovecot decodes.
func (s *realStore) storedTexts(mailbox string) []storedText {
	s.t.Helper()
	rows, errs, ok := s.Fetch(mailbox, "uid size.virtual text")
	if !ok || len(rows) == 0 {
		s.t.Fatalf("%d rows; %s", len(rows), errs)
	}
	bodies := map[string][]byte{}
	if s.layout == "maildir" {
		l, _ := ParseUIDList(s.read(s.mailboxDir(mailbox), "dovecot-uidlist"))
		for _, e := range l.Entries {
			paths, _ := filepath.Glob(filepath.Join(s.mailboxDir(mailbox), "*", e.Name+"*"))
			if len(paths) == 1 {
				bodies[fmt.Sprint(e.UID)] = s.read(paths[0])
			}
		}
	} else {
		for _, m := range s.storedDbox(mailbox) {
			bodies[fmt.Sprint(m.uid)] = m.body
		}
	}
	var out []storedText
	for _, row := range rows {
		b, ok := bodies[row["uid"]]
		if !ok {
			s.t.Fatalf("UID %s is not stored", row["uid"])
		}
		out = append(out, storedText{b, row["text"], row["size.virtual"]})
	}
	return out
}

func TestPlainReaderGivesTheTextThatDovecotGives(t *testing.T) {
	for _, layout := range []string{"mdbox", "sdbox", "maildir"} {
		for plugin, want := range map[string]Encoding{"gz": Gzip, "bz2": Bzip2, "zstd": Zstd, "lz4": LZ4, "": Plain} {
			t.Run(layout+"/"+string(want), func(t *testing.T) {
				t.Parallel()
				settings := ""
				if plugin != "" {
					settings = fmt.Sprintf(zlibPlugin, plugin)
				}
				s := newRealStore(t, layout, settings)
				s.fill(30)
				sizes := []int{150_000}
				if want == Bzip2 && layout == "mdbox" {
					sizes = append(sizes, 1_000_000) // whose blocks are this long
				}
				for _, n := range sizes {
					s.IMAP(appendCommand("INBOX", "", "01-Mar-2021 08:00:00 +0100", bulky(n)))
				}
				for _, mailbox := range []string{"INBOX", "Work", "Archive/2020"} {
					for i, m := range s.storedTexts(mailbox) {
						textEquals(t, m, want)
						if plugin != "" && (i < 2 || len(m.text) > 100_000) && mailbox == "INBOX" && (layout == "mdbox" || fullTests()) {
							damageKeepsThePrefix(t, m)
						}
					}
				}
			})
		}
	}
}

// fullTests asks for all that takes long.
func fullTests() bool { return os.Getenv("DOVEMEND_TEST_FULL") != "" }

func textEquals(t *testing.T, m storedText, want Encoding) {
	t.Helper()
	p := NewPlainReader(bytes.NewReader(m.body))
	var size SizeCounter
	got, err := io.ReadAll(io.TeeReader(p, &size))
	if err != nil || p.Encoding != want {
		t.Errorf("encoding %q, %v", p.Encoding, err)
	}
	if string(got) != m.text {
		t.Errorf("got %d bytes %.200q, want %d bytes %.200q", len(got), got, len(m.text), m.text)
	}
	if fmt.Sprint(size.Virtual) != m.virtual || size.Bytes != int64(len(m.text)) || p.Offset() != size.Bytes {
		t.Errorf("counted %+v of virtual size %s", size, m.virtual)
	}
}

// damageKeepsThePrefix cuts and flips a stored message at many places.
func damageKeepsThePrefix(t *testing.T, m storedText) {
	t.Helper()
	read := func(b []byte) (string, error) {
		got, err := io.ReadAll(NewPlainReader(bytes.NewReader(b)))
		var d *DecodeError
		if err != nil && (!errors.As(err, &d) || d.Offset != int64(len(got))) {
			t.Errorf("error %v behind %d bytes", err, len(got))
		}
		return string(got), err
	}
	encoding := DetectEncoding(m.body)
	step := max(1, len(m.body)/7)
	if fullTests() {
		step = max(1, len(m.body)/100)
	}
	for at := EncodingSize; at < len(m.body); at += step {
		prefix, err := read(m.body[:at])
		if !strings.HasPrefix(m.text, prefix) {
			t.Errorf("%s cut at %d of %d: what was read is no prefix", encoding, at, len(m.body))
		}
		if err == nil && encoding != LZ4 { // whose framing has no end
			t.Errorf("%s cut at %d of %d: no error", encoding, at, len(m.body))
		}
		if (encoding == Gzip || encoding == LZ4) && at > len(m.body)/2 && len(m.text) > 10_000 && len(prefix) < len(m.text)/4 {
			t.Errorf("%s cut at %d of %d: only %d bytes of %d", encoding, at, len(m.body), len(prefix), len(m.text))
		}
		flipped := bytes.Clone(m.body)
		flipped[at] ^= 1 << (at % 8)
		got, err := read(flipped)
		if !strings.HasPrefix(got, prefix) {
			t.Errorf("%s flipped at %d of %d: the %d bytes before are not all there", encoding, at, len(m.body), len(prefix))
		}
		if err == nil && got != m.text && (encoding == Gzip || encoding == Bzip2) { // the others have no checksum
			t.Errorf("%s flipped at %d of %d: no error", encoding, at, len(m.body))
		}
	}
}

// TestPlainReaderReadsWhatToolsCompressed is for Maildirs that a script has compressed, file by file, which Dovecot's
// documentation suggests. xz is not written by Dovecot since 2.3.14.
func TestPlainReaderReadsWhatToolsCompressed(t *testing.T) {
	s := newRealStore(t, "maildir", "mail_plugins = zlib\n")
	s.IMAP(appendCommand("INBOX", "", "01-Mar-2021 08:00:00 +0100", message(7)))
	text := strings.ReplaceAll(bulky(100_000), "\r\n", "\n")
	want := []Encoding{Plain}
	for i, tool := range []struct {
		encoding Encoding
		args     []string
	}{
		{Gzip, []string{"gzip", "-9"}}, {Bzip2, []string{"bzip2"}}, {Zstd, []string{"zstd", "-19", "-q"}}, {Zstd, []string{"zstd", "-1", "-q"}},
		{XZ, []string{"xz"}}, {XZ, []string{"xz", "-9e", "--check=sha256"}}, {XZ, []string{"xz", "-0", "--check=crc32"}},
		{XZ, []string{"xz", "-T2", "--block-size=40000"}}, {XZ, []string{"xz", "--check=none"}},
	} {
		if _, err := exec.LookPath(tool.args[0]); err != nil {
			t.Logf("%s is not installed", tool.args[0])
			continue
		}
		cmd := exec.Command(tool.args[0], append(tool.args[1:], "-c")...)
		cmd.Stdin = strings.NewReader(text)
		b, err := cmd.Output()
		if err != nil {
			t.Fatal(tool.args, err)
		}
		name := filepath.Join(s.root, "cur", fmt.Sprintf("17000000%02d.M1P1.tool,S=%d:2,S", i, len(text)))
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		want = append(want, tool.encoding)
	}
	s.Own()
	texts := s.storedTexts("INBOX")
	if len(texts) != len(want) {
		t.Fatalf("%d messages, want %d", len(texts), len(want))
	}
	for i, m := range texts {
		textEquals(t, m, want[i])
		if want[i] != Plain {
			damageKeepsThePrefix(t, m)
		}
	}
}

func writePEM(t *testing.T, path, kind string, der []byte, err error) {
	t.Helper()
	if err == nil {
		err = os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// cryptSettings make Dovecot encrypt with keys that are made for it.
func cryptSettings(t *testing.T, plugins string) string {
	t.Helper()
	keys, err := os.MkdirTemp("", "dovemend-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(keys) })
	if err := os.Chmod(keys, 0o755); err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	writePEM(t, filepath.Join(keys, "private.pem"), "PRIVATE KEY", private, err)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	writePEM(t, filepath.Join(keys, "public.pem"), "PUBLIC KEY", public, err)
	return fmt.Sprintf("mail_plugins = %s\nplugin {\n  mail_crypt_global_private_key = <%[2]s/private.pem\n"+
		"  mail_crypt_global_public_key = <%[2]s/public.pem\n  mail_crypt_save_version = 2\n  zlib_save = gz\n}\n", plugins, keys)
}

func TestPlainReaderNamesWhatMailCryptEncrypted(t *testing.T) {
	for _, plugins := range []string{"mail_crypt", "mail_crypt zlib"} {
		for _, layout := range []string{"mdbox", "sdbox", "maildir"} {
			s := newRealStore(t, layout, cryptSettings(t, plugins))
			s.IMAP(appendCommand("INBOX", "", "01-Mar-2021 08:00:00 +0100", message(16)))
			m := s.storedTexts("INBOX")[0]
			p := NewPlainReader(bytes.NewReader(m.body))
			got, err := io.ReadAll(p)
			var e *EncryptedError
			if p.Encoding != Encrypted || len(got) != 0 || !errors.As(err, &e) {
				t.Fatalf("%s, %s: %q %q %v", layout, plugins, p.Encoding, got, err)
			}
			if want := (EncryptedError{Version: 2, Cipher: "aes-256-gcm", Hash: "sha256", Integrity: "aead"}); *e != want {
				t.Errorf("%s, %s: %+v, want %+v", layout, plugins, *e, want)
			}
			for cut := EncodingSize; cut < len(m.body); cut++ {
				if _, err := io.ReadAll(NewPlainReader(bytes.NewReader(m.body[:cut]))); !errors.As(err, &e) || e.Version != 2 {
					t.Errorf("cut at %d: %v", cut, err)
				}
			}
		}
	}
}

// TestMakePlainVectors writes one message as each plugin stores it, and its text. Only with -update.
func TestMakePlainVectors(t *testing.T) {
	if !*update {
		t.Skip("only with -update")
	}
	text := strings.ReplaceAll(bulky(3000), "\r\n", "\n")
	xz := exec.Command("xz", "-c")
	xz.Stdin = strings.NewReader(text)
	stored, err := xz.Output()
	if err != nil {
		t.Fatal(err)
	}
	writePlainVector(t, XZ, "made by xz", stored, text)
	for encoding, settings := range map[Encoding]string{Gzip: fmt.Sprintf(zlibPlugin, "gz"), Bzip2: fmt.Sprintf(zlibPlugin, "bz2"), Zstd: fmt.Sprintf(zlibPlugin, "zstd"),
		LZ4: fmt.Sprintf(zlibPlugin, "lz4"), Encrypted: cryptSettings(t, "mail_crypt")} {
		s := newRealStore(t, "mdbox", settings)
		s.IMAP(appendCommand("INBOX", "", "01-Mar-2021 08:00:00 +0100", bulky(3000)))
		m := s.storedTexts("INBOX")[0]
		if encoding == Encrypted {
			_, err := io.ReadAll(NewPlainReader(bytes.NewReader(m.body)))
			m.text = err.Error() + "\n"
		}
		writePlainVector(t, encoding, "dovecot: 2.3.19", m.body, m.text)
	}
}

func writePlainVector(t *testing.T, encoding Encoding, origin string, stored []byte, text string) {
	t.Helper()
	name := filepath.Join("testdata", "plain", string(encoding))
	head := fmt.Sprintf("%s\nmade-by: TestMakePlainVectors\nencoding: %s\n\n", origin, encoding)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, b := range map[string][]byte{name + ".vec": append([]byte(head), stored...), name + ".golden": []byte(text)} {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
