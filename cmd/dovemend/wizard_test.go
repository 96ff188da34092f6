//go:build unix

package main

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"dovemend/repair"
	"dovemend/repair/plan"
	"dovemend/repair/store"
)

// talk runs the program at a terminal of 80 by 24 and answers: each pair is what to wait for, and what to type then.
func talk(t *testing.T, f *fake, args []string, pairs ...string) (code int, screen string) {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("TERM", "dumb")
	master, slave, err := pty.Open()
	if err != nil {
		t.Skipf("no terminal: %v", err)
	}
	defer master.Close()
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var seen bytes.Buffer
	allSeen := make(chan struct{})
	go func() {
		defer close(allSeen)
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			mu.Lock()
			seen.Write(b[:n])
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	look := func() string { mu.Lock(); defer mu.Unlock(); return strings.ReplaceAll(seen.String(), "\r\n", "\n") }
	ended := make(chan struct{})
	go func() {
		past := 0
		for i := 0; i+1 < len(pairs); i += 2 {
			for !strings.Contains(look()[past:], pairs[i]) {
				select {
				case <-ended:
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
			past += strings.Index(look()[past:], pairs[i]) + len(pairs[i])
			if _, err := master.WriteString(pairs[i+1]); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	p := &program{stdin: slave, stdout: slave, stderr: slave, engine: f}
	done := make(chan int)
	go func() { done <- p.run(append([]string{"dovemend"}, args...)) }()
	select {
	case code = <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("it never ended; on the screen:\n%s", look())
	}
	close(ended)
	slave.Close()
	select {
	case <-allSeen:
	case <-time.After(time.Second): // a question that was interrupted still holds the terminal
	}
	return code, look()
}

// joined puts together the lines that end in a backslash, as a shell does.
func joined(screen string) string {
	return regexp.MustCompile(` \\\r?\n *`).ReplaceAllString(screen, " ")
}

func TestWizardRepairsAndPrintsTheCommand(t *testing.T) {
	f := newFake()
	code, screen := talk(t, f, []string{"wizard"},
		"Host ([user@]name[:port]):", "web1@h\n", "Which mailbox", "2\n", "What should be done?", "1\n",
		"Which remedy?", "1\n", "taken away?", "2\n", "Do this now?", "y\n")
	if code != exitDone {
		t.Errorf("code %d\n%s", code, screen)
	}
	if want := "dovemend repair --host web1@h --account alice@example.org --mailbox 'Entwürfe, alte' --remedy drop-cache --apply"; !strings.Contains(joined(screen), want) {
		t.Errorf("the command is not shown:\n%s", screen)
	}
	if !strings.Contains(screen, "dovemend undo --run 20260101-000000-abcd") || !strings.Contains(screen, "recommended") {
		t.Errorf("undo or recommendation is not shown:\n%s", screen)
	}
	if strings.Contains(screen, "\x1b[2J") {
		t.Error("a control character of the host reached the terminal")
	}
	if want := "connect accounts measure processes run:repair snapshot examine offers plan:drop-cache apply verify end:0 close disconnect"; f.steps() != want {
		t.Errorf("did  %s\nwant %s", f.steps(), want)
	}
}

// TestWizardEvacuates: it asks for the loss, for where the messages shall be in the end, and for the name.
func TestWizardEvacuates(t *testing.T) {
	for answer, back := range map[string]bool{"1\n": false, "2\n": true} {
		f := newFake()
		f.offers = append(f.offers, repair.Offer{Remedy: plan.Evacuate, Does: "moves the messages", Costs: []plan.Cost{{Loss: plan.LossUIDs, Mailbox: "INBOX", Count: 45, Text: "the UIDs of 45 messages"}}})
		code, screen := talk(t, f, []string{"wizard", "--host", "h"}, "Which mailbox", "1\n", "What should be done?", "1\n", "Which remedy?", "4\n",
			"Accept this loss", "y\n", "in the end?", answer, "taken away?", "1\n", "Type INBOX", "INBOX\n")
		if code != exitDone || f.back != back || !strings.Contains(f.steps(), "plan:evacuate apply verify") {
			t.Errorf("code %d, back %v; did %s\n%s", code, f.back, f.steps(), screen)
		}
		want := "--mailbox INBOX --remedy evacuate --aside --confirm INBOX --accept-loss uids --apply"
		if back {
			want = strings.Replace(want, "--confirm", "--move-back --confirm", 1)
		}
		if !strings.Contains(joined(screen), want) || !strings.Contains(screen, "make the mailbox BACKUP20260131") {
			t.Errorf("the command or the plan is not shown:\n%s", screen)
		}
	}
}

func TestWizardChangesNothingWithoutYes(t *testing.T) {
	begin := []string{"Which mailbox", "1\n", "What should be done?", "1\n", "Which remedy?"}
	for name, c := range map[string]struct {
		pairs []string
		code  int
	}{
		"enter at the last question":   {[]string{"1\n", "taken away?", "1\n", "Do this now?", "\n"}, exitFindings},
		"no at the last question":      {[]string{"1\n", "taken away?", "1\n", "Do this now?", "n\n"}, exitFindings},
		"ctrl-D at the last question":  {[]string{"1\n", "taken away?", "1\n", "Do this now?", "\x04"}, exitInterrupted},
		"ctrl-D at the remedy":         {[]string{"\x04"}, exitInterrupted},
		"stop with the copy":           {[]string{"4\n"}, exitDone},
		"the loss is not accepted":     {[]string{"2\n", "Accept this loss", "\n"}, exitRefused},
		"clear without the name":       {[]string{"3\n", "taken away?", "1\n", "Type INBOX", "\n"}, exitFindings},
		"clear with another name":      {[]string{"3\n", "taken away?", "1\n", "Type INBOX", "inbox\n", "that is not INBOX", "\n"}, exitFindings},
		"clear, ctrl-D after a typing": {[]string{"3\n", "taken away?", "1\n", "Type INBOX", "x\n", "that is not INBOX", "\x04"}, exitInterrupted},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			code, screen := talk(t, f, []string{"wizard", "--host", "h"}, append(append([]string{}, begin...), c.pairs...)...)
			if code != c.code || f.changedHost() {
				t.Errorf("code %d, want %d; did %s\n%s", code, c.code, f.steps(), screen)
			}
			if !strings.Contains(strings.ToLower(screen[strings.LastIndex(screen, "Which remedy?"):]), "nothing") {
				t.Errorf("it is not said that nothing was changed:\n%s", screen)
			}
		})
	}
}

func TestWizardClearsAfterTheNameIsTyped(t *testing.T) {
	f := newFake()
	code, screen := talk(t, f, []string{"wizard", "--host", "h"}, "Which mailbox", "1\n", "What should be done?", "1\n",
		"Which remedy?", "3\n", "taken away?", "1\n", "Type INBOX", "INBOX\n")
	if code != exitDone || !f.aside || len(f.confirm) != 1 || f.confirm[0] != "INBOX" {
		t.Errorf("code %d, aside %v, confirmed %q\n%s", code, f.aside, f.confirm, screen)
	}
	if want := "--remedy clear --aside --confirm INBOX --apply"; !strings.Contains(screen, want) {
		t.Errorf("the command is not shown:\n%s", screen)
	}
}

func TestWizardAcceptsALossByItsName(t *testing.T) {
	f := newFake()
	code, screen := talk(t, f, []string{"wizard", "--host", "h"}, "Which mailbox", "1\n", "What should be done?", "1\n",
		"Which remedy?", "2\n", "Accept this loss", "y\n", "taken away?", "2\n", "Do this now?", "y\n")
	if code != exitDone || len(f.accepted) != 1 || !strings.Contains(screen, "--accept-loss flags --apply") {
		t.Errorf("code %d, accepted %q\n%s", code, f.accepted, screen)
	}
}

func TestWizardStopsAfterTheCopy(t *testing.T) {
	f := newFake()
	code, screen := talk(t, f, []string{"wizard", "--host", "h"}, "Which mailbox", "1\n", "What should be done?", "2\n")
	if want := "connect accounts measure processes run:backup snapshot end:0 close disconnect"; code != exitDone || f.steps() != want {
		t.Errorf("code %d, did %s\n%s", code, f.steps(), screen)
	}
}

func TestWizardAsksForTheAccountAndOffersKnownHosts(t *testing.T) {
	f := newFake()
	f.accounts = append(f.accounts, store.Account{Address: "bob@example.org", Root: "/home/web1/mail/example.org/bob", Layout: store.Maildir,
		Mailboxes: []store.Mailbox{{Name: "INBOX", Storage: "INBOX", Dir: "."}}})
	config := t.TempDir() + "/config"
	if err := os.WriteFile(config, []byte("Host shared\n  HostName ssh.example.org\nHost *\n  User web1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, screen := talk(t, f, []string{"wizard", "--ssh-config", config}, "1. shared", "1\n", "Which account?", "2\n",
		"Which mailbox", "1\n", "What should be done?", "2\n")
	if code != exitDone || f.options.Remote.Target != "shared" || strings.Contains(screen, ". *") {
		t.Errorf("code %d, host %q\n%s", code, f.options.Remote.Target, screen)
	}
	if !strings.Contains(strings.Join(strings.Fields(screen), " "), "nothing is ever removed here") {
		t.Errorf("it is not explained that there is no mailboxes tree:\n%s", screen)
	}
}

func TestCtrlCLetsTheCurrentStepEnd(t *testing.T) {
	f := newFake()
	f.applying = func(ctx context.Context) error {
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			return err
		}
		<-ctx.Done()
		return &repair.StoppedError{Run: "20260101-000000-abcd", Err: ctx.Err()}
	}
	code, out, errs := runFake(t, f, "repair", "--host", "h", "--remedy", "drop-cache", "--apply")
	if code != exitInterrupted || !strings.Contains(errs, "stopping after the current step") || !strings.Contains(errs, "dovemend resume --run 20260101-000000-abcd") || !strings.Contains(errs, "undo --run") {
		t.Errorf("code %d, out %q, err %q", code, out, errs)
	}
	if f.exit != exitInterrupted {
		t.Errorf("the run's folder says exit %d", f.exit)
	}
}

func TestCtrlCAtAQuestionEndsAtOnce(t *testing.T) {
	f := newFake()
	// ctrl-C at a terminal is a signal to the program; here the terminal is not the controlling one.
	go func() {
		for !strings.Contains(f.steps(), "offers") {
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(50 * time.Millisecond)
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			t.Error(err)
		}
	}()
	code, screen := talk(t, f, []string{"wizard", "--host", "h"}, "Which mailbox", "1\n", "What should be done?", "1\n")
	if code != exitInterrupted || f.changedHost() {
		t.Errorf("code %d, did %s\n%s", code, f.steps(), screen)
	}
}

func TestWizardTellsTheCommandOfABackup(t *testing.T) {
	f := newFake()
	code, screen := talk(t, f, []string{"wizard", "--host", "web1@h", "--state-dir", "/tmp/some where"},
		"Which mailbox", "3\n", "What should be done?", "2\n")
	if code != exitDone || f.changedHost() {
		t.Errorf("code %d, did %s", code, f.steps())
	}
	if want := "dovemend backup --host web1@h --account alice@example.org --all-mailboxes --state-dir '/tmp/some where'"; !strings.Contains(joined(screen), want) {
		t.Errorf("the command is not shown:\n%s", screen)
	}
}

func TestWizardAsksNothingWhereNoRemedyHasAnythingToDo(t *testing.T) {
	f := newFake()
	for i := range f.offers {
		f.offers[i].Refused = "there is nothing for it to do"
	}
	code, screen := talk(t, f, []string{"wizard", "--host", "web1@h"}, "Which mailbox", "1\n", "What should be done?", "1\n")
	if code != exitDone || f.changedHost() || strings.Contains(screen, "Which remedy?") {
		t.Errorf("code %d, did %s\n%s", code, f.steps(), screen)
	}
}
