//go:build !windows

package remote

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// realSSHD is OpenSSH's sshd, started for each connection as "sshd -i", with no port of its own.
type realSSHD struct {
	t    testing.TB
	dir  string
	conf string
	addr string
}

// startSSHD makes keys and a configuration in a temporary folder. extra is added to the configuration; authorized are the
// public keys that may log in.
func startSSHD(t testing.TB, extra string, authorized ...string) *realSSHD {
	t.Helper()
	sshd, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		if strings.Contains(os.Getenv("DOVEMEND_TEST_REQUIRE"), "sshd") {
			t.Fatal("sshd is required and not installed")
		}
		t.Skip("sshd is not installed")
	}
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &realSSHD{t: t, dir: t.TempDir()}
	for _, typ := range []string{"ed25519", "ecdsa"} {
		keygen(t, "-q", "-t", typ, "-N", "", "-f", filepath.Join(s.dir, "host_"+typ))
	}
	auth := filepath.Join(s.dir, "authorized_keys")
	if err := os.WriteFile(auth, []byte(strings.Join(authorized, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(extra, "HostKey ") {
		extra += fmt.Sprintf("\nHostKey %s/host_ed25519\nHostKey %[1]s/host_ecdsa\n", s.dir)
	}
	s.conf = filepath.Join(s.dir, "sshd_config")
	conf := extra + "\nAuthorizedKeysFile " + auth + "\nUsePAM no\nStrictModes no\nPermitRootLogin prohibit-password\nLogLevel ERROR\n" +
		"Subsystem sftp internal-sftp\nPidFile none\n"
	if err := os.WriteFile(s.conf, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f, err := c.(*net.TCPConn).File()
			c.Close()
			if err != nil {
				continue
			}
			cmd := exec.Command(sshd, "-i", "-e", "-f", s.conf)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, t.Output()
			if err := cmd.Start(); err == nil {
				go cmd.Wait()
			}
			f.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return s
}

func keygen(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command("ssh-keygen", args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("ssh-keygen %v: %v: %s", args, err, out)
	}
	return string(out)
}

// newIdentity makes a key pair with ssh-keygen and gives the private file's name and the public line.
func newIdentity(t testing.TB, typ, phrase string) (file, public string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "id_"+typ)
	args := []string{"-q", "-t", typ, "-N", phrase, "-C", "test", "-f", file}
	if phrase != "" {
		args = append(args, "-a", "1")
	}
	if typ == "rsa" {
		args = append(args, "-b", "2048")
	}
	keygen(t, args...)
	pub, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return file, strings.TrimSpace(string(pub))
}

// config reaches the host by TCP; what is on the line is as with any sshd.
func (s *realSSHD) config(identities ...string) Config {
	u, err := user.Current()
	if err != nil {
		s.t.Fatal(err)
	}
	return Config{
		Target: u.Username + "@" + s.addr, ConfigFile: "none", NoAgent: true, AcceptNew: true, Identities: identities,
		KnownHosts: []string{filepath.Join(s.t.TempDir(), "known_hosts")}, DialTimeout: 20 * time.Second, Log: testLog(s.t),
	}
}

// dialReal connects to a new sshd with a new key.
func dialReal(t testing.TB, extra string) *Host {
	t.Helper()
	id, pub := newIdentity(t, "ed25519", "")
	return dial(t, startSSHD(t, extra, pub).config(id))
}
