package remote

import (
	"crypto/sha1"
	"encoding/hex"
	"os"
	"os/user"
	"path/filepath"
	"strings"
)

// expandHome replaces "~" and "~user" at the beginning of a file name.
func expandHome(name, home string) string {
	if name == "~" {
		return home
	}
	if !strings.HasPrefix(name, "~") {
		return name
	}
	who, rest, _ := strings.Cut(filepath.ToSlash(name[1:]), "/")
	if who == "" {
		return filepath.Join(home, rest)
	}
	if u, err := user.Lookup(who); err == nil {
		return filepath.Join(u.HomeDir, rest)
	}
	return name
}

// expandEnv replaces ${NAME} as OpenSSH does; an unset one makes the whole value unusable.
func expandEnv(s string) (string, bool) {
	ok := true
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "${")
		b.WriteString(before)
		if !found {
			return b.String(), ok
		}
		name, rest, closed := strings.Cut(after, "}")
		value, set := os.LookupEnv(name)
		ok = ok && closed && set
		b.WriteString(value)
		s = rest
	}
}

// expandTokens replaces the %-tokens of ssh_config(5) that have a meaning here; others stay as they are.
func (p *hop) expandTokens(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	hostname, _ := os.Hostname()
	short, _, _ := strings.Cut(hostname, ".")
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case '%':
			b.WriteByte('%')
		case 'h':
			b.WriteString(p.host)
		case 'n':
			b.WriteString(p.alias)
		case 'p':
			b.WriteString(p.port)
		case 'r':
			b.WriteString(p.user)
		case 'u':
			b.WriteString(localUser())
		case 'd':
			b.WriteString(homeDir())
		case 'l':
			b.WriteString(hostname)
		case 'L':
			b.WriteString(short)
		case 'k':
			b.WriteString(p.keyName())
		case 'j':
			b.WriteString(p.jumps)
		case 'i':
			if u, err := user.Current(); err == nil {
				b.WriteString(u.Uid)
			}
		case 'C':
			sum := sha1.Sum([]byte(hostname + p.host + p.port + p.user + p.jumps))
			b.WriteString(hex.EncodeToString(sum[:]))
		default:
			b.WriteByte('%')
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// expandFile makes a file name of the configuration usable; "" where it names an unset variable.
func (p *hop) expandFile(s string) string {
	s, ok := expandEnv(s)
	if !ok {
		return ""
	}
	return expandHome(p.expandTokens(s), homeDir())
}
