package rundir

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestLockTellsWhichRunHoldsIt(t *testing.T) {
	state, key := t.TempDir(), Meta{Addr: "h"}.Key()
	release, err := Lock(state, key, "20261123-181502-3f9a")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Lock(state, key, "20261123-181502-ffff")
	var locked *LockedError
	if !errors.Is(err, ErrLocked) || !errors.As(err, &locked) {
		t.Fatalf("got %v", err)
	}
	if locked.Run != "20261123-181502-3f9a" || locked.PID != os.Getpid() || !strings.Contains(err.Error(), locked.Run) {
		t.Errorf("got %+v: %v", locked, err)
	}
	other, err := Lock(state, Meta{Addr: "other"}.Key(), "20261123-181502-ffff")
	if err != nil {
		t.Errorf("another account: %v", err)
	} else if err := other(); err != nil {
		t.Error(err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	release, err = Lock(state, key, "20261123-181502-ffff")
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if _, err := Lock(state, "../../etc/x", ""); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("bad key: %v", err)
	}
}

func TestRunsOwnLockKeepsASecondOut(t *testing.T) {
	state := t.TempDir()
	d := mustCreate(t, state, Meta{})
	release, err := d.Lock()
	if err != nil {
		t.Fatal(err)
	}
	o, err := Open(state, d.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if _, err := o.Lock(); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	again, err := o.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil {
		t.Error(err)
	}
}

// TestLockEndsWithItsProcess starts this test binary again, which takes the lock and is then killed.
func TestLockEndsWithItsProcess(t *testing.T) {
	const env = "DOVEMEND_TEST_HOLD_LOCK"
	key := Meta{Addr: "h"}.Key()
	if state := os.Getenv(env); state != "" {
		if _, err := Lock(state, key, "20261123-181502-3f9a"); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("locked\n")
		bufio.NewReader(os.Stdin).ReadString('\n')
		return
	}
	state := t.TempDir()
	c := exec.Command(os.Args[0], "-test.run=^TestLockEndsWithItsProcess$")
	c.Env = append(os.Environ(), env+"="+state)
	if _, err := c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "locked\n" {
		t.Fatalf("helper said %q, %v", line, err)
	}
	_, err = Lock(state, key, "")
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != c.Process.Pid {
		t.Errorf("while it runs: %v", err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.Wait()
	release, err := Lock(state, key, "20261123-181502-3f9a")
	if err != nil {
		t.Fatalf("after it was killed: %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}

func TestLockTellsHowFarAnotherHasTakenTheRun(t *testing.T) {
	state := t.TempDir()
	d := mustCreate(t, state, Meta{Stage: StageApplying})
	waiting, err := Open(state, d.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	if err := d.Update(func(m *Meta) { m.Stage, m.UndoneBy = StageUndone, "20261123-181502-ffff" }); err != nil {
		t.Fatal(err)
	}
	release, err := waiting.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if m := waiting.Meta(); m.Stage != StageUndone || m.UndoneBy == "" {
		t.Errorf("with the lock taken the run is still told to be %q", m.Stage)
	}
}
