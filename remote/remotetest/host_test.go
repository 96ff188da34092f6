package remotetest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"dovemend/remote/remotetest/damage"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
)

var _, _ Host = (*RealHost)(nil), (*EmbeddedHost)(nil)

func TestEmbeddedHostHasAnAccountAndCanaries(t *testing.T) {
	h := Embedded(t, EmbeddedOptions{Lay: func(root string) error {
		folder := filepath.Join(root, "mailboxes", "INBOX", "dbox-Mails")
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(folder, "dovecot.index"), make([]byte, 200), 0o600)
	}})
	if got := Damage(t, h, "INBOX", "index-cut", 1); len(got) != 1 {
		t.Errorf("changed %q", got)
	}
	if h.Account() != "anna@example.org" || h.Layout() != "mdbox" || h.IMAP() != "" {
		t.Errorf("account %q, layout %q, IMAP %q", h.Account(), h.Layout(), h.IMAP())
	}
	if err := h.SpawnIMAP(1); err != nil {
		t.Error(err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if changed, err := h.Canaries.Changed(); err != nil || len(changed) > 0 {
		t.Errorf("canaries: %q, %v", changed, err)
	}
	if to, err := os.Readlink(filepath.Join(h.MailRoot(), "mailboxes", "canary-link")); err != nil || !strings.HasPrefix(to, h.Home()) {
		t.Errorf("link in the tree leads to %q, %v", to, err)
	}
}

// The harness must break mailboxes as the table of damages says, or what is tested on it means nothing.
func TestDovecotDoesToDamageWhatIsKnown(t *testing.T) {
	for _, c := range []struct {
		layout, kind string
		after        [3]int // messages, seen, Work in INBOX afterwards; nothing where it cannot be read
	}{
		// The four messages that are also in Sent are in some mailbox: the rebuild does not bring them back to INBOX.
		{"mdbox", "index-missing", [3]int{41, 0, 0}},
		{"sdbox", "index-header-garbage", [3]int{0, 0, 0}},
		{"maildir", "cache-garbage", [3]int{45, 22, 5}},
	} {
		t.Run(c.layout+"/"+c.kind, func(t *testing.T) {
			h := Real(t, Options{Options: realhost.Options{Layout: c.layout, RotateLogs: c.layout != "maildir", NoSSHD: true}, Fill: &fill.Shape{}})
			if inbox := h.Truth.Mailboxes["INBOX"]; inbox.Count("") != 45 || inbox.Count(`\Seen`) != 22 || inbox.Count("Work") != 5 {
				t.Fatalf("before: %d messages", inbox.Count(""))
			}
			Damage(t, h, "INBOX", c.kind, 1)
			// The first look at a damaged mailbox may be ended by Dovecot; the second tells what it made of it.
			target := fill.Target{Addr: h.IMAP(), User: h.Account(), Password: h.Password()}
			if _, err := fill.Read(t.Context(), target); err != nil {
				t.Logf("first look: %v", err)
			}
			inbox := ReadTruth(t, h).Mailboxes["INBOX"]
			if got := [3]int{inbox.Count(""), inbox.Count(`\Seen`), inbox.Count("Work")}; got != c.after {
				t.Errorf("afterwards %v, want %v", got, c.after)
			}
		})
	}
}

// Every damage can be done to what a real Dovecot of each layout leaves on disk.
func TestEveryDamageFitsRealFiles(t *testing.T) {
	for _, layout := range []string{"mdbox", "sdbox", "maildir"} {
		t.Run(layout, func(t *testing.T) {
			h := Real(t, Options{Options: realhost.Options{Layout: layout, RotateLogs: true, NoSSHD: true}, Fill: &fill.Shape{}})
			pristine := make(map[string][]byte)
			err := filepath.WalkDir(h.MailRoot(), func(path string, e fs.DirEntry, err error) error {
				if err == nil && e.Type().IsRegular() {
					pristine[path], err = os.ReadFile(path)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, kind := range damage.Kinds(layout) {
				for _, box := range []string{"INBOX", "Archive/2020", fill.StorageName("Entwürfe/Größe")} {
					target := damage.Target{MailRoot: h.MailRoot(), Layout: layout, Mailbox: box}
					changes, err := damage.Break(target, kind, 1)
					_, backup := pristine[filepath.Join(target.Folder(), "dovecot.index.backup")]
					if kind == "backup-garbage" && !backup && errors.Is(err, fs.ErrNotExist) {
						continue // not every mailbox has one
					}
					if err != nil || len(changes) == 0 {
						t.Errorf("%s of %s: %+v, %v", kind, box, changes, err)
					}
					for _, c := range changes { // for the next one
						takeBack(t, c, pristine)
					}
				}
			}
		})
	}
}

// takeBack makes the files that a damage changed what they were.
func takeBack(t *testing.T, c damage.Change, pristine map[string][]byte) {
	t.Helper()
	if c.To != "" {
		if err := os.Remove(c.To); err != nil {
			t.Fatal(err)
		}
	}
	old, known := pristine[c.File]
	dir := filepath.Dir(c.File)
	if !known && c.What == damage.Removed {
		dir = c.File
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if !known {
		if c.What != damage.Removed {
			if err := os.Remove(c.File); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	if err := os.Chmod(c.File, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.File, old, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestHelperHost is not a test of its own: TestNothingLivesOnWhenTheTestIsKilled runs it in a program that it kills.
func TestHelperHost(t *testing.T) {
	report := os.Getenv("DOVEMEND_TEST_HELPER")
	if report == "" {
		t.Skip("run by another test")
	}
	h := Real(t, Options{})
	if err := os.WriteFile(report+".new", []byte(h.Dir()+"\n"+strconv.Itoa(h.UID())), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(report+".new", report); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
}

func TestNothingLivesOnWhenTheTestIsKilled(t *testing.T) {
	if missing := realhost.Missing(realhost.Options{}); len(missing) > 0 || runtime.GOOS != "linux" {
		need(t, []string{"sshd", "dovecot"}, fmt.Sprint(runtime.GOOS, " ", missing))
	}
	report := filepath.Join(t.TempDir(), "report")
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelperHost$")
	cmd.Env = append(os.Environ(), "DOVEMEND_TEST_HELPER="+report)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var dir string
	for end := time.Now().Add(30 * time.Second); dir == ""; time.Sleep(20 * time.Millisecond) {
		if b, err := os.ReadFile(report); err == nil {
			dir, _, _ = strings.Cut(string(b), "\n")
		} else if !errors.Is(err, fs.ErrNotExist) || time.Now().After(end) {
			cmd.Process.Kill()
			t.Fatal(err)
		}
	}
	defer os.RemoveAll(dir)
	if n := mentions(t, dir); n == 0 {
		t.Error("no process of the host is found; the test tests nothing")
	}
	cmd.Process.Kill()
	cmd.Wait()
	for end := time.Now().Add(10 * time.Second); mentions(t, dir) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d processes of the host live on", mentions(t, dir))
		}
	}
}

// mentions counts the processes whose working directory, arguments or environment are of a host's directory.
func mentions(t *testing.T, dir string) int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		cmdline, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		cwd, _ := os.Readlink("/proc/" + e.Name() + "/cwd")
		if strings.Contains(string(cmdline), dir) || strings.HasPrefix(cwd, dir) {
			n++
		}
	}
	return n
}
