package remote

import "os/exec"

func proxyShell(command string) *exec.Cmd { return exec.Command("cmd", "/c", command) }
