package remote

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kevinburke/ssh_config"
)

// writeConfig makes files in a new home directory, ~/.ssh/config first.
func writeConfig(t *testing.T, config string, more map[string]string) (home string) {
	t.Helper()
	home = t.TempDir()
	t.Setenv("HOME", home)
	ssh := filepath.Join(home, ".ssh")
	if err := os.MkdirAll(ssh, 0o700); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"config": config}
	for n, s := range more {
		files[n] = s
	}
	for n, s := range files {
		p := filepath.Join(ssh, n)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

// way resolves a target with the configuration at home alone.
func way(t *testing.T, home string, c Config) ([]hop, []string) {
	t.Helper()
	var warned []string
	c.ConfigFile = filepath.Join(home, ".ssh", "config")
	hops, err := resolveRoute(c, func(s string) { warned = append(warned, s) })
	if err != nil {
		t.Fatal(err)
	}
	return hops, warned
}

const richConfig = `# a comment
Include extra/*.conf
Host *.example.com	!bad.example.com "quoted"
    HostName %h.internal
    User=bob
	Port = 2022
    IdentityFile ~/.ssh/first_%h
    IdentityFile "%d/.ssh/second key"
    IdentitiesOnly yes
    UserKnownHostsFile ~/.ssh/kh1 ~/.ssh/kh2
    HostKeyAlias Alias
    StrictHostKeyChecking off
    HashKnownHosts yes
    ConnectTimeout 7
    ServerAliveInterval 1m
    ServerAliveCountMax 5
    IdentityAgent none
    Ciphers aes256-ctr,aes128-ctr

Match host web.internal user carol
    Port 1
Match originalhost matched,other user dave
    Port 4444
Match exec "touch /tmp/dovemend-must-not-exist"
    Port 2
Host UPPER
    HostName lower.test
Host *
    Port 22022
    User everyone
`

func TestConfigurationIsFollowed(t *testing.T) {
	home := writeConfig(t, richConfig, map[string]string{"extra/a.conf": "Host included\n  HostName inc.test\nHost web.example.com\n  User included\n"})
	hops, warned := way(t, home, Config{Target: "web.example.com"})
	p := hops[0]
	if p.host != "web.example.com.internal" || p.port != "2022" || p.user != "included" || p.keyName() != "alias" {
		t.Errorf("got %+v", p)
	}
	ssh := filepath.Join(home, ".ssh")
	if want := []string{ssh + "/first_web.example.com.internal", ssh + "/second key"}; !reflect.DeepEqual(p.identities, want) || !p.onlyThese {
		t.Errorf("identities %q, want %q", p.identities, want)
	}
	if want := []string{ssh + "/kh1", ssh + "/kh2"}; !reflect.DeepEqual(p.known, want) || p.strict != "no" || !p.hashKnown {
		t.Errorf("known hosts %q %s %v", p.known, p.strict, p.hashKnown)
	}
	if p.timeout != 7*time.Second || p.alive != time.Minute || p.aliveMax != 5 || p.agentSocket() != "" || p.algorithms["Ciphers"] != "aes256-ctr,aes128-ctr" {
		t.Errorf("got %+v", p)
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "exec") {
		t.Errorf("warned of %q, want only Match exec", warned)
	}
	if _, err := os.Stat("/tmp/dovemend-must-not-exist"); err == nil {
		t.Error("Match exec was run")
	}
	for target, want := range map[string]string{
		"included":             "everyone@inc.test:22022",
		"x@bad.example.com":    "x@bad.example.com:22022",
		"quoted:5":             "bob@quoted.internal:5",
		"dave@matched":         "dave@matched:4444",
		"eve@matched":          "eve@matched:22022",
		"UPPER":                "everyone@lower.test:22022",
		"upper":                "everyone@upper:22022",
		"dave@MATCHED":         "dave@matched:4444",
		"carol@web.internal":   "carol@web.internal:1",
		"other@web.internal":   "other@web.internal:22022",
		"WEB.example.com":      "bob@web.example.com.internal:2022",
		"elsewhere.test":       "everyone@elsewhere.test:22022",
		"a@b.test@[fe80::1]:9": "a@b.test@[fe80::1]:9",
	} {
		hops, _ := way(t, home, Config{Target: target})
		if got := hops[0].user + "@" + hops[0].addr(); got != want {
			t.Errorf("%s goes to %s, want %s", target, got, want)
		}
	}
}

func TestConfigurationAgreesWithSSH(t *testing.T) {
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip("ssh is not installed")
	}
	// Without Match exec, which ssh would run.
	text := strings.Replace(richConfig, `Match exec "touch /tmp/dovemend-must-not-exist"`, "Host never", 1)
	text = strings.Replace(text, "Include extra/*.conf\n", "", 1)
	home := writeConfig(t, text, nil)
	for _, target := range []string{"web.example.com", "x@bad.example.com", "quoted", "dave@matched", "eve@matched", "upper", "UPPER", "WEB.example.com", "dave@MATCHED", "carol@web.internal", "elsewhere.test", "a@b@elsewhere.test"} {
		out, err := exec.Command(ssh, "-G", "-F", filepath.Join(home, ".ssh", "config"), target).Output()
		if err != nil {
			t.Fatalf("ssh -G %s: %v", target, err)
		}
		want := map[string]string{}
		for l := range strings.Lines(string(out)) {
			k, v, _ := strings.Cut(strings.TrimSpace(l), " ")
			if _, ok := want[k]; !ok {
				want[k] = v
			}
		}
		hops, _ := way(t, home, Config{Target: target})
		p := hops[0]
		got := fmt.Sprint(p.user, p.host, p.port, p.hashKnown, p.onlyThese)
		if w := fmt.Sprint(want["user"], want["hostname"], want["port"], want["hashknownhosts"] == "yes", want["identitiesonly"] == "yes"); got != strings.ToLower(w) && got != w {
			t.Errorf("%s: got %s, ssh says %s", target, got, w)
		}
	}
}

func TestBrokenConfigurationIsUsedAsFarAsItGoes(t *testing.T) {
	home := writeConfig(t, "Host a\n  Port\n  Port 11\n\x01garbage\nkeyonly\nHost [\n  Port 12\nHost b\n  Port 13\nInclude [\nMatch\n  Port 14\nMatch host\n  Port 15\nMatch localnetwork 10.0.0.0/8\n  Port 16\nHost c\n  Port=17\n", nil)
	for target, port := range map[string]string{"a": "11", "b": "13", "c": "17", "d": "22"} {
		hops, _ := way(t, home, Config{Target: target})
		if hops[0].port != port {
			t.Errorf("%s has port %s, want %s", target, hops[0].port, port)
		}
	}
	if _, warned := way(t, home, Config{Target: "a"}); len(warned) == 0 {
		t.Error("nothing was said of it")
	}
}

func TestIncludeInCirclesEnds(t *testing.T) {
	home := writeConfig(t, "Include config\nHost a\n  Port 11\n", nil)
	hops, warned := way(t, home, Config{Target: "a"})
	if hops[0].port != "11" || len(warned) != 1 {
		t.Errorf("port %s, warned %q", hops[0].port, warned)
	}
}

func TestIncludeInsideABlockCountsOnlyThere(t *testing.T) {
	home := writeConfig(t, "Host a\n  Include more\n  User u1\nHost b\n  User u2\n", map[string]string{"more": "Port 11\nHost b\n  Port 12\nHost *\n  Compression yes\n"})
	for target, want := range map[string]string{"a": "u1@a:11", "b": "u2@b:22"} {
		hops, _ := way(t, home, Config{Target: target})
		if got := hops[0].user + "@" + hops[0].addr(); got != want {
			t.Errorf("%s is %s, want %s", target, got, want)
		}
	}
}

func hopNames(hops []hop) string {
	var s []string
	for _, p := range hops {
		s = append(s, p.user+"@"+p.addr())
	}
	return strings.Join(s, " ")
}

func TestJumpsAreResolved(t *testing.T) {
	home := writeConfig(t, `
Host end
  ProxyJump u1@j1:2201,j2
Host j1
  ProxyJump j0
Host j2
  User u2
  Port 2202
  ProxyJump never
Host direct
  ProxyJump none
Host command
  ProxyCommand nc %h %p
  ProxyJump j2
Host j0 end direct command
  User u0
`, nil)
	for _, tt := range []struct{ target, jump, want, command string }{
		{"end", "", "u0@j0:22 u1@j1:2201 u2@j2:2202 u0@end:22", ""},
		{"end", "none", "u0@end:22", ""},
		{"end", "x@other:1", "x@other:1 u0@end:22", ""},
		{"direct", "", "u0@direct:22", ""},
		{"command", "", "u0@command:22", "nc %h %p"},
		{"command", "j2", "u2@j2:2202 u0@command:22", ""},
	} {
		if tt.jump == "j2" { // reached by its own configuration, which jumps over "never"
			tt.want = localUser() + "@never:22 " + tt.want
		}
		hops, _ := way(t, home, Config{Target: tt.target, Jump: tt.jump})
		if got := hopNames(hops); got != tt.want {
			t.Errorf("%s by %q goes %s, want %s", tt.target, tt.jump, got, tt.want)
		}
		if last := hops[len(hops)-1]; last.command != tt.command || !last.final || len(hops) > 1 && hops[0].final {
			t.Errorf("%s: %+v", tt.target, last)
		}
	}
	home = writeConfig(t, "Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n", nil)
	if _, err := resolveRoute(Config{Target: "a", ConfigFile: filepath.Join(home, ".ssh/config")}, func(string) {}); err == nil {
		t.Error("a circle was taken")
	}
}

func TestDefaultsAreOpenSSHs(t *testing.T) {
	home := writeConfig(t, "", nil)
	hops, _ := way(t, home, Config{Target: "h"})
	p := hops[0]
	if p.user != localUser() || p.port != "22" || p.strict != "ask" || p.timeout != 20*time.Second || p.alive != 15*time.Second || p.aliveMax != 3 || !p.pubkey || !p.password || !p.keyboard {
		t.Errorf("got %+v", p)
	}
	if len(p.identities) == 0 || p.identities[0] != filepath.Join(home, ".ssh", "id_rsa") || p.onlyThese {
		t.Errorf("identities %q", p.identities)
	}
	if p.known[0] != filepath.Join(home, ".ssh", "known_hosts") || p.globalKnown[0] != "/etc/ssh/ssh_known_hosts" {
		t.Errorf("known hosts %q %q", p.known, p.globalKnown)
	}
}

func TestMethodsCanBeSwitchedOff(t *testing.T) {
	home := writeConfig(t, "Host keys\n  PreferredAuthentications publickey\nHost nopw\n  PasswordAuthentication no\n  KbdInteractiveAuthentication no\nHost nokeys\n  PubkeyAuthentication no\n", nil)
	for target, want := range map[string][3]bool{"keys": {true, false, false}, "nopw": {true, false, false}, "nokeys": {false, true, true}} {
		hops, _ := way(t, home, Config{Target: target})
		if got := [3]bool{hops[0].pubkey, hops[0].password, hops[0].keyboard}; got != want {
			t.Errorf("%s allows %v, want %v", target, got, want)
		}
	}
}

func TestAlgorithmListsAreApplied(t *testing.T) {
	supported, insecure := []string{"a1", "a2", "b1"}, []string{"old"}
	for list, want := range map[string]string{"": "", "b1,a1": "b1 a1", "a*": "a1 a2", "+old": "a1 a2 b1 old", "-a*": "b1", "^b1": "b1 a1 a2", "old": "old", "unknown": ""} {
		if got := strings.Join(choose(list, supported, insecure), " "); got != want {
			t.Errorf("%q gives %q, want %q", list, got, want)
		}
	}
}

func FuzzConfiguration(f *testing.F) {
	f.Add(richConfig)
	f.Add("Host a\nMatch !host x all\nInclude /dev/null\n=\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		lines, matches := prepareConfig(text)
		r := &configReader{alias: "h", local: "me", warn: func(string) {}}
		for _, m := range matches {
			r.matches("f", m)
		}
		for _, block := range r.parse("f", lines).Hosts {
			for _, node := range block.Nodes {
				if _, ok := node.(*ssh_config.Include); ok {
					t.Fatalf("the parser was given an Include: %q", text)
				}
			}
		}
	})
}
