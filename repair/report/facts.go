package report

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// copies says where what was kept is.
func (t tongue) copies(run *Run) []string {
	var out []string
	if s := run.Saved; s != nil {
		out = append(out, t.w("entry", t.w("kept.saved.in"), s.Folder))
	}
	c := run.Copy
	if c == nil {
		return append(out, t.w("kept.nocopy"))
	}
	text := t.w("kept.copy")
	if c.Files > 0 {
		text += fmt.Sprintf(" (%s, %s", t.w("files", c.Files), t.size(c.Bytes))
		if c.Verified != "" {
			text += ", " + t.word("copy", c.Verified)
		}
		text += ")"
	}
	out = append(out, t.w("entry", text, c.Folder))
	if c.Torn > 0 {
		out = append(out, t.w("kept.torn", c.Torn))
	}
	if c.Unreadable > 0 {
		out = append(out, t.w("kept.unread", c.Unreadable))
	}
	return out
}

// fact is one line of what is known of account and host.
type fact struct {
	Key, Value string
	Mono       bool // a path, or what a machine calls itself
}

// facts lists what is known of account and host.
func (t tongue) facts(r *Report) []fact {
	var out []fact
	add := func(key, value string, mono bool) {
		if value != "" {
			out = append(out, fact{t.w(key), value, mono})
		}
	}
	add("f.account", r.Account.Address, false)
	boxes := r.Account.Mailboxes
	if len(boxes) > 12 {
		add("f.mailboxes", strings.Join(boxes[:12], ", ")+" "+t.w("more", len(boxes)-12), false)
	} else {
		add("f.mailboxes", strings.Join(boxes, ", "), false)
	}
	add("f.layout", t.word("layout", r.Account.Layout), false)
	add("f.root", r.Account.MailRoot, true)
	add("f.host", r.Host.Name, true)
	add("f.login", r.Host.Login, true)
	add("f.dovecot", orElse(r.Host.Dovecot, t.w("dovecot.unknown")), false)
	add("f.greeting", r.Host.Greeting, true)
	add("f.ssh", r.Host.SSHServer, true)
	add("f.hostkey", r.Host.HostKey, true)
	add("f.system", r.Host.System, false)
	if r.Host.Shell != nil {
		shell := "no"
		if *r.Host.Shell {
			shell = "yes"
		}
		add("f.shell", t.w(shell), false)
	}
	return out
}

func (p *printer) facts(r *Report) {
	p.section("h.facts")
	for _, f := range p.tongue.facts(r) {
		name := f.Key + ":"
		p.hang("  "+name+strings.Repeat(" ", max(1, 16-utf8.RuneCountInString(name))), f.Value)
	}
	if r.LeftOut > 0 {
		p.para(p.w("runs.earlier", r.LeftOut))
	}
}
