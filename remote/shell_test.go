//go:build !windows

package remote

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// loginShells are the shells a host may run our command line with, as "SHELL -c LINE".
var loginShells = [][]string{
	{"/bin/sh", "-c"}, {"bash", "-c"}, {"tcsh", "-c"}, {"csh", "-c"}, {"fish", "-c"}, {"busybox", "sh", "-c"}, {"zsh", "-c"}, {"ksh", "-c"}, {"mksh", "-c"},
}

// atHome gives the shell a home of its own, where fish writes, and away from what the user's own shells read.
func atHome(t *testing.T, shell []string) []string {
	t.Helper()
	env := []string{"env", "-u", "XDG_CONFIG_HOME", "-u", "XDG_DATA_HOME", "-u", "XDG_CACHE_HOME", "HOME=" + t.TempDir()}
	return append(env, shell...)
}

// runLine runs a framed script as sshd would: the login shell gets the line as one argument.
func runLine(t *testing.T, shell []string, script, stdin string) ([]byte, error) {
	t.Helper()
	m, err := newMarkers()
	if err != nil {
		t.Fatal(err)
	}
	line, err := commandLine(script, m, true)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, shell[0], append(shell[1:len(shell):len(shell)], line)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	waitErr := cmd.Run()
	c := &command{marks: m, link: &link{}, errText: errs.Bytes}
	return c.framed(out.Bytes(), waitErr)
}

func TestScriptsRunAlikeUnderEveryLoginShell(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var bin strings.Builder
	for range 3000 {
		bin.WriteByte(byte(1 + r.IntN(255)))
	}
	for _, shell := range loginShells {
		if _, err := exec.LookPath(shell[0]); err != nil {
			t.Logf("%s is not installed", shell[0])
			continue
		}
		t.Run(strings.Join(shell, " "), func(t *testing.T) {
			t.Parallel()
			shell := atHome(t, shell)
			for _, s := range []string{"", "plain", "it's", `back\slash`, `\n\0101\`, "!history !! !$", "new\nline", "tab\t", "$HOME `id` $(id)", "%s%d%%", `"dq"`, "-n", "ümläut ☃", "\x80\x81\x88\xff", "{a,b} ~ * ? [x]", bin.String()} {
				out, err := runLine(t, shell, "printf %s "+quote(s), "")
				if err != nil {
					t.Errorf("print %.60q: %v", s, err)
				} else if string(out) != s {
					t.Errorf("printed %.80q, want %.80q", out, s)
				}
			}
			out, err := runLine(t, shell, "cat; echo oops >&2; exit 7", "in\x00put\n")
			exit, ok := err.(*ExitError)
			if !ok || exit.Status != 7 || exit.Stderr != "oops" || string(out) != "in\x00put\n" {
				t.Errorf("got %q, %v; want the input back, status 7 and oops", out, err)
			}
			if _, err := runLine(t, shell, "if then", ""); err == nil {
				t.Error("a syntax error went unnoticed")
			}
			if out, err := runLine(t, shell, `echo "$#"; set -e; false; echo no`, ""); string(out) != "0\n" || err == nil {
				t.Errorf("got %q, %v; want no arguments and a failure", out, err)
			}
		})
	}
}
