package main

import (
	"strconv"

	"github.com/urfave/cli/v2"

	"dovemend/cmd/internal/ui"
	"dovemend/repair/store"
)

type mailboxDocument struct {
	Name     string `json:"name"`
	Storage  string `json:"storage_name"`
	Folder   string `json:"folder"`
	Messages *int   `json:"messages"` // null where it cannot be told
	Bytes    *int64 `json:"bytes"`
}

type accountDocument struct {
	Address   string            `json:"account"`
	MailRoot  string            `json:"mail_root"`
	Layout    string            `json:"layout"`
	Tree      bool              `json:"mailboxes_tree"`
	Messages  *int              `json:"messages"`
	Bytes     *int64            `json:"bytes"`
	Mailboxes []mailboxDocument `json:"mailboxes"`
	Error     string            `json:"error,omitempty"`
}

type accountsDocument struct {
	envelope
	Accounts []accountDocument `json:"accounts"`
}

func (p *program) accounts() *cli.Command {
	return &cli.Command{
		Name:  "accounts",
		Usage: "find the accounts and mailboxes on the host",
		Description: "Lists every account this login can read: where its mail is, in which layout, and how\n" +
			"much of it there is. Reads files only, and changes nothing.\n\n" +
			"Exit codes: 0 found; 1 error, or none found; 2 usage; 5 login or host key.",
		Flags:  join(hostFlags(), accountFlags(), outputFlags()),
		Action: p.verb("accounts", doAccounts),
	}
}

func doAccounts(k *call) error {
	doc := &accountsDocument{Accounts: []accountDocument{}}
	k.doc = doc
	if err := k.connect(k.ctx()); err != nil {
		return err
	}
	all, err := k.accountsWanted()
	if err != nil {
		return err
	}
	failed := 0
	for _, a := range all {
		sizes, sum, err := k.session.Measure(k.ctx(), a)
		if k.ctx().Err() != nil {
			return k.ctx().Err()
		}
		d := describeAccount(a, sizes, sum)
		if err != nil {
			failed++
			d.Error = err.Error()
			k.progress.Warn(string(a.Root) + ": " + err.Error())
		}
		doc.Accounts = append(doc.Accounts, d)
	}
	k.progress.Done()
	printAccounts(k, doc.Accounts)
	if failed > 0 {
		return &endError{exitError, ui.Count(failed, "account") + " could not be measured in full", "dovemend accounts --verbose …"}
	}
	return nil
}

// accountsWanted lists the accounts that --account and --mail-root leave; none is an error.
func (k *call) accountsWanted() ([]store.Account, error) {
	if k.opts.Account != "" || k.opts.MailRoot != "" {
		a, _, err := k.session.Choose(k.ctx())
		if err != nil {
			return nil, err
		}
		return []store.Account{a}, nil
	}
	all, err := k.session.Accounts(k.ctx())
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, &endError{exitError, "no mail was found in the places this login can read",
			"dovemend accounts --mail-root DIR …, with the directory that holds mailboxes/ or the Maildir"}
	}
	return all, nil
}

func describeAccount(a store.Account, sizes []store.Size, sum store.Size) accountDocument {
	d := accountDocument{Address: a.Address, MailRoot: string(a.Root), Layout: string(a.Layout), Tree: a.Tree,
		Mailboxes: []mailboxDocument{}}
	d.Messages, d.Bytes = known(sum)
	for i, m := range a.Mailboxes {
		md := mailboxDocument{Name: m.Name, Storage: m.Storage, Folder: string(m.Dir)}
		if i < len(sizes) {
			md.Messages, md.Bytes = known(sizes[i])
		}
		d.Mailboxes = append(d.Mailboxes, md)
	}
	return d
}

// known turns the -1 of what cannot be told into null.
func known(s store.Size) (*int, *int64) {
	var messages *int
	var bytes *int64
	if s.Messages >= 0 {
		messages = &s.Messages
	}
	if s.Bytes >= 0 {
		bytes = &s.Bytes
	}
	return messages, bytes
}

func printAccounts(k *call, all []accountDocument) {
	t := ui.Table{Columns: []ui.Column{{Title: "ACCOUNT", Min: 12}, {Title: "LAYOUT"}, {Title: "MAILBOXES", Right: true},
		{Title: "MESSAGES", Right: true}, {Title: "SIZE", Right: true}, {Title: "MAIL ROOT", Min: 16}}}
	for _, a := range all {
		t.Row(nameOr(a.Address, "(not told)"), a.Layout, strconv.Itoa(len(a.Mailboxes)),
			countOf(a.Messages), bytesOf(a.Bytes), a.MailRoot)
	}
	t.Print(k.out(), ui.Width(k.p.stdout))
	for _, a := range all {
		k.say("")
		k.say("%s", ui.Safe(nameOr(a.Address, a.MailRoot)))
		t := ui.Table{Columns: []ui.Column{{Title: "  MAILBOX", Min: 20}, {Title: "MESSAGES", Right: true},
			{Title: "SIZE", Right: true}, {Title: "FOLDER", Min: 20}}}
		for _, m := range a.Mailboxes {
			t.Row("  "+m.Name, countOf(m.Messages), bytesOf(m.Bytes), m.Folder)
		}
		t.Print(k.out(), ui.Width(k.p.stdout))
	}
}

func nameOr(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}

func countOf(n *int) string {
	if n == nil {
		return "?"
	}
	return strconv.Itoa(*n)
}

func bytesOf(n *int64) string {
	if n == nil {
		return "?"
	}
	return ui.Bytes(*n)
}
