package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dovemend/cmd/internal/ui"
	"dovemend/remote"
	"dovemend/remote/imap"
	"dovemend/repair/probe"
)

type poisonDocument struct {
	Mailbox     string                  `json:"mailbox"`
	Complete    bool                    `json:"complete"`
	Stop        string                  `json:"stop,omitempty"`
	Text        string                  `json:"text"`
	Next        string                  `json:"next"`
	Messages    []poisonMessageDocument `json:"poison_messages"`
	Everywhere  []everywhereDocument    `json:"everywhere,omitempty"`
	Unsteady    []uint32                `json:"unsteady,omitempty"`
	Gone        int                     `json:"gone"`
	Connections int                     `json:"connections"`
	RoundTrips  int                     `json:"round_trips"`
}

type poisonMessageDocument struct {
	UID     uint32          `json:"uid"`
	Fails   []string        `json:"fails"`
	Reads   []string        `json:"reads,omitempty"`
	Crash   bool            `json:"crash"`
	HangUp  bool            `json:"hangs_up"`
	Verdict string          `json:"verdict"`
	Damaged bool            `json:"damaged"`
	Text    string          `json:"text"`
	Next    string          `json:"next"`
	Reply   replyDocument   `json:"reply"`
	Log     []replyDocument `json:"log,omitempty"`
}

type everywhereDocument struct {
	Look  string        `json:"look"`
	Text  string        `json:"text"`
	Reply replyDocument `json:"reply"`
}

// poisonState is the file by which a search is gone on with.
type poisonState struct {
	Version  int            `json:"version"`
	Account  string         `json:"account"`
	Searches []*probe.Found `json:"searches"`
}

const (
	poisonVersion  = 1
	mostPoisonFile = 256 << 20 // bytes
	poisonSaves    = 2 * time.Second
	poisonTells    = 10 * time.Second
)

// poisoning is a search for poison messages in some mailboxes.
type poisoning struct {
	x     *probing
	file  string // where it is kept; "" nowhere
	state poisonState
	saved time.Time
}

// poisonOptions reads what concerns the search, and the file of an earlier one.
func (x *probing) poisonOptions() error {
	k := x.k
	file := k.String("poison-state")
	switch {
	case !k.Bool("find-poison") && k.IsSet("poison-state"):
		return &usageError{text: "--poison-state is for --find-poison"}
	case k.Bool("after-drop-cache") && (!k.Bool("find-poison") || file == ""):
		return &usageError{text: "--after-drop-cache is for --find-poison, and wants the --poison-state FILE of the search before"}
	case !k.Bool("find-poison"):
		return nil
	}
	x.poison = &poisoning{x: x, file: file, state: poisonState{Version: poisonVersion}}
	if file == "" {
		return nil
	}
	path, err := writable("poison-state", file)
	if err != nil {
		return err
	}
	x.poison.file = path
	if err := x.poison.read(); err != nil {
		return &usageError{text: fmt.Sprintf("--poison-state %q: %v", file, err)}
	}
	if k.Bool("after-drop-cache") && len(x.poison.state.Searches) == 0 {
		return &usageError{text: fmt.Sprintf("--poison-state %q holds no search whose messages could be looked at again", file)}
	}
	return nil
}

func (p *poisoning) read() error {
	info, err := os.Stat(p.file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && info.Size() > mostPoisonFile {
		err = errors.New("it is too large to be one")
	}
	if err != nil {
		return err
	}
	b, err := os.ReadFile(p.file)
	if err != nil {
		return err
	}
	if len(b) == 0 {
		return nil
	}
	var s poisonState
	if err := json.Unmarshal(b, &s); err != nil || s.Version == 0 {
		return errors.New("it is no file of a search for poison messages")
	}
	if s.Version > poisonVersion {
		return errors.New("it was written by a later version of dovemend")
	}
	s.Searches = slices.DeleteFunc(s.Searches, func(f *probe.Found) bool { return f == nil })
	p.state = s
	return nil
}

// keep writes the file anew, beside it first, so that it is always whole.
func (p *poisoning) keep() error {
	if p.file == "" {
		return nil
	}
	b, err := json.Marshal(p.state)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(p.file), ".poison-*")
	if err != nil {
		return fmt.Errorf("keep the search: %w", err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), p.file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keep the search: %w", err), os.Remove(f.Name()))
	}
	p.saved = time.Now()
	return nil
}

// put takes the state of one mailbox's search over.
func (p *poisoning) put(f *probe.Found) {
	if i := slices.IndexFunc(p.state.Searches, func(s *probe.Found) bool { return s.Mailbox == f.Mailbox }); i >= 0 {
		p.state.Searches[i] = f
		return
	}
	p.state.Searches = append(p.state.Searches, f)
}

func (p *poisoning) before(mailbox string) *probe.Found {
	for _, s := range p.state.Searches {
		if s.Mailbox == mailbox {
			return s
		}
	}
	return nil
}

// search looks for the poison messages of every mailbox that could be opened.
func (p *poisoning) search(dial probe.Dialer) error {
	k, x := p.x.k, p.x
	if a := p.state.Account; a != "" && a != x.doc.Account {
		return &usageError{text: fmt.Sprintf("--poison-state %q is of a search in the account %s", k.String("poison-state"), remote.Safe(a))}
	}
	p.state.Account = x.doc.Account
	if p.file == "" && x.doc.Folder != "" {
		p.file = filepath.Join(x.doc.Folder, "poison.json")
	}
	for _, m := range x.looked.Mailboxes {
		if m.Exists < 0 {
			continue
		}
		f, err := p.one(m.Mailbox, dial)
		if f != nil {
			x.found = append(x.found, f)
			x.doc.Poison = append(x.doc.Poison, describePoison(f))
			x.doc.Connections += f.Connections
			p.put(f)
			err = errors.Join(p.keep(), err)
		}
		switch {
		case err == nil:
		case k.ctx().Err() != nil:
			return &endError{exitInterrupted, "the search was interrupted", p.again()}
		case f != nil && f.Stop != "":
			// Why it ended is told with what was found.
		default:
			return err
		}
		if f != nil && (f.Stop == probe.StopLimit || f.Stop == probe.StopConnection) {
			return nil
		}
	}
	return nil
}

// one searches one mailbox, from where an earlier search ended.
func (p *poisoning) one(mailbox string, dial probe.Dialer) (*probe.Found, error) {
	k, before := p.x.k, p.before(mailbox)
	k.progress.Stage(remote.Safe(mailbox) + ": looking for poison messages")
	told, known := time.Now(), 0
	o := probe.FindOptions{Pause: k.p.pause, Save: func(f *probe.Found) error {
		if len(f.Poison) > known || time.Since(told) > poisonTells {
			told, known = time.Now(), len(f.Poison)
			k.progress.Stage(fmt.Sprintf("%s: %s asked, %s so far", remote.Safe(mailbox), ui.Count(f.RoundTrips, "question"), ui.Count(known, "poison message")))
		}
		if time.Since(p.saved) < poisonSaves {
			return nil
		}
		p.put(f)
		return p.keep()
	}}
	if k.Bool("after-drop-cache") {
		switch {
		case before == nil:
			return nil, nil
		case before.Stopped():
			return nil, &usageError{text: "the search in " + remote.Safe(mailbox) + " is not at its end; finish it first, without --after-drop-cache"}
		}
		return probe.Settle(k.ctx(), dial, before, o)
	}
	if before != nil && before.Stopped() {
		o.Resume = before
	}
	if p.x.suspects != nil {
		o.Suspects = p.x.suspects(mailbox)
	}
	o.Looks = slices.DeleteFunc(slices.Clone(p.x.searched), func(l imap.Look) bool { return !slices.Contains(probe.FindLooks, l) })
	if len(o.Looks) == 0 {
		o.Looks = nil
	}
	return probe.Find(k.ctx(), dial, mailbox, o)
}

// again is the command that goes on with the search.
func (p *poisoning) again() string {
	if p.file == "" {
		return "the same command again; with --poison-state FILE it could be gone on with"
	}
	if p.x.k.IsSet("poison-state") {
		return "the same command again, which goes on from here"
	}
	return "the same command with " + ui.Command("--poison-state", p.file) + ", which goes on from here"
}

// print writes what was found.
func (x *probing) printPoison() {
	for _, f := range x.found {
		x.k.say("Poison messages of %s: %s", ui.Safe(f.Mailbox), ui.Safe(f.Text))
		for _, m := range f.Poison {
			x.k.say("  UID %d fails at %s%s", m.UID, commands(m.Fails), crashed(m))
			x.k.say("      %s", ui.Safe(m.Text))
			if len(m.Reads) > 0 {
				x.k.say("      what works: %s", commands(m.Reads))
			}
			x.k.say("      the server: %s", ui.Safe(m.Reply.Text))
			for _, l := range m.Log {
				x.k.say("      the host's log: %s", ui.Safe(l.Text))
			}
			x.k.say("      what to do: %s", ui.Safe(m.Next))
		}
		x.k.say("  %s, %s.", ui.Count(f.RoundTrips, "question"), ui.Count(f.Connections, "connection"))
	}
}

func crashed(m probe.Poison) string {
	switch {
	case m.Crash:
		return "; the server's process ends without a word"
	case m.Hangup:
		return "; the server hangs up"
	}
	return ""
}

func commands(looks []imap.Look) string {
	var words []string
	for _, l := range looks {
		words = append(words, probe.Command(l))
	}
	return strings.Join(words, ", ")
}

// afterPoison is the next command after a search.
func (x *probing) afterPoison() string {
	for _, f := range x.found {
		if f.Stopped() {
			return x.poison.again()
		}
	}
	for _, f := range x.found {
		if slices.ContainsFunc(f.Poison, func(m probe.Poison) bool { return m.Verdict == probe.BlameCacheMaybe }) && x.poison.file != "" {
			return x.command("repair", "--remedy", "drop-cache") + " plans the cure of the cache, which costs nothing; after it, " +
				ui.Command("dovemend", "probe") + " … --find-poison " + ui.Command("--poison-state", x.poison.file) + " --after-drop-cache proves that the messages are innocent"
		}
	}
	if x.checked != nil && x.checked.Curable() {
		return "" // what cures the files is the next thing
	}
	for _, f := range x.found {
		if !f.Healthy() {
			return x.command("check") + " tells what is damaged; what to do about each message is said with it"
		}
	}
	return ""
}

func describePoison(f *probe.Found) poisonDocument {
	d := poisonDocument{Mailbox: f.Mailbox, Complete: f.Complete, Stop: string(f.Stop), Text: f.Text, Next: f.Next, Messages: []poisonMessageDocument{},
		Unsteady: f.Unsteady, Gone: f.Gone, Connections: f.Connections, RoundTrips: f.RoundTrips}
	for _, m := range f.Poison {
		d.Messages = append(d.Messages, poisonMessageDocument{UID: m.UID, Fails: lookWords(m.Fails), Reads: lookWords(m.Reads), Crash: m.Crash, HangUp: m.Hangup,
			Verdict: string(m.Verdict), Damaged: m.Damaged, Text: m.Text, Next: m.Next, Reply: describeReply(m.Reply), Log: describeReplies(m.Log)})
	}
	for _, e := range f.Everywhere {
		d.Everywhere = append(d.Everywhere, everywhereDocument{Look: string(e.Look), Text: e.Text, Reply: describeReply(e.Reply)})
	}
	return d
}

func lookWords(looks []imap.Look) []string {
	out := []string{}
	for _, l := range looks {
		out = append(out, string(l))
	}
	return out
}

// foundHealthy reports whether every search came to its end and found nothing.
func (x *probing) foundHealthy() bool {
	return !slices.ContainsFunc(x.found, func(f *probe.Found) bool {
		bad := slices.ContainsFunc(f.Poison, func(m probe.Poison) bool { return m.Verdict != probe.BlameCache })
		return bad || !f.Complete || len(f.Everywhere) > 0
	})
}

// quickLooks are those before a search, which takes the others itself.
func quickLooks() []imap.Look {
	return []imap.Look{probe.LookLogin, probe.LookList, probe.LookStatus, probe.LookExamine}
}
