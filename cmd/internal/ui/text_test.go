package ui

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"
)

func TestSafeLetsNoControlCharacterThrough(t *testing.T) {
	for _, in := range []string{"a\x1b[2Jb", "a\nb", "\x9b31m", "tab\there", "a\u202eb", "\xff\xfe", "a\u200bb", "\x00", "a\r"} {
		got := Safe(in)
		for _, r := range got {
			if r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x202e || r == 0x200b {
				t.Errorf("Safe(%q) = %q holds %U", in, got, r)
			}
		}
		if got == in {
			t.Errorf("Safe(%q) left it as it is", in)
		}
	}
	if got := Safe("Entwürfe / 日本語"); got != "Entwürfe / 日本語" {
		t.Errorf("Safe changed readable text to %q", got)
	}
}

func TestBytes(t *testing.T) {
	for _, c := range []struct {
		n    int64
		want string
	}{{-1, "?"}, {0, "0 B"}, {999, "999 B"}, {1000, "1.0 kB"}, {999_949, "999.9 kB"}, {999_950, "1.0 MB"}, {1 << 40, "1.1 TB"}, {1<<63 - 1, "9.2 EB"}} {
		if got := Bytes(c.n); got != c.want {
			t.Errorf("Bytes(%d) = %q, want %q", c.n, got, c.want)
		}
	}
}

func TestCommandIsReadBackByTheShell(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	for _, arg := range []string{"plain", "", "two words", "it's", "$HOME `id` \\", "Entwürfe", "a\nb", "\x1b[2J", "\xff", "'\n'", "-x", "*?[a]", "a,b;c&d"} {
		line := Command("printf", "%s", arg)
		if strings.ContainsFunc(line, func(r rune) bool { return r < 0x20 }) {
			t.Errorf("Command(%q) = %q is not one clean line", arg, line)
		}
		out, err := exec.Command(bash, "-c", line).Output()
		if err != nil || string(out) != arg {
			t.Errorf("Command(%q) = %s came back as %q, %v", arg, line, out, err)
		}
	}
}

func TestTableFitsEightyColumns(t *testing.T) {
	table := Table{Columns: []Column{{Title: "ACCOUNT", Min: 12}, {Title: "N", Right: true}, {Title: "MAIL ROOT", Min: 16}}}
	table.Row("alice@example.org", "12", "/userdata01/web1/mail/example.org/alice-with-a-very-long-name/and/more/of/it/up/to/the/end")
	table.Row("日本語日本語日本語日本語@例え.jp", "3", "/x")
	table.Row("evil\x1b[2J", "1", "/y")
	var b bytes.Buffer
	table.Print(&b, 80)
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines, want 4:\n%s", len(lines), b.String())
	}
	for _, l := range lines {
		if w := runewidth.StringWidth(l); w > 80 {
			t.Errorf("line is %d columns wide: %q", w, l)
		}
		if strings.Contains(l, "\x1b") {
			t.Errorf("a control character came through: %q", l)
		}
	}
	if !strings.HasSuffix(lines[1], "/to/the/end") {
		t.Errorf("the end of the path is cut: %q", lines[1])
	}
}

func TestWrapHangsContinuationsUnderTheirText(t *testing.T) {
	got := wrap("  drop-index  removes dovecot.index and nothing else of it\nshort", 32)
	want := "  drop-index  removes\n              dovecot.index and\n              nothing else of it\nshort"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := wrap("a  b", 10); got != "a  b" {
		t.Errorf("a line that fits was changed to %q", got)
	}
	long := strings.Repeat("x", 50)
	if got := wrap("  "+long, 20); strings.TrimSpace(got) != long {
		t.Errorf("a word that cannot be broken was changed to %q", got)
	}
}

func TestClipMiddleKeepsWithinWidth(t *testing.T) {
	for _, s := range []string{"", "short", strings.Repeat("abc/", 30), strings.Repeat("日本", 30)} {
		for width := 1; width < 40; width++ {
			if got := runewidth.StringWidth(clipMiddle(s, width)); got > width {
				t.Errorf("clipMiddle(%q, %d) is %d columns wide", s, width, got)
			}
		}
	}
}
