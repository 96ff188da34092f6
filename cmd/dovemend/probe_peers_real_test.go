package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
)

// TestProbeBesidesMailProgramsAtWork has a filter program change flags and a program that keeps a copy of everything
// synchronise, again and again, while the account is probed both ways: neither disturbs the other, and what they do to the mailbox
// meanwhile is no finding.
func TestProbeBesidesMailProgramsAtWork(t *testing.T) {
	remotetest.Programs(t, "mbsync", "imapfilter")
	c := newRealCase(t, remotetest.Options{Options: realhost.Options{Layout: "mdbox"}, Fill: &fill.Shape{Inbox: 20}})
	host, port, err := net.SplitHostPort(c.h.IMAP())
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	near := filepath.Join(home, "near")
	if err := os.Mkdir(near, 0o700); err != nil {
		t.Fatal(err)
	}
	sync1 := write("mbsyncrc", fmt.Sprintf("IMAPAccount far\nHost %s\nPort %s\nUser %s\nPass \"%s\"\nSSLType None\nAuthMechs LOGIN\n\nIMAPStore far\nAccount far\n\n"+
		"MaildirStore near\nPath %[5]s/\nInbox %[5]s/INBOX\nSubFolders Verbatim\n\nChannel all\nFar :far:\nNear :near:\nPatterns *\nCreate Near\nExpunge Near\nSyncState *\n",
		host, port, c.h.Account(), c.h.Password(), near))
	filter := write("config.lua", fmt.Sprintf("options.timeout = 30\noptions.starttls = false\n"+
		"account = IMAP { server = %q, port = %s, username = %q, password = %q }\nall = account['INBOX']:select_all()\n"+
		"all:add_flags({ 'Filtered' })\nall:remove_flags({ 'Filtered' })\n", host, port, c.h.Account(), c.h.Password()))
	ctx, stop := context.WithCancel(t.Context())
	var peers sync.WaitGroup
	rounds := make([]int, 2)
	for i, argv := range [][]string{{"mbsync", "-c", sync1, "-a"}, {"imapfilter", "-c", filter}} {
		peers.Go(func() {
			for ctx.Err() == nil {
				cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
				cmd.Env = append(os.Environ(), "HOME="+home, "LC_ALL=C")
				if out, err := cmd.CombinedOutput(); err != nil && ctx.Err() == nil && !strings.Contains(string(out), "incomplete header") {
					t.Errorf("%s: %v: %s", argv[0], err, out)
					return
				}
				rounds[i]++
			}
		})
	}
	c.env = append(c.env, "DOVEMEND_IMAP_PASSWORD="+c.h.Password())
	for _, way := range [][]string{{"--preauth", "off"}, nil, {"--preauth", "off"}, nil} {
		doc := c.run(0, append([]string{"probe", "--mailbox", "INBOX", "--imap", c.h.IMAPS(), "--imap-ca", c.h.CA()}, way...)...)
		if l := looks(t, doc, "INBOX"); len(l) != 10 || len(failing(l)) > 0 {
			t.Errorf("%v: %v", way, failing(l))
		}
	}
	stop()
	peers.Wait()
	if rounds[0] == 0 || rounds[1] == 0 {
		t.Errorf("the mail programs came through %v times", rounds)
	}
}
