package sshhost

import (
	"context"
	"io"
	"sync"

	"golang.org/x/crypto/ssh"
)

// session serves one session channel: one command or one SFTP server (RFC 4254, 6).
func (h *Host) session(ctx context.Context, nc ssh.NewChannel) {
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	defer func() { go ssh.DiscardRequests(requests) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	var wg sync.WaitGroup
	defer wg.Wait()
	defer ch.Close() // ends the loop over requests of a client that keeps the channel open
	started := false
	var signal func(string)
	for {
		var r *ssh.Request
		var ok bool
		select {
		case r, ok = <-requests:
		case <-ctx.Done():
			return
		}
		if !ok { // the client closed the channel or is gone: what runs in it is ended
			cancel()
			return
		}
		accepted := false
		switch r.Type {
		case "env": // as with sshd's default AcceptEnv: accepted and ignored
			accepted = true
		case "signal":
			var m struct{ Name string }
			if err := ssh.Unmarshal(r.Payload, &m); err == nil && signal != nil {
				signal(m.Name)
				accepted = true
			}
		case "exec", "shell", "subsystem":
			if started {
				break
			}
			var m struct{ Value string }
			if r.Type != "shell" {
				if err := ssh.Unmarshal(r.Payload, &m); err != nil {
					break
				}
			}
			run, sig := h.program(ctx, r.Type, m.Value, ch)
			if run == nil {
				break
			}
			started, accepted, signal = true, true, sig
			if r.WantReply {
				r.Reply(true, nil)
				r.WantReply = false
			}
			wg.Go(func() {
				status := run()
				if status >= 0 {
					ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)}))
				}
				ch.Close()
				cancel()
			})
		}
		if r.WantReply {
			r.Reply(accepted, nil)
		}
	}
}

// program says what a request starts: a function that runs it and gives its exit status (-1 for none), and one that
// signals it; nil where the request is refused.
func (h *Host) program(ctx context.Context, kind, value string, ch ssh.Channel) (run func() int, signal func(string)) {
	h.opt.Logf("%s %q", kind, value)
	sftp := func() int {
		stop := context.AfterFunc(ctx, func() { ch.Close() })
		defer stop()
		if err := h.serveSFTP(ch); err != nil {
			h.opt.Logf("sftp: %v", err)
			return 255
		}
		return 0
	}
	none := func(string) {}
	switch {
	case kind == "subsystem":
		if h.opt.NoSFTP || value != "sftp" {
			return nil, nil
		}
		return sftp, none
	case h.opt.ForceSFTP && !h.opt.NoSFTP:
		return sftp, none
	case h.opt.NoShell || !canRun:
		return func() int {
			io.WriteString(ch, "This service allows sftp connections only.\n")
			ch.CloseWrite()
			return 1
		}, none
	}
	return h.command(ctx, kind, value, ch)
}
