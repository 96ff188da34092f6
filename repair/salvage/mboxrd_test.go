package salvage

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"dovemend/repair/dovecot"
)

// quote quotes a text that comes in pieces of the given lengths.
func quote(t testing.TB, text string, piece func() int) string {
	t.Helper()
	var b bytes.Buffer
	q := &mboxrd{w: bufio.NewWriter(&b)}
	for rest := text; rest != ""; {
		n := min(max(1, piece()), len(rest))
		if got, err := q.Write([]byte(rest[:n])); got != n || err != nil {
			t.Fatal(got, err)
		}
		rest = rest[n:]
	}
	if !q.inLine {
		q.flush()
	}
	q.w.Flush()
	return b.String()
}

var (
	quotedLine   = regexp.MustCompile(`(?m)^>(>*From )`)
	unquotedLine = regexp.MustCompile(`(?m)^From `)
)

func unquote(s string) string { return quotedLine.ReplaceAllString(s, "$1") }

func checkQuoting(t *testing.T, text string, piece func() int) {
	t.Helper()
	quoted := quote(t, text, piece)
	if got := unquote(quoted); got != text {
		t.Fatalf("%q is quoted as %q, which is %q", text, quoted, got)
	}
	if unquotedLine.MatchString(quoted) {
		t.Fatalf("%q is quoted as %q", text, quoted)
	}
	if n := strings.Count(quoted, ">") - strings.Count(text, ">"); n != len(regexp.MustCompile(`(?m)^>*From `).FindAllString(text, -1)) {
		t.Fatalf("%q is quoted as %q: %d more", text, quoted, n)
	}
}

func TestMboxrdQuotingIsReversible(t *testing.T) {
	words := []string{">", ">>", "From ", "From", "F", "Fro", " ", "\n", "\r\n", "\n\n", "x", "from ", "FFrom "}
	rng := rand.New(rand.NewPCG(3, 3))
	for range 20000 {
		var b strings.Builder
		for range rng.IntN(12) {
			b.WriteString(words[rng.IntN(len(words))])
		}
		checkQuoting(t, b.String(), func() int { return rng.IntN(7) })
	}
}

func FuzzMboxrd(f *testing.F) {
	f.Add("From me\n>From you\n>>>From \nFrom", 3)
	f.Add("", 1)
	f.Fuzz(func(t *testing.T, text string, piece int) {
		checkQuoting(t, text, func() int { return piece })
	})
}

func TestSenderIsTheReturnPathOrNobody(t *testing.T) {
	for header, want := range map[string]string{
		"Return-Path: <a@b.example>\n\n":                     "a@b.example",
		"Subject: x\r\nreturn-path : a@b.example\r\n\r\n":    "a@b.example",
		"Return-Path: <>\n\n":                                "MAILER-DAEMON",
		"Return-Path: <a b@c>\nReturn-Path: <d@e.example>\n": "MAILER-DAEMON",
		"Return-Path: <a@b\x1b[2J>\n":                        "MAILER-DAEMON",
		"Return-Path: <" + strings.Repeat("a", 400) + ">\n":  "MAILER-DAEMON",
		"Subject: x\n\nReturn-Path: <in@the.body>\n":         "MAILER-DAEMON",
		"":            "MAILER-DAEMON",
		"Return-Path": "MAILER-DAEMON",
	} {
		if got := sender([]byte(header)); got != want {
			t.Errorf("%q: got %q, want %q", header, got, want)
		}
	}
}

// TestMboxGivesEveryTextBack reads mbox files as a reader that knows nothing of us does: messages begin where "From " stands
// behind an empty line. Texts are of all lengths around the writer's buffers.
func TestMboxGivesEveryTextBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	var list []*Message
	texts := map[string]bool{}
	for i := range 120 {
		var b strings.Builder
		if i%3 > 0 {
			fmt.Fprintf(&b, "Return-Path: <x%d@example.org>\nSubject: %d\n\n", i, i)
		}
		for n := rng.IntN([]int{10, 3000, 70_000}[i%3]); b.Len() < n; {
			b.WriteString([]string{"From here\n", ">From there\n", "\n", "\n\nFrom x\n", "text ", "\r\n", "> "}[rng.IntN(7)])
		}
		text := fmt.Sprint(i, "\n", b.String())
		texts[text] = true
		list = append(list, &Message{Mailbox: []string{"INBOX", "a/b", "c"}[i%3], Class: Current, UID: dovecot.UID(i + 1), Received: at(i), Open: texted(text)})
	}
	dir := t.TempDir()
	sum := write(t, dir, list, Options{Format: Mbox})
	found := 0
	for _, f := range sum.Folders {
		b, err := os.ReadFile(filepath.Join(dir, f.Path))
		if err != nil {
			t.Fatal(err)
		}
		side, err := os.ReadFile(filepath.Join(dir, sidecarOf(f.Path)))
		if err != nil {
			t.Fatal(err)
		}
		var known struct{ Messages []Entry }
		if err := json.Unmarshal(side, &known); err != nil {
			t.Fatal(err)
		}
		parts := strings.Split("\n\n"+string(b), "\n\nFrom ")[1:]
		if len(parts) != len(known.Messages) {
			t.Fatalf("%s: %d messages, want %d", f.Path, len(parts), len(known.Messages))
		}
		for i, part := range parts {
			_, text, _ := strings.Cut(part, "\n")
			if i == len(parts)-1 {
				text = strings.TrimSuffix(text, "\n\n")
			}
			if text = unquote(text); !known.Messages[i].OpenEnd {
				text += "\n"
			}
			if !texts[text] {
				t.Errorf("%s: message %d is %.100q", f.Path, i, text)
			}
			found++
			if !strings.HasPrefix(string(b[*known.Messages[i].Offset:]), "From "+part[:10]) {
				t.Errorf("%s: message %d is not at %d", f.Path, i, *known.Messages[i].Offset)
			}
		}
	}
	if found != len(list) {
		t.Errorf("%d found", found)
	}
}
