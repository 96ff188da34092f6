package main

import (
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"dovemend/remote/remotetest/sshhost"
)

func TestMain(m *testing.M) {
	sshhost.MaybeChild()
	testscript.Main(m, map[string]func(){"dovemend": main, "dovemend-quick": quickMain})
}

// TestScript runs the scripts: each is one verb as a person or a script of theirs would use it.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUpScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"sshhost": scriptHost, "mkmail": scriptMail, "damage": scriptDamage, "treesum": scriptTreesum,
			"exits": scriptExits, "jsonone": scriptJSON, "patch": scriptPatch,
		},
	})
}

// setUpScript gives a script a home of its own and nothing of ours: no agent, no configuration, no colours.
func setUpScript(e *testscript.Env) error {
	var env []string
	for _, v := range e.Vars {
		if !strings.HasPrefix(v, "DOVEMEND_") && !strings.HasPrefix(v, "SSH_AUTH_SOCK=") {
			env = append(env, v)
		}
	}
	e.Vars = append(env, "HOME="+e.WorkDir+"/home", "XDG_STATE_HOME="+e.WorkDir+"/state", "TERM=dumb", "NO_COLOR=1")
	e.Vars = append(e.Vars, goEnv()...)
	for _, d := range []string{"home/.ssh", "state"} {
		if err := os.MkdirAll(e.WorkDir+"/"+d, 0o700); err != nil {
			return err
		}
	}
	return nil
}
