package remote

import (
	"strings"
	"testing"
)

func TestTargetsAreRead(t *testing.T) {
	for in, want := range map[string]target{
		"host":                           {"", "host", ""},
		"u@host":                         {"u", "host", ""},
		"u@host:2222":                    {"u", "host", "2222"},
		"user@example.com@ssh.host":      {"user@example.com", "ssh.host", ""},
		"user@example.com@ssh.host:22":   {"user@example.com", "ssh.host", "22"},
		"[2001:db8::1]":                  {"", "2001:db8::1", ""},
		"u@[2001:db8::1]:2222":           {"u", "2001:db8::1", "2222"},
		"2001:db8::1":                    {"", "2001:db8::1", ""},
		"[host]:22":                      {"", "host", "22"},
		"ssh://u@host:22":                {"u", "host", "22"},
		"ssh://u@host/":                  {"u", "host", ""},
		"ssh://user%40example.com@host":  {"user@example.com", "host", ""},
		"ssh://u;fingerprint=ssh-x@host": {"u", "host", ""},
		"u_1.2-3+x@h-1.example":          {"u_1.2-3+x", "h-1.example", ""},
		"müller@host":                    {"müller", "host", ""},
	} {
		got, err := parseTarget(in)
		if err != nil || got != want {
			t.Errorf("%q is %+v, %v; want %+v", in, got, err, want)
		}
	}
}

func TestBadTargetsAreRefused(t *testing.T) {
	for _, in := range []string{
		"", "-oProxyCommand=x", "u@-host", "-u@host", "@host", "u@", "u@:22", "host:0", "host:65536", "host:x", "host:", "[::1", "[::1]x", "ssh://u:pw@host",
		"ssh://host/path", "http://host", "ho st", "host\n", "ho\x00st", "host\u202e", "u\x1b@host", "u;rm@host", "u$(id)@host", "`id`@host", "h$x", "h;x", "h/x", "h*", "u'@h", "u\\@h",
	} {
		got, err := parseTarget(in)
		if err == nil {
			t.Errorf("%q is taken as %+v", in, got)
		} else if strings.ContainsAny(err.Error(), "\x1b\x00\n\u202e") {
			t.Errorf("%q reaches the terminal", err)
		}
	}
}

func FuzzTarget(f *testing.F) {
	for _, s := range []string{"u@h:22", "ssh://a%40b@h", "[::1]:2", "a@b@c", "-x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseTarget(s)
		if err != nil {
			return
		}
		if got.name == "" || strings.HasPrefix(got.name, "-") || strings.HasPrefix(got.user, "-") || strings.ContainsAny(got.user+got.name, " \n\r\t\x00;|&`$'\"<>(){}") {
			t.Errorf("%q gives %+v", s, got)
		}
	})
}
