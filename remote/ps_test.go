package remote

import (
	"fmt"
	"strings"
	"testing"
)

func TestListingsAreRead(t *testing.T) {
	tests := []struct {
		name string
		out  string
		want string // pid service start
		bad  bool
	}{
		// As printed by a Debian 12 host with Dovecot 2.3.19, names changed.
		{name: "Linux", out: `uid 1000
proc yes
boot 2f0d6c1e-8f0e-4a84-9a7e-4a8d8a0f4c11
hidden no
ps full
pid 4711 1000 1000 S 8123456
comm imap
exe 
title dovecot/imap [anna@example.org 192.0.2.7 IDLE]
pid 4712 1000 1000 S 8123999
comm imap
exe 
title dovecot/imap
pid 4713 0 0 S 8123000
comm imap
exe 
title dovecot/imap
pid 4714 1000 1000 Z 8123000
comm imap
exe 
title 
pid 4715 1000 1000 S 812300x
comm imap
exe 
title dovecot/imap
end
`, want: "[4711 imap proc 8123456 2f0d6c1e-8f0e-4a84-9a7e-4a8d8a0f4c11] [4712 imap proc 8123999 2f0d6c1e-8f0e-4a84-9a7e-4a8d8a0f4c11]"},
		// After ps(1) of FreeBSD 14: lstart in the C locale, titles by setproctitle(3).
		{name: "FreeBSD", out: `uid 1001
proc no
ps full
row 812  1001 I    Mon Nov 23 09:01:02 2026     imap: [anna@example.org 192.0.2.7 IDLE] (imap)
row 813  1001 S    Mon Nov 23 09:01:03 2026     dovecot/imap
row 814  1001 S+   Mon Nov 23 09:01:03 2026     vi dovecot/imap.conf
row 815  1002 I    Mon Nov 23 09:01:04 2026     dovecot/imap
row 816  1001 I    Mon Nov 23 09:01:04 2026     imap: pretending (sh)
row 817  1001 I    Mon Nov 23 09:01:04 2026     dovecot/pop3
name 812 imap
name 813 imap
name 815 imap
end
`, want: "[812 imap ps Mon Nov 23 09:01:02 2026] [813 imap ps Mon Nov 23 09:01:03 2026]"},
		// After ps(1) of macOS 14: one-digit days are padded.
		{name: "macOS", out: `uid 501
proc no
ps full
row  501 501 S    Sun Mar  1 09:01:02 2026 dovecot/imap
row  502 501 S    Sun Mar  1 09:01:02 2026 grep dovecot/imap
name 501 imap
end
`, want: "[501 imap ps Sun Mar 1 09:01:02 2026]"},
		{name: "no process", out: "uid 501\nproc no\nps full\nend\n"},
		{name: "rubbish rows", out: "uid 501\nproc no\nps full\nrow\nrow 1\nrow a b c d e f g h i\nrow 5 501 S Mon Nov 23 09:01 26 dovecot/imap\nname 5 imap\nend\n"},
		{name: "tags before any process", out: "uid 501\nproc yes\nps full\ncomm x\ntitle y\nend\n"},
		{name: "rows are not believed where there is proc", out: "uid 501\nproc yes\nps full\nrow 5 501 S Mon Nov 23 09:01:02 2026 dovecot/imap\nname 5 imap\nend\n"},
		{name: "cut off", out: "uid 501\nproc yes\nps full\n", bad: true},
		{name: "no uid", out: "uid \nproc yes\nps full\nend\n", bad: true},
		{name: "neither ps nor proc", out: "uid 501\nproc no\nps none\nend\n", bad: true},
		{name: "busybox without proc", out: "uid 501\nproc no\nps short\nend\n", bad: true},
		{name: "empty", out: "", bad: true},
	}
	for _, tt := range tests {
		l, err := parseListing([]byte(tt.out))
		if (err != nil) != tt.bad {
			t.Errorf("%s: error %v", tt.name, err)
		}
		var got []string
		for _, p := range l.processes {
			got = append(got, fmt.Sprintf("[%d %s %s]", p.PID, p.Service, p.Start))
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s:\n got  %s\n want %s", tt.name, s, tt.want)
		}
	}
}

func TestListingTellsOfHiddenProcesses(t *testing.T) {
	l, err := parseListing([]byte("uid 501\nproc yes\nhidden yes\nps full\nend\n"))
	if err != nil || !l.hidden {
		t.Errorf("hidden %v, %v", l.hidden, err)
	}
}

func FuzzListing(f *testing.F) {
	f.Add([]byte("uid 1\nproc yes\nps full\npid 4 1 1 S 5\ncomm imap\nexe \ntitle dovecot/imap [a 1.2.3.4]\nend\n"))
	f.Add([]byte("uid 1\nproc no\nps full\nrow 4 1 S Mon Nov 23 09:01:02 2026 dovecot/imap\nname 4 imap\nend\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		l, err := parseListing(out)
		if err != nil {
			return
		}
		for _, p := range l.processes {
			if p.PID <= 1 || p.UID < 0 || p.Start == "" || known(p.Service) == "" {
				t.Errorf("impossible process %+v", p)
			}
			for _, s := range []string{p.Title, p.Account, p.Client, p.Command} {
				if !isSafe(s) {
					t.Errorf("not safe to print: %q", s)
				}
			}
		}
	})
}
