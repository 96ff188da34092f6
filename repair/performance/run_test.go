//go:build unix

package performance

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// figures are what one run of a program took.
type figures struct {
	wall time.Duration
	cpu  time.Duration // of the program and its children on this side
	peak int64         // bytes of memory, of its largest process
	fail error
}

// run runs a shell command and measures it.
func run(ctx context.Context, script string) figures {
	cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+script)
	if strings.ContainsAny(script, "|;&") {
		cmd = exec.CommandContext(ctx, "sh", "-c", script)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return figures{fail: err}
	}
	done := make(chan struct{})
	peak := make(chan int64, 1)
	go func() {
		most := int64(0)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				peak <- most
				return
			case <-tick.C:
				most = max(most, highWater(cmd.Process.Pid))
			}
		}
	}()
	err := cmd.Wait()
	f := figures{wall: time.Since(start)}
	close(done)
	f.peak = <-peak
	if s := cmd.ProcessState; s != nil {
		f.cpu = s.UserTime() + s.SystemTime()
	}
	if err != nil {
		f.fail = fmt.Errorf("%s: %w: %s", script, err, bytes.TrimSpace(out.Bytes()))
	}
	return f
}

// highWater is the most memory that a process, or one of those it has begun, has held, in bytes.
func highWater(pid int) int64 {
	most := int64(0)
	proc := "/proc/" + strconv.Itoa(pid)
	if b, err := os.ReadFile(proc + "/status"); err == nil {
		if _, rest, ok := strings.Cut(string(b), "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			most = kib << 10
		}
	}
	begun, _ := os.ReadFile(proc + "/task/" + strconv.Itoa(pid) + "/children")
	for child := range strings.FieldsSeq(string(begun)) {
		if n, err := strconv.Atoi(child); err == nil {
			most = max(most, highWater(n))
		}
	}
	return most
}

// steal reads how much processor time this machine was denied by its own host, and how much it had in all.
func steal() (denied, all float64) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	for i, f := range strings.Fields(line)[1:] {
		v, _ := strconv.ParseFloat(f, 64)
		if all += v; i == 7 {
			denied = v
		}
	}
	return denied, all
}
