package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"dovemend/remote/remotetest/sshhost"
)

// scriptHost starts an embedded host: sshhost [-noshell] [-unknown] [-imap N] HOME. It sets $HOST, $HOSTPORT and the
// password's variable, and makes the host known unless -unknown.
func scriptHost(ts *testscript.TestScript, neg bool, args []string) {
	o := sshhost.Options{User: "web1", Password: "correct horse"}
	known, imap := true, 0
	for len(args) > 1 {
		switch args[0] {
		case "-noshell":
			o.NoShell = true
		case "-unknown":
			known = false
		case "-imap":
			n, err := strconv.Atoi(args[1])
			ts.Check(err)
			imap, args = n, args[1:]
		default:
			ts.Fatalf("sshhost: unknown option %s", args[0])
		}
		args = args[1:]
	}
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sshhost [-noshell] [-unknown] [-imap N] HOME")
	}
	o.Home = ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(o.Home, 0o755))
	h, err := sshhost.Start(o)
	ts.Check(err)
	ts.Defer(func() { ts.Check(h.Close()) })
	ts.Check(h.SpawnIMAP(imap))
	if known {
		ts.Check(os.WriteFile(ts.MkAbs("home/.ssh/known_hosts"), []byte(h.KnownHostsLine()+"\n"), 0o600))
	}
	ts.Setenv("HOSTPORT", h.Addr())
	ts.Setenv("HOST", h.User()+"@"+h.Addr())
	ts.Setenv("DOVEMEND_SSH_PASSWORD", o.Password)
}

// scriptExits runs a command and wants a certain exit code: exits CODE PROGRAM ARGS…; stdout and stderr as after exec.
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("run %s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// scriptJSON wants standard output to be exactly one JSON document: jsonone [KEY=VALUE]…, with top-level keys.
func scriptJSON(ts *testscript.TestScript, neg bool, args []string) {
	out := ts.ReadFile("stdout")
	dec := json.NewDecoder(strings.NewReader(out))
	var doc map[string]any
	if err := dec.Decode(&doc); err != nil {
		ts.Fatalf("standard output is not a JSON document: %v\n%s", err, out)
	}
	if _, err := dec.Token(); err != io.EOF {
		ts.Fatalf("something follows the JSON document:\n%s", out)
	}
	for _, a := range args {
		key, want, _ := strings.Cut(a, "=")
		got, ok := doc[key]
		if !ok || fmt.Sprint(got) != want {
			ts.Fatalf("%s is %v, want %s", key, got, want)
		}
	}
	if neg {
		ts.Fatalf("jsonone cannot be negated")
	}
}

// scriptDamage damages a file: damage zero|cut|garbage FILE.
func scriptDamage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: damage zero|cut|garbage FILE")
	}
	file := ts.MkAbs(args[1])
	b, err := os.ReadFile(file)
	ts.Check(err)
	switch args[0] {
	case "zero":
		b = nil
	case "cut":
		b = b[:len(b)/2]
	case "garbage":
		copy(b, bytes.Repeat([]byte{0xa5}, min(len(b), 64)))
	default:
		ts.Fatalf("damage: unknown kind %s", args[0])
	}
	ts.Check(os.WriteFile(file, b, 0o640))
}

// scriptTreesum remembers a tree, and compares it with what was remembered: treesum save|same NAME DIR. Names, types,
// modes, times and bytes count.
func scriptTreesum(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: treesum save|same NAME DIR")
	}
	sum, err := treesum(ts.MkAbs(args[2]))
	ts.Check(err)
	file := ts.MkAbs(".treesum-" + args[1])
	switch {
	case args[0] == "save" && !neg:
		ts.Check(os.WriteFile(file, []byte(sum), 0o600))
	case args[0] == "same":
		if same := ts.ReadFile(file) == sum; same == neg {
			ts.Fatalf("the tree %s: same is %v\n--- before\n%s--- now\n%s", args[2], same, ts.ReadFile(file), sum)
		}
	default:
		ts.Fatalf("treesum: unknown %s", args[0])
	}
}

func treesum(dir string) (string, error) {
	var lines []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%q %v", rel, fi.Mode())
		switch {
		case fi.Mode().IsRegular():
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d %x", fi.ModTime().Unix(), sha256.Sum256(b))
		case fi.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			line += " -> " + target
		default:
			line += fmt.Sprintf(" %d", fi.ModTime().Unix())
		}
		lines = append(lines, line)
		return nil
	})
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n", err
}

// scriptPatch writes bytes into a file, and makes both the file and its folder where they are missing: patch FILE OFFSET
// HEX. What lies between the end of the file and the offset becomes NUL bytes.
func scriptPatch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: patch FILE OFFSET HEX")
	}
	at, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	b, err := hex.DecodeString(args[2])
	ts.Check(err)
	file := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(file), 0o755))
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o644)
	ts.Check(err)
	_, err = f.WriteAt(b, at)
	ts.Check(errors.Join(err, f.Close()))
}
