package remote

import "testing"

func TestSightingIsAProcessOnlyIfEverythingAgrees(t *testing.T) {
	good := sighting{pid: 100, ruid: 1000, euid: 1000, state: "S", start: "proc 1 x", comm: "imap", title: "dovecot/imap"}
	tests := []struct {
		name string
		edit func(s *sighting)
		want string // service, "" refused
	}{
		{"plain", func(s *sighting) {}, "imap"},
		{"verbose", func(s *sighting) { s.title = "dovecot/imap [u@example.org 10.0.0.1 IDLE]" }, "imap"},
		{"pop3", func(s *sighting) { s.title, s.comm = "dovecot/pop3 [u 10.0.0.1]", "pop3" }, "pop3"},
		{"hibernate", func(s *sighting) {
			s.title, s.comm = "dovecot/imap-hibernate [idling]", "imap-hibernate"
		}, "imap-hibernate"},
		{"worker", func(s *sighting) { s.title, s.comm = "dovecot/indexer-worker", "indexer-worker" }, "indexer-worker"},
		{"lmtp", func(s *sighting) { s.title, s.comm = "dovecot/lmtp", "lmtp" }, "lmtp"},
		{"by its path", func(s *sighting) { s.title = "/usr/lib/dovecot/imap" }, "imap"},
		{"by its path, other system", func(s *sighting) { s.title = "/usr/libexec/dovecot/imap -c /tmp/x" }, "imap"},
		{"bare, program known", func(s *sighting) { s.title, s.exe = "imap", "/usr/lib/dovecot/imap" }, "imap"},
		{"bare, program replaced", func(s *sighting) { s.title, s.exe = "imap [u@x]", "/usr/lib/dovecot/imap (deleted)" }, "imap"},
		{"FreeBSD's title", func(s *sighting) { s.title, s.setsTitle = "imap: [u@x 10.0.0.1 IDLE] (imap)", true }, "imap"},
		{"instance with a name", func(s *sighting) { s.title = "dovecot-mail2/imap [u@x 10.0.0.1 IDLE]" }, "imap"},
		{"name not known", func(s *sighting) { s.comm = "" }, "imap"},

		{"bare, program unknown", func(s *sighting) { s.title = "imap" }, ""},
		{"bare, other program", func(s *sighting) { s.title, s.exe = "imap", "/home/u/bin/imap" }, ""},
		{"FreeBSD's title on Linux", func(s *sighting) { s.title = "imap: [u@x]" }, ""},
		{"editor", func(s *sighting) { s.title, s.comm = "vim dovecot/imap", "vim" }, ""},
		{"grep", func(s *sighting) { s.title, s.comm = "grep -i dovecot/imap", "grep" }, ""},
		{"ssh", func(s *sighting) { s.title, s.comm = "ssh host dovecot/imap", "ssh" }, ""},
		{"this tool", func(s *sighting) { s.title, s.comm = "dovemend processes --stop", "dovemend" }, ""},
		{"liar in its first word", func(s *sighting) { s.comm = "sh" }, ""},
		{"liar in its kernel name", func(s *sighting) { s.title = "sh" }, ""},
		{"other service's name", func(s *sighting) { s.comm = "pop3" }, ""},
		{"master", func(s *sighting) { s.title, s.comm = "/usr/sbin/dovecot -F", "dovecot" }, ""},
		{"login", func(s *sighting) { s.title, s.comm = "dovecot/imap-login", "imap-login" }, ""},
		{"log", func(s *sighting) { s.title, s.comm = "dovecot/log", "log" }, ""},
		{"config", func(s *sighting) { s.title, s.comm = "dovecot/config", "config" }, ""},
		{"auth", func(s *sighting) { s.title, s.comm = "dovecot/auth", "auth" }, ""},
		{"anvil", func(s *sighting) { s.title, s.comm = "dovecot/anvil", "anvil" }, ""},
		{"stats", func(s *sighting) { s.title, s.comm = "dovecot/stats", "stats" }, ""},
		{"another program's name", func(s *sighting) { s.title = "dovecotimap/imap" }, ""},
		{"beneath a service", func(s *sighting) { s.title = "dovecot/imap/x" }, ""},
		{"empty title", func(s *sighting) { s.title = "" }, ""},
		{"spaces", func(s *sighting) { s.title = "   " }, ""},
		{"other real user", func(s *sighting) { s.ruid = 1001 }, ""},
		{"other effective user", func(s *sighting) { s.euid = 0 }, ""},
		{"unknown user", func(s *sighting) { s.ruid, s.euid = -1, -1 }, ""},
		{"zombie", func(s *sighting) { s.state = "Z+" }, ""},
		{"init", func(s *sighting) { s.pid = 1 }, ""},
		{"nothing", func(s *sighting) { s.pid = 0 }, ""},
		{"negative", func(s *sighting) { s.pid = -1 }, ""},
		{"no start time", func(s *sighting) { s.start = "" }, ""},
	}
	for _, tt := range tests {
		s := good
		tt.edit(&s)
		p, ok := s.process(1000)
		if ok != (tt.want != "") || p.Service != tt.want {
			t.Errorf("%s: service %q (%v), want %q", tt.name, p.Service, ok, tt.want)
		}
	}
	if _, ok := (sighting{pid: 5, ruid: -1, euid: -1, start: "x", title: "dovecot/imap"}).process(-1); ok {
		t.Error("a login of unknown number owns a process")
	}
}

func TestTitleTellsAccountClientAndCommand(t *testing.T) {
	tests := []struct{ rest, account, client, command string }{
		{"", "", "", ""},
		{"[u@example.org 10.0.0.1 IDLE]", "u@example.org", "10.0.0.1", "IDLE"},
		{"[u@example.org 2001:db8::1 UID FETCH]", "u@example.org", "2001:db8::1", "UID FETCH"},
		{"[u@example.org 10.0.0.1]", "u@example.org", "10.0.0.1", ""},
		{"[u@example.org 10.0.0.1 FETCH - 4096 bytes waiting]", "u@example.org", "10.0.0.1", "FETCH - 4096 bytes waiting"},
		{"[u@example.org IDLE]", "u@example.org", "", "IDLE"},
		{"[u@example.org]", "u@example.org", "", ""},
		{"[10.0.0.1 DATA]", "", "10.0.0.1", "DATA"},
		{"[3 connections]", "", "", ""},
		{"[1 connection]", "", "", ""},
		{"[idling]", "", "", ""},
		{"[]", "", "", ""},
		{"[u@example.org 10.0.0.1 IDLE] (imap)", "u@example.org", "10.0.0.1", "IDLE"},
		{"[u@example.org 10.0.0.1 IDL", "u@example.org", "10.0.0.1", "IDL"}, // cut by ps
		{"-c /tmp/conf", "", "", ""},
		{"[\x1b[2Jx 10.0.0.1 \x07]", `\x1b[2Jx`, "10.0.0.1", `\a`},
	}
	for _, tt := range tests {
		account, client, command := parseTitle(tt.rest)
		if account != tt.account || client != tt.client || command != tt.command {
			t.Errorf("%q: %q %q %q, want %q %q %q", tt.rest, account, client, command, tt.account, tt.client, tt.command)
		}
	}
}

func TestTitleIsSafeToPrint(t *testing.T) {
	s := sighting{pid: 9, ruid: 7, euid: 7, start: "x", comm: "imap", title: "dovecot/imap [\u202eevil\x1b]0;x\x07 10.0.0.1 \xff]"}
	p, ok := s.process(7)
	if !ok {
		t.Fatal("not taken for a process")
	}
	for _, text := range []string{p.Title, p.Account, p.Client, p.Command} {
		if !isSafe(text) {
			t.Errorf("not safe to print: %q", text)
		}
	}
}
