package remote

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
)

// sftpOptions: script runs before the server in its own shell ("$@" is the server), delay holds each answer back.
type sftpOptions struct {
	script string
	delay  time.Duration
}

// startSFTP runs OpenSSH's own SFTP server on pipes. Where it is not installed the test is skipped, unless
// DOVEMEND_TEST_REQUIRE asks for sshd.
func startSFTP(t *testing.T, o sftpOptions) (*link, *sftp.Client) {
	t.Helper()
	var bin string
	for _, p := range []string{"/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/libexec/sftp-server", "/usr/lib/ssh/sftp-server"} {
		if _, err := os.Stat(p); err == nil {
			bin = p
			break
		}
	}
	if bin == "" {
		if strings.Contains(os.Getenv("DOVEMEND_TEST_REQUIRE"), "sshd") {
			t.Fatal("OpenSSH's sftp-server is not installed")
		}
		t.Skip("OpenSSH's sftp-server is not installed")
	}
	cmd := exec.Command(bin, "-e", "-l", "QUIET")
	if o.script != "" {
		cmd = exec.Command("sh", append([]string{"-c", o.script, "sh"}, cmd.Args...)...)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := sftp.NewClientPipe(delayed(out, o.delay), in, sftp.MaxConcurrentRequestsPerFile(64), sftp.UseConcurrentReads(true))
	if err != nil {
		in.Close()
		cmd.Wait()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		in.Close()
		cmd.Wait()
	})
	return &link{done: make(chan struct{}), slots: make(chan struct{}, maxCommands)}, c
}

// delayed gives each piece of r only after a time, and holds up nothing behind it.
func delayed(r io.Reader, delay time.Duration) io.Reader {
	if delay == 0 {
		return r
	}
	type piece struct {
		due  time.Time
		data []byte
	}
	pieces := make(chan piece, 1<<16)
	pr, pw := io.Pipe()
	go func() {
		defer close(pieces)
		for {
			buf := make([]byte, 32<<10)
			n, err := r.Read(buf)
			if n > 0 {
				pieces <- piece{time.Now().Add(delay), buf[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	go func() {
		for p := range pieces {
			time.Sleep(time.Until(p.due))
			pw.Write(p.data)
		}
		pw.Close()
	}()
	return pr
}
