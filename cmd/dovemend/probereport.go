package main

import (
	"fmt"
	"slices"
	"strings"

	"dovemend/cmd/internal/ui"
	"dovemend/remote/imap"
	"dovemend/repair"
	"dovemend/repair/check"
	"dovemend/repair/probe"
)

// report writes what was found, and decides how the verb ends.
func (x *probing) report() error {
	k := x.k
	x.doc.Healthy = x.healthy()
	x.limit()
	if k.job != nil {
		x.doc.Command = k.verb
		if err := k.job.KeepProbe(x.doc); err != nil {
			k.progress.Warn("what the server answered could not be kept in the run's folder: " + err.Error())
		}
	}
	k.progress.Done()
	x.printFiles()
	if x.looked != nil {
		if x.noLook == nil {
			k.say("Asked %s, over %s:", ui.Way(x.doc.Way), ui.Count(x.doc.Connections, "connection"))
		}
		ui.PrintLooked(k.out(), x.looked)
	}
	if x.login != nil {
		k.say("The login with the password, as mail programs log in:")
		ui.PrintLook(k.out(), x.login)
	}
	x.printPoison()
	x.printLimit()
	return x.end()
}

// printFiles writes what the files told, where that is something.
func (x *probing) printFiles() {
	if x.checked == nil {
		return
	}
	var found []repair.Diagnosis
	for _, d := range x.checked.Mailboxes {
		if slices.ContainsFunc(d.Findings, func(f repair.Finding) bool { return f.Severity != check.Note }) {
			found = append(found, d)
		}
	}
	if len(found) > 0 {
		x.k.say("What the files tell, from the copy of run %s:", x.doc.Run)
		ui.PrintDiagnoses(x.k.out(), found)
	}
	if slices.ContainsFunc(x.checked.Account, func(f repair.Finding) bool { return f.Severity != check.Note }) {
		ui.PrintShared(x.k.out(), x.checked.Account)
	}
	for _, h := range x.harms {
		x.k.say("Mailbox %s was not looked at over IMAP, because a look would harm it: %s.", ui.Safe(h.Mailbox), ui.Safe(h.Why))
	}
}

// limit looks who holds the connections, where there are too many.
func (x *probing) limit() {
	reply, ok := x.reachedLimit()
	if !ok {
		return
	}
	x.doc.Limit = reply.Limit
	if x.k.session == nil {
		return
	}
	all, err := x.k.session.Processes(x.k.ctx())
	if err != nil {
		x.k.progress.Warn("who holds the connections could not be seen: " + err.Error())
		return
	}
	for _, p := range all {
		if strings.HasPrefix(p.Service, "imap") {
			x.doc.Processes = append(x.doc.Processes, describeProcess(p))
		}
	}
}

func (x *probing) reachedLimit() (probe.Reply, bool) {
	l := probe.Looked{}
	if x.looked != nil {
		l = *x.looked
	}
	if x.login != nil {
		l.Account = append(slices.Clone(l.Account), *x.login)
	}
	for _, f := range x.found {
		l.Account = append(slices.Clone(l.Account), probe.LookResult{Replies: f.Replies})
	}
	return l.Class(imap.ClassConnectionLimit)
}

// printLimit writes who holds the connections, as far as the host tells.
func (x *probing) printLimit() {
	if _, ok := x.reachedLimit(); !ok || x.k.session == nil {
		return
	}
	all := x.doc.Processes
	x.k.say("This login runs %s now%s.", ui.Count(len(all), "imap process"), ofLimit(x.doc.Limit))
	if len(all) == 0 {
		return
	}
	printProcesses(x.k.out(), all)
	for _, h := range holders(all) {
		x.k.say("  %s", h)
	}
	if !slices.ContainsFunc(all, func(p processDocument) bool { return p.Client != "" }) {
		x.k.say("  The host does not tell which mail program holds which. Close them one after the other, on all devices.")
	}
}

func ofLimit(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; the host allows %d at a time for one user from one address", n)
}

// holders counts the processes by client and account, most first.
func holders(all []processDocument) []string {
	n := map[[2]string]int{}
	for _, p := range all {
		if p.Client != "" {
			n[[2]string{p.Client, p.Account}]++
		}
	}
	var keys [][2]string
	for k := range n {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b [2]string) int {
		if n[a] != n[b] {
			return n[b] - n[a]
		}
		return strings.Compare(a[0]+" "+a[1], b[0]+" "+b[1])
	})
	var out []string
	for _, k := range keys {
		line := fmt.Sprintf("%s from %s", ui.Count(n[k], "connection"), ui.Safe(k[0]))
		if k[1] != "" {
			line += " to " + ui.Safe(k[1])
		}
		out = append(out, line)
	}
	return out
}

// end gives the verb's exit code, and the next command.
func (x *probing) end() error {
	k := x.k
	if x.noLook != nil && x.looked == nil {
		return &endError{exitError, "the mailbox could not be looked at over IMAP: " + x.noLook.Error(),
			"the same command with --imap HOST:PORT and --imap-password-command CMD; " + x.command("check") + " examines the files alone"}
	}
	for _, f := range x.found {
		if f.Stop == probe.StopLimit || f.Stop == probe.StopConnection {
			return &endError{exitError, "the search for poison messages could not go on: see above", x.afterLogin(imap.ClassConnectionLimit)}
		}
	}
	if code, class := x.loginCode(); code != 0 {
		text := "the server could not be asked: see above"
		if x.login != nil && x.login.Failed() {
			text = "the login with the password failed: see above"
		}
		return &endError{code, text, x.afterLogin(class)}
	}
	if len(x.harms) > 0 {
		return &endError{exitRefused, fmt.Sprintf("%s not looked at, because a look would harm what is damaged; nothing was changed", ui.Count(len(x.harms), "mailbox")),
			x.command("repair", "--remedy", "auto") + " plans the repair; the same probe with --look-anyway looks all the same, and the copy of run " + x.doc.Run + " keeps what is lost"}
	}
	if x.doc.Healthy {
		k.say("Everything that was asked works.")
		return nil
	}
	text := "something is wrong; nothing was changed"
	if x.harmed {
		text = "something is wrong; dovemend changed nothing, but Dovecot may have changed at this look what was damaged: the copy of run " + x.doc.Run + " has it as it was"
	}
	return &endError{exitFindings, text, x.afterFindings()}
}

// loginCode gives the exit code where a login failed for a reason that is no mailbox's.
func (x *probing) loginCode() (int, imap.Class) {
	var failed []probe.LookResult
	if x.looked != nil {
		failed = append(failed, x.looked.Account[0])
	}
	if x.login != nil {
		failed = append(failed, *x.login)
	}
	for _, r := range failed {
		for _, reply := range r.Replies {
			if r.State != probe.Fails {
				break
			}
			switch reply.Class {
			case imap.ClassPassword, imap.ClassAccount, imap.ClassEncryption, imap.ClassCertificate, imap.ClassTLS, imap.ClassAlert:
				return exitLogin, reply.Class
			case imap.ClassInternal, imap.ClassDiskFull, imap.ClassQuota, imap.ClassPermission, imap.ClassIndex:
			default:
				return exitError, reply.Class
			}
		}
	}
	return 0, ""
}

func (x *probing) afterLogin(class imap.Class) string {
	switch class {
	case imap.ClassConnectionLimit:
		if x.k.session == nil {
			return "close the mail programs on all devices, then the same command again; with a login to the host, dovemend processes --host HOST --stop ends the connections that hang"
		}
		return x.command("processes", "--stop") + " ends them; then the same command again"
	case imap.ClassPassword:
		return "look at user and password, then the same command again; not many times in a row, because hosts lock out who fails"
	case imap.ClassCertificate:
		return "the same command with the server's name as it stands in the certificate (--imap HOST:PORT), or with the hosting company's own CA certificate (--imap-ca FILE)"
	case imap.ClassTLS, imap.ClassEncryption, imap.ClassUnreachable:
		return "dovemend probe --imap HOST:PORT --imap-tls tls (port 993) or starttls (port 143)"
	}
	return "what to do is said with the answer above; then the same command again"
}

func (x *probing) afterFindings() string {
	if next := x.afterPoison(); next != "" {
		return next
	}
	switch {
	case x.checked != nil && x.checked.Curable():
		return x.command("repair", "--remedy", "auto") + ", which plans the repair and changes nothing without --apply"
	case x.k.session == nil:
		return "with a login to the host: dovemend check --host HOST …, which examines the files; what to do about each answer is said with it"
	}
	return "what to do is said with each answer and each finding; " + x.command("salvage", "--to", "FOLDER") + " writes out what is kept aside or cannot be shown"
}

// command is another verb on the same mailboxes of the same host.
func (x *probing) command(verb string, more ...string) string {
	k := x.k
	if k.opts.Remote.Target == "" {
		return "dovemend " + verb + " --host HOST …"
	}
	args := append([]string{"dovemend", verb, "--host", k.opts.Remote.Target}, k.reachArgs()...)
	if verb == "processes" {
		return ui.Command(append(append(args, k.asGiven("account")...), more...)...)
	}
	args = append(args, k.asGiven("account", "mail-root")...)
	if k.opts.All {
		args = append(args, "--all-mailboxes")
	}
	for _, m := range k.opts.Mailboxes {
		args = append(args, "--mailbox", m)
	}
	return ui.Command(append(append(args, more...), k.placeArgs()...)...)
}
