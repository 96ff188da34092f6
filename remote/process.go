package remote

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Process is one running Dovecot mail process of the login user.
type Process struct {
	PID     int
	Start   string // start time as the host tells it (an opaque token: compared, never interpreted)
	UID     int
	Service string // imap, pop3, lmtp, imap-hibernate, …
	Title   string // safe to print: the whole process title
	Account string // user@domain, where verbose_proctitle tells it
	Client  string // client address, where verbose_proctitle tells it
	Command string // the IMAP command in progress, where the title tells it
}

// QuiesceOptions bound how long ending processes may take.
type QuiesceOptions struct {
	Grace  time.Duration         // after SIGTERM before SIGKILL; default 10 s
	Settle time.Duration         // how long none may come back; default 3 s
	Tries  int                   // rounds while clients reconnect; default 5
	Only   func(Process) bool    // nil: all of the user's Dovecot processes
	Event  func(string, Process) // "term", "kill", "gone", "new"; may be nil
}

// Quiet is how quiescing ended.
type Quiet struct {
	Ended  []Process // seen to be gone
	Back   []Process // running at the end: clients that keep coming back, or processes that would not die
	Stayed bool      // true: none ran during the whole settle time
	Hidden bool      // the host hides Dovecot's processes from their owner: that none was seen proves nothing
}

// services are Dovecot's processes that open a mailbox under its owner's uid. Never in it: the master, log, config, anvil,
// auth, stats, and the login processes, which serve everybody.
var services = []string{"imap", "pop3", "lmtp", "imap-hibernate", "submission", "managesieve", "indexer-worker"}

// Processes lists the login user's own Dovecot mail processes, by process number. Where the host gives no shell the
// error wraps [ErrNoShell].
func (h *Host) Processes(ctx context.Context) ([]Process, error) {
	l, err := h.listing(ctx)
	return l.processes, err
}

// ProcessesHidden tells whether the host hides Dovecot's processes from their owner: Linux does where /proc is mounted
// with hidepid, since these processes have changed their uid. They can then be neither listed nor ended.
func (h *Host) ProcessesHidden(ctx context.Context) (bool, error) {
	l, err := h.listing(ctx)
	return l.hidden, err
}

func (h *Host) listing(ctx context.Context) (listing, error) {
	return list(ctx, func(ctx context.Context, script string) ([]byte, error) { return h.query(ctx, script, nil) })
}

// sighting is one process as the host shows it, before it is known to be Dovecot's.
type sighting struct {
	pid       int
	ruid      int // -1 unknown
	euid      int
	state     string
	start     string // the token
	comm      string // the kernel's short name, at most 15 bytes on Linux; "" unknown
	exe       string // the program's path; "" unknown
	title     string // argv[0] from /proc, the whole command line from ps
	setsTitle bool   // BSD's setproctitle puts "NAME: " before a title
}

// process decides whether a sighting is a Dovecot mail process of uid. What a process calls itself is hostile text: its
// first word must be a service's title, and the kernel's name for it must agree where it is known.
func (s sighting) process(uid int) (Process, bool) {
	if s.pid <= 1 || s.start == "" || uid < 0 || s.ruid != uid || s.euid != uid || strings.HasPrefix(s.state, "Z") {
		return Process{}, false
	}
	word, rest, _ := strings.Cut(strings.TrimSpace(s.title), " ")
	service := s.service(word)
	if service == "" || s.comm != "" && s.comm != commOf(service) {
		return Process{}, false
	}
	p := Process{PID: s.pid, Start: s.start, UID: uid, Service: service, Title: safeText(strings.TrimSpace(s.title), 500, false)}
	p.Account, p.Client, p.Command = parseTitle(rest)
	return p, true
}

// service reads the first word of a title: "dovecot/imap" as the master starts it, a path as a person or a preauth tunnel
// does, and a bare name only where program path or BSD's setproctitle confirm it.
func (s sighting) service(word string) string {
	if program, name, ok := strings.Cut(word, "/"); ok && (program == "dovecot" || strings.HasPrefix(program, "dovecot-")) {
		return known(name) // with instance_name set, the master's children are titled dovecot-NAME/imap
	}
	if i := strings.LastIndex(word, "/dovecot/"); i >= 0 && word[0] == '/' {
		return known(word[i+len("/dovecot/"):])
	}
	if name, ok := strings.CutSuffix(word, ":"); ok && s.setsTitle && s.comm != "" {
		return known(strings.TrimPrefix(name, "dovecot/"))
	}
	exe := strings.TrimSuffix(s.exe, " (deleted)")
	if strings.HasSuffix(exe, "/dovecot/"+word) {
		return known(word)
	}
	return ""
}

func known(name string) string {
	if slices.Contains(services, name) {
		return name
	}
	return ""
}

// commOf is the kernel's name of a service's process: Linux keeps 15 bytes.
func commOf(service string) string {
	if len(service) > 15 {
		return service[:15]
	}
	return service
}

// parseTitle reads what verbose_proctitle adds: "[user ip COMMAND]" of imap, "[user ip]" of pop3, "[ip STATE]" of lmtp,
// "[3 connections]" or "[idling]". All it gives is safe to print.
func parseTitle(rest string) (account, client, command string) {
	rest = strings.TrimSpace(rest)
	if i := strings.LastIndex(rest, "] ("); i >= 0 { // BSD's ps adds the program's name
		rest = rest[:i+1]
	}
	inner, ok := strings.CutPrefix(rest, "[")
	if !ok {
		return "", "", ""
	}
	inner = strings.TrimSuffix(inner, "]")
	words := strings.Fields(inner)
	if len(words) == 0 || words[0] == "idling" || len(words) == 2 && strings.HasPrefix(words[1], "connection") {
		return "", "", ""
	}
	for i, w := range words[:min(2, len(words))] {
		if _, err := netip.ParseAddr(strings.TrimSuffix(w, ",")); err != nil {
			continue
		}
		client = strings.TrimSuffix(w, ",")
		if i == 1 {
			account = words[0]
		}
		return safeText(account, 320, false), safeText(client, 64, false), safeText(strings.Join(words[i+1:], " "), 200, false)
	}
	return safeText(words[0], 320, false), "", safeText(strings.Join(words[1:], " "), 200, false)
}
