package clientlog

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

var update = flag.Bool("update", false, "write what is found to the golden files")

func never(string) bool { return false }

func read(t *testing.T, text string) *Log {
	t.Helper()
	l, err := Read(t.Context(), strings.NewReader(text), never)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// tell writes what was found in one line for each thing.
func tell(l *Log) string {
	var b strings.Builder
	for _, s := range l.Said {
		fmt.Fprintf(&b, "%s|%s|%s|%s|%s|%s|%v|%d|%s|%s|%d\n", s.Kind, s.Type, s.Code, s.Op, s.Mailbox, s.Text, s.UIDs, s.Count, s.First, s.Last, s.Line)
	}
	return b.String()
}

// TestEachProgramsLogIsUnderstood reads samples in the forms of the programs: NAME.log, and beside it what is to be found in it.
func TestEachProgramsLogIsUnderstood(t *testing.T) {
	files, err := filepath.Glob("testdata/*.log")
	if err != nil || len(files) < 8 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".log"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			l := read(t, string(b))
			got := fmt.Sprintf("%s|%d connections|%d logins|%s|%s\n%s", l.Program, l.Connections, l.Logins, l.First, l.Last, tell(l))
			golden := strings.TrimSuffix(file, ".log") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("found\n%s\nwant\n%s", got, want)
			}
			if strings.Contains(got, "s3cret") || strings.Contains(got, "czNjcmV0") {
				t.Error("a secret is told")
			}
		})
	}
}

func TestSecretsAreNeverTold(t *testing.T) {
	for _, lines := range []string{
		"a1 LOGIN anna hunter2secret\n* BYE no such user hunter2secret here\n",
		"1002 LOGIN \"anna\" \"hunter2 \\\"secret\"\n1002 NO [X] hunter2 \"secret was wrong\n",
		"[14:03:11.100][abc] IMAP[SECURE]: > TAG2 LOGIN \"anna\" \"hunter2secret\"\\r\\n\n[14:03:11.101][abc] IMAP[DATA]: < TAG2 NO hunter2secret\\r\\n\n",
		"A0001 AUTHENTICATE PLAIN AGFubmEAaHVudGVyMnNlY3JldA==\nA0001 NO AGFubmEAaHVudGVyMnNlY3JldA== hunter2secret\n",
		"* BYE password=hunter2secret given\n", "* NO [ALERT] Passwort: \"hunter2secret\"\n",
		"May 22 14:00:00 auth: Error: passdb: pass=hunter2secret\n",
		"a1 login {4}\nanna {13}\nhunter2secret\na1 NO failed\n",
		"C (4): LOGIN anna hunter2secret\nimapfilter: x request to hunter2secret failed\n",
	} {
		l := read(t, lines)
		if got := tell(l) + l.First + l.Last; strings.Contains(got, "hunter2") || len(l.Said) == 0 {
			t.Errorf("%q tells %q", lines, got)
		}
	}
	for _, harmless := range []string{"Error login on [host] with user: 2 NO [X] y\n", "Login failed for anna against host: 3 NO [X] y\n"} {
		if l := read(t, harmless); len(l.Said) != 1 || l.Logins != 0 {
			t.Errorf("%q is taken for a login: %q", harmless, tell(l))
		}
	}
}

func TestHostileLogsAreHarmless(t *testing.T) {
	var b strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&b, "a%d NO [X%c%c] \x1b[31mboo\u202e \xff %c\n", i, 'A'+i%26, 'A'+i/26%26, 'a'+i%26)
		fmt.Fprintf(&b, "t%d SELECT \"%c\x07\"\n", i, 'a'+i%26)
	}
	b.WriteString("* BYE " + strings.Repeat("x", 10<<20) + "\n* BYE the end\n")
	l := read(t, b.String())
	if len(l.Said) > maxSaid || l.More == 0 {
		t.Errorf("%d kinds, %d more", len(l.Said), l.More)
	}
	for _, s := range l.Said {
		for _, r := range s.Text + s.Mailbox + s.First + s.Last {
			if r < ' ' || r == 0x202e || r == 0xfffd {
				t.Fatalf("%q is told as it is", s.Text)
			}
		}
		if len(s.Text) > maxText+20 || len(s.Mailbox) > maxText+20 {
			t.Errorf("a text of %d bytes", len(s.Text))
		}
	}
}

// endless gives the same lines again and again, without holding them.
type endless struct {
	line string
	left int64
	at   int
}

func (e *endless) Read(p []byte) (n int, err error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	for n < len(p) && e.left > 0 {
		c := copy(p[n:], e.line[e.at:])
		n, e.at, e.left = n+c, (e.at+c)%len(e.line), e.left-int64(c)
	}
	return n, nil
}

func TestALogOfManyMegabytesNeedsLittleMemory(t *testing.T) {
	in := &endless{line: "[2020-05-22 14:03:11.100][83d64ede] IMAP[INFO]: > TAG3 SELECT \"INBOX\"\\r\\n\n[2020-05-22 14:03:11.100][83d64ede] IMAP[INFO]: < TAG3 NO [SERVERBUG] Internal error occurred.\\r\\n\n" + strings.Repeat("z", 90_000) + "\n", left: 64 << 20}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l, err := Read(t.Context(), in, never)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > 4<<20 {
		t.Errorf("%d bytes are held", held)
	}
	if len(l.Said) != 1 || l.Said[0].Count < 500 || l.Bytes < 64<<20 {
		t.Errorf("%d bytes: %s", l.Bytes, tell(l))
	}
}

func TestReadingEndsWithItsContextAndTellsErrors(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, &endless{line: "x\n", left: 1 << 40}, never); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := Read(t.Context(), iotest.ErrReader(io.ErrNoProgress), never); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v", err)
	}
}

func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.log")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, text string) {
		l := read(t, text)
		for _, s := range l.Said {
			if s.Count < 1 || s.Line < 1 || s.Line > l.Lines || len(s.Text) > maxText+20 || strings.ContainsAny(s.Text+s.Mailbox, "\n\r\x1b") {
				t.Errorf("%+v", s)
			}
		}
		if l.Bytes != int64(len(text)) {
			t.Errorf("%d bytes of %d", l.Bytes, len(text))
		}
	})
}
