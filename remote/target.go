package remote

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// target is what a person wrote to name a host; port and user are "" where they did not.
type target struct{ user, name, port string }

// parseTarget reads [user@]name[:port], ssh://[user@]name[:port] and IPv6 addresses in brackets. The last "@" ends the
// user, since accounts of shared hosts are often named user@domain.
func parseTarget(s string) (target, error) {
	bad := func(why string) (target, error) {
		return target{}, fmt.Errorf("host %q: %s", Safe(s), why)
	}
	switch {
	case s == "":
		return target{}, errors.New("no host given")
	case strings.HasPrefix(s, "-"):
		return bad("a host may not begin with \"-\"")
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || !printable(r) }):
		return bad("spaces and control characters are not allowed")
	}
	rest, isURL := strings.CutPrefix(s, "ssh://")
	if isURL {
		var more string
		var found bool
		if rest, more, found = strings.Cut(rest, "/"); found && more != "" {
			return bad("an ssh:// URL names no path here")
		}
	} else if strings.Contains(s, "://") {
		return bad("only ssh:// URLs are understood")
	}
	var t target
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		t.user, rest = rest[:i], rest[i+1:]
		if t.user == "" {
			return bad("the user before \"@\" is empty")
		}
		if isURL {
			user, _, _ := strings.Cut(t.user, ";") // connection parameters, as in the ssh URI draft
			user, err := url.PathUnescape(user)
			if err != nil || user == "" {
				return bad("the user is not written as URLs want it")
			}
			if strings.Contains(user, ":") {
				return bad("a password does not belong into a URL; leave it out and it is asked for")
			}
			t.user = user
		}
		// The characters OpenSSH refuses in a user's name as well: they could do harm in a ProxyCommand.
		if strings.HasPrefix(t.user, "-") || strings.ContainsAny(t.user, "'`\"\\;&<>|(){}$") ||
			strings.ContainsFunc(t.user, func(r rune) bool { return r <= ' ' || !printable(r) }) {
			return bad("the user holds a character that names cannot have")
		}
	}
	port, hasPort := "", false
	switch {
	case strings.HasPrefix(rest, "["):
		i := strings.IndexByte(rest, ']')
		if i < 0 {
			return bad("the \"[\" is not closed")
		}
		after := rest[i+1:]
		t.name = rest[1:i]
		if port, hasPort = strings.CutPrefix(after, ":"); !hasPort && after != "" {
			return bad("only :port may follow \"]\"")
		}
	case strings.Count(rest, ":") == 1:
		t.name, port, hasPort = strings.Cut(rest, ":")
	default: // a bare IPv6 address has several colons and no port
		t.name = rest
	}
	if t.name == "" || strings.HasPrefix(t.name, "-") {
		return bad("the host's name is missing or begins with \"-\"")
	}
	if strings.ContainsAny(t.name, "/\\[]@'\"`$;&|<>(){}*?!#") {
		return bad("the host's name holds a character that names cannot have")
	}
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return bad("the port is not a number from 1 to 65535")
		}
		t.port = strconv.FormatUint(n, 10)
	}
	return t, nil
}
