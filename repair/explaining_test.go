//go:build unix

package repair

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dovemend/remote/imap"
	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/damage"
	"dovemend/remote/remotetest/realhost"
	"dovemend/repair/clientlog"
)

// TestWhatRealProgramsLogOfARealServerIsExplained has imapfilter and mbsync look at a mailbox that Dovecot cannot open, at one over which its
// process crashes, and at a server whose connections are used up, and reads what they have logged, and Dovecot's own log.
func TestWhatRealProgramsLogOfARealServerIsExplained(t *testing.T) {
	remotetest.Programs(t, "mbsync", "imapfilter")
	t.Parallel()
	h := newWatchHost(t, realhost.Options{Layout: "sdbox", MaxUserIP: 3})
	host, port, err := net.SplitHostPort(h.IMAP())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config, debug := filepath.Join(dir, "config.lua"), filepath.Join(dir, "debug")
	lua := fmt.Sprintf("options.timeout = 10\noptions.starttls = false\na = IMAP { server = %q, port = %s, username = %q, password = %q }\na.INBOX:contain_body('nothing')\n",
		host, port, h.Account(), h.Password())
	if err := os.WriteFile(config, []byte(lua), 0o600); err != nil {
		t.Fatal(err)
	}
	// run gives what a program has logged.
	run := func(args ...string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), args[0], args[1:]...)
		c.Env = append(os.Environ(), "HOME="+dir, "LC_ALL=C")
		out, err := c.CombinedOutput() // it fails, or only says that it did
		if err != nil && len(out) == 0 {
			t.Fatalf("%q: %v", args, err)
		}
		return string(out)
	}
	logs := func(when string) map[string]string {
		mbsync := h.mbsyncConfig(t, t.TempDir())
		l := map[string]string{"imapfilter": run("imapfilter", "-v", "-d", debug, "-c", config),
			"mbsync": run("mbsync", "-c", mbsync, "-D", "-a"), "mbsync, terse": run("mbsync", "-c", mbsync, "-a")}
		b, err := os.ReadFile(debug)
		if err != nil {
			t.Fatal(err)
		}
		l["imapfilter, debug"] = string(b)
		if when != "crash" && !strings.Contains(l["imapfilter, debug"], h.Password()) {
			t.Error("imapfilter's debug log holds no password any more, so this tests nothing of it")
		}
		return l
	}
	explain := func(when, whose, text string, class imap.Class, op string) {
		t.Helper()
		x, err := ExplainClientLog(t.Context(), strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(fmt.Sprintf("%+v", x), h.Password()) {
			t.Errorf("%s, %s: the password is told", when, whose)
		}
		if program, _, _ := strings.Cut(whose, ","); x.Program != program && !(x.Program == "" && strings.Contains(whose, "terse")) {
			t.Errorf("%s, %s: taken for a log of %q", when, whose, x.Program)
		}
		if len(x.Said) == 0 || x.Said[0].Class != class || op != "" && x.Said[0].Op != op || len(x.Advice) == 0 {
			t.Errorf("%s, %s: explained as %+v, advice %q\n%s", when, whose, x.Said, x.Advice, text)
		}
	}

	h.kick(t)
	folder := damage.Target{MailRoot: h.MailRoot(), Layout: h.Layout()}.Folder()
	if err := os.Chmod(filepath.Join(folder, "dovecot.index.log"), 0); err != nil {
		t.Fatal(err)
	}
	for whose, text := range logs("closed") {
		if whose == "mbsync, terse" {
			x, err := ExplainClientLog(t.Context(), strings.NewReader(text)) // it keeps the server's words to itself
			if err != nil || len(x.Said) != 1 || x.Said[0].Kind != clientlog.Symptom || !strings.Contains(x.Said[0].Meaning, "only that it failed") {
				t.Errorf("%s: %+v, %v", whose, x.Said, err)
			}
			continue
		}
		explain("cannot be opened", whose, text, imap.ClassInternal, "SELECT")
	}
	explain("cannot be opened", "Dovecot", h.DovecotLog(), imap.ClassPermission, "")

	h.restore(t)
	before := len(h.DovecotLog())
	h.broken(t, "message-first-line")
	for whose, text := range logs("crash") {
		if whose == "imapfilter, debug" {
			continue // it ends with the command, and says nothing of the end
		}
		explain("crash", whose, text, imap.ClassClosed, "")
	}
	explain("crash", "Dovecot", h.DovecotLog()[before:], imap.ClassMessageFile, "")

	h.restore(t)
	for range 3 {
		c, err := net.Dial("tcp", h.IMAP())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "a LOGIN %s %q\r\n", h.Account(), h.Password())
		for b, got := make([]byte, 4096), ""; !strings.Contains(got, "a OK"); {
			n, err := c.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			got += string(b[:n])
		}
	}
	for whose, text := range logs("limit") {
		explain("limit", whose, text, imap.ClassConnectionLimit, "")
	}
}

func TestTheAdviceNamesTheCauseAndNotItsConsequence(t *testing.T) {
	storm := "a1 SELECT INBOX\na1 NO [SERVERBUG] Internal error occurred. Refer to server log for more information. [2020-05-22 14:03:12]\n" +
		strings.Repeat("* OK [CAPABILITY IMAP4rev1] Dovecot ready.\na2 NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=75)\n", 30)
	x, err := ExplainClientLog(t.Context(), strings.NewReader(storm))
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(x.Advice, "\n")
	if x.Said[0].Class != imap.ClassInternal || !strings.Contains(all, "consequence") || !strings.Contains(all, "30 connections") || !strings.Contains(all, "dovemend check") ||
		!strings.Contains(all, "2020-05-22 14:03:12") || x.Said[1].Limit != 75 {
		t.Errorf("%+v\n%s", x.Said, all)
	}
	for _, fine := range []string{"", "hello\n", "a1 OK done\n* BYE Logging out\na2 NO [EXPUNGEISSUED] Some messages were already expunged.\n"} {
		if x, err := ExplainClientLog(t.Context(), strings.NewReader(fine)); err != nil || strings.Contains(fine, "BYE") && len(x.Said) == 0 || fine == "" && x.Matters {
			t.Errorf("%q: %+v, %v", fine, x, err)
		}
	}
	x, err = ExplainClientLog(t.Context(), strings.NewReader("Serverfehler: UID SORT: Internal error occurred\n"))
	if err != nil || !x.Matters || x.Said[0].Op != "SORT" || x.Said[0].Whose != imap.WhoseMessage {
		t.Errorf("%+v, %v", x, err)
	}
}
