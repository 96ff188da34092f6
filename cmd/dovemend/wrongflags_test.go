package main

import (
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// wrongValues has, for every flag that takes a value, one that cannot be meant.
var wrongValues = map[string]string{
	"host": "", "identity": "/no/such/file", "jump": "", "known-hosts": "/no/such/folder/file", "ssh-config": "/no/such/file",
	"ssh-password-command": "", "account": "nobody", "mail-root": "mail/x", "mailbox": "", "imap": "mail.example.org", "imap-tls": "ssl",
	"imap-user": "", "imap-password-command": "", "imap-ca": "/no/such/file", "preauth": "maybe", "state-dir": "runs",
	"engine": "rsync", "connections": "0", "compress": "gzip",
	"verify": "perhaps", "remedy": "magic", "confirm": "", "accept-loss": "everything", "run": "",
	"file": "/no/such/file", "from": "/no/such/folder", "to": "/dev/null", "format": "pdf", "looks": "bodies", "sample": "0", "poison-state": "/no/such/folder/file",
	"answers": "/no/such/file", "language": "fr", "output": "/no/such/folder/file",
	"interval": "5s", "max-drop": "many", "hold": "-1h", "max-cache": "0", "connection-limit": "0", "ping": "ftp://hc.example.org/x", "ping-command": "",
	"explain":        "/no/such/file",
	"source-mailbox": "", "since": "yesterday", "before": "soon", "message-id": "", "class": "perfect",
}

func TestAWrongValueOfAnyFlagIsAUsageErrorThatNamesIt(t *testing.T) {
	var p program
	tried := map[string]bool{}
	for _, verb := range p.verbs() {
		for _, flag := range verb.Flags {
			name := flag.Names()[0]
			tried[name] = true
			value := "perhaps"
			if _, toggle := flag.(*cli.BoolFlag); !toggle {
				var ok bool
				if value, ok = wrongValues[name]; !ok {
					t.Errorf("--%s of %s: this test has no wrong value for it", name, verb.Name)
					continue
				}
			}
			for what, args := range map[string][]string{"wrong": {"--" + name + "=" + value}, "no value": {"--" + name}} {
				if _, toggle := flag.(*cli.BoolFlag); toggle && what == "no value" {
					continue
				}
				f := newFake()
				f.fail["connect"] = &endError{code: exitError, text: "a wrong flag came through"}
				args = append([]string{verb.Name}, args...)
				if name != "remedy" && verb.Name == "repair" {
					args = append([]string{verb.Name, "--remedy", "drop-cache"}, args[1:]...)
				}
				code, out, errs := runWrong(t, f, args)
				if code != exitUsage || !strings.Contains(errs, name) || !strings.Contains(errs, "next: ") || out != "" {
					t.Errorf("%s: dovemend %q: exit %d, out %q, error %q; want exit 2, the flag's name and what is next", what, args, code, out, errs)
				}
				if len(f.did) > 0 {
					t.Errorf("dovemend %q: did %s", args, f.steps())
				}
			}
			// The same from the environment, where the flag has a variable.
			if d := flag.(cli.DocGenerationFlag); len(d.GetEnvVars()) > 0 && value != "" {
				t.Setenv(d.GetEnvVars()[0], value)
				args := []string{verb.Name}
				if verb.Name == "repair" {
					args = append(args, "--remedy", "drop-cache")
				}
				code, _, errs := runWrong(t, newFake(), args)
				if code != exitUsage || !strings.Contains(errs, name) && !strings.Contains(errs, d.GetEnvVars()[0]) {
					t.Errorf("%s=%s dovemend %q: exit %d, error %q", d.GetEnvVars()[0], value, args, code, errs)
				}
				t.Setenv(d.GetEnvVars()[0], "")
			}
		}
	}
	for name := range wrongValues {
		if !tried[name] {
			t.Errorf("no verb has --%s", name)
		}
	}
}

// runWrong runs the program without a terminal and adds no flag, not to hide the one that is looked at.
func runWrong(t *testing.T, f *fake, args []string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	var out, errs strings.Builder
	p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, engine: f}
	code = p.run(append([]string{"dovemend"}, args...))
	return code, out.String(), errs.String()
}
