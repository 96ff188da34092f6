package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"dovemend/remote/remotetest/demoaccount"
)

// scriptMail makes mail: mkmail mdbox DIR is the demo's account, unbroken. mkmail maildir N DIR is a Maildir++: INBOX gets N messages, Archive/2020 and Entwürfe (in
// modified UTF-7) one each; with index files beside them, as Dovecot leaves them.
func scriptMail(ts *testscript.TestScript, neg bool, args []string) {
	if !neg && len(args) == 2 && args[0] == "mdbox" {
		ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[1])), 0o755))
		ts.Check(demoaccount.Unpack(ts.MkAbs(args[1])))
		return
	}
	if neg || len(args) != 3 || args[0] != "maildir" {
		ts.Fatalf("usage: mkmail mdbox DIR, mkmail maildir N DIR")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	root := ts.MkAbs(args[2])
	for dir, count := range map[string]int{"": n, ".Archive.2020": 1, ".Entw&APw-rfe": 1} {
		ts.Check(makeMaildir(filepath.Join(root, dir), count))
	}
}

func makeMaildir(dir string, n int) error {
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
	}
	list := fmt.Sprintf("3 V1577836800 N%d G0123456789abcdef0123456789abcdef\n", n+1)
	for i := 1; i <= n; i++ {
		body := fmt.Sprintf("From: bob@example.net\r\nSubject: message %d\r\n\r\nText of message %d.\r\n", i, i)
		name := fmt.Sprintf("%d.M%dP1.host,S=%d", 1577836800+i, i, len(body))
		if err := os.WriteFile(filepath.Join(dir, "cur", name+":2,S"), []byte(body), 0o600); err != nil {
			return err
		}
		list += fmt.Sprintf("%d :%s\n", i, name)
	}
	files := map[string]string{"dovecot-uidlist": list, "dovecot.index.log": "log", "dovecot.index.cache": "cache"}
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o640); err != nil {
			return err
		}
		at := time.Unix(1577836800, 0)
		if err := os.Chtimes(file, at, at); err != nil {
			return err
		}
	}
	return nil
}
