package remote

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/kevinburke/ssh_config"
)

const (
	// configLimit bounds one configuration file, in bytes.
	configLimit = 4 << 20
	// includeLimit is how deep Include may go; OpenSSH's READCONF_MAX_DEPTH is 16 as well.
	includeLimit = 16
)

// Keywords the parser is not given, since it handles them otherwise than OpenSSH: it refuses a whole file for one Match
// it does not know, and takes the later criteria of a Match for host names.
const (
	includeWord = "DovemendInclude"
	matchPrefix = "dovemend-match-"
)

// sshSettings are the options that apply to one host, in the order they were found: of most the first counts.
type sshSettings struct {
	pairs []setting
}

type setting struct{ key, value string }

// get gives the first value of an option, "" where there is none.
func (s *sshSettings) get(key string) string {
	for _, p := range s.pairs {
		if strings.EqualFold(p.key, key) {
			return p.value
		}
	}
	return ""
}

// all gives every value of an option which may be given several times.
func (s *sshSettings) all(key string) []string {
	var all []string
	for _, p := range s.pairs {
		if strings.EqualFold(p.key, key) {
			all = append(all, p.value)
		}
	}
	return all
}

// configReader reads the ssh configuration for one host. Match exec, and what else depends on running or resolving
// something, is taken as not matching, and said so.
type configReader struct {
	home   string
	alias  string // the host as the user named it
	user   string // the user as the user named it, or ""
	local  string // the local user
	warn   func(string)
	warned map[string]bool
	out    sshSettings
}

// readConfig collects what the configuration says of a host. A file that is not there is as good as empty; one that cannot be
// read or parsed is told of with warn, and what of it can be understood is used.
func readConfig(files []string, alias, login string, warn func(string)) *sshSettings {
	r := &configReader{home: homeDir(), alias: alias, user: login, local: localUser(), warned: map[string]bool{}}
	r.warn = func(s string) {
		if !r.warned[s] {
			r.warned[s] = true
			warn(s)
		}
	}
	for _, f := range files {
		r.file(f, 0, true)
	}
	return &r.out
}

func homeDir() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return home
}

func localUser() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	name := u.Username
	return name[strings.LastIndexByte(name, '\\')+1:] // DOMAIN\user on Windows
}

// file reads one file. active says whether the block that includes it applies.
func (r *configReader) file(name string, depth int, active bool) {
	if depth > includeLimit {
		r.warn(fmt.Sprintf("%s: Include goes deeper than %d files; the rest is left out", Safe(name), includeLimit))
		return
	}
	info, err := os.Stat(name)
	var text []byte
	switch {
	case err == nil && info.Size() > configLimit:
		err = fmt.Errorf("larger than %d MiB", configLimit>>20)
	case err == nil && info.IsDir():
		return
	case err == nil:
		text, err = os.ReadFile(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		r.warn(fmt.Sprintf("ssh configuration %s is left out: %s", Safe(name), Safe(err.Error())))
		return
	}
	prepared, matches := prepareConfig(string(text))
	cfg := r.parse(name, prepared)
	for _, block := range cfg.Hosts {
		applies := active && block.Matches(r.alias)
		if n, ok := matchNumber(block); ok && n < len(matches) {
			applies = active && r.matches(name, matches[n])
		}
		for _, node := range block.Nodes {
			kv, ok := node.(*ssh_config.KV)
			switch {
			case !ok:
			case kv.Key == includeWord:
				r.include(name, kv.Value, depth, applies)
			case applies:
				r.out.pairs = append(r.out.pairs, setting{kv.Key, kv.Value})
			}
		}
	}
}

// parse gives the file to the parser; a line it cannot take is left out, with a warning, and the rest tried again.
func (r *configReader) parse(name string, lines []string) *ssh_config.Config {
	for range 100 {
		cfg, err := ssh_config.DecodeBytes([]byte(strings.Join(lines, "\n") + "\n"))
		if err == nil {
			return cfg
		}
		m := errorLine.FindStringSubmatch(err.Error())
		n := 0
		if m != nil {
			n, _ = strconv.Atoi(m[1])
		}
		if n < 1 || n > len(lines) || lines[n-1] == "" {
			r.warn(fmt.Sprintf("ssh configuration %s is left out: %s", Safe(name), Safe(err.Error())))
			return &ssh_config.Config{}
		}
		r.warn(fmt.Sprintf("ssh configuration %s:%d is left out: %s", Safe(name), n, Safe(lines[n-1])))
		lines[n-1] = ""
	}
	r.warn(fmt.Sprintf("ssh configuration %s is left out: too many lines are not understood", Safe(name)))
	return &ssh_config.Config{}
}

var (
	errorLine  = regexp.MustCompile(`^\((\d+), \d+\)`)
	configLine = regexp.MustCompile(`^\s*([A-Za-z]+)(?:\s*=\s*|\s+)(.*?)\s*$`)
)

// prepareConfig takes Match and Include out of the parser's hands, and writes Host lines as it can read them: one space
// between patterns, no quotes.
func prepareConfig(text string) (lines, matches []string) {
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\r", ""), "\n") {
		m := configLine.FindStringSubmatch(line)
		if m == nil {
			if t := strings.TrimSpace(line); t != "" && !strings.HasPrefix(t, "#") && !strings.ContainsAny(t, " \t=") {
				line = "" // a keyword without a value
			}
			lines = append(lines, line)
			continue
		}
		value := m[2]
		switch strings.ToLower(m[1]) {
		case "match":
			line = "Host " + matchPrefix + strconv.Itoa(len(matches))
			matches = append(matches, value)
		case "include":
			line = includeWord + " " + value
		case "host":
			value, _, _ = strings.Cut(value, "#")
			line = "Host " + strings.Join(splitArgs(value), " ")
		}
		lines = append(lines, line)
	}
	return lines, matches
}

func matchNumber(block *ssh_config.Host) (int, bool) {
	if len(block.Patterns) != 1 {
		return 0, false
	}
	s, ok := strings.CutPrefix(block.Patterns[0].String(), matchPrefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0
}

// include reads the files of an Include. Relative names are beneath ~/.ssh, or /etc/ssh for the system's files.
func (r *configReader) include(from, value string, depth int, active bool) {
	dir := filepath.Join(r.home, ".ssh")
	if strings.HasPrefix(filepath.ToSlash(from), "/etc/ssh/") {
		dir = "/etc/ssh"
	}
	for _, arg := range splitArgs(value) {
		name := expandHome(arg, r.home)
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		names, err := filepath.Glob(name)
		if err != nil {
			r.warn(fmt.Sprintf("ssh configuration %s: Include %s is left out: %s", Safe(from), Safe(arg), err))
			continue
		}
		for _, n := range names {
			r.file(n, depth+1, active)
		}
	}
}

// matches says whether a Match applies. All its criteria must.
func (r *configReader) matches(file, line string) bool {
	args := splitArgs(line)
	host := strings.ToLower(r.alias) // unlike Host, Match does not mind the case
	if name := r.out.get("HostName"); name != "" {
		host = strings.ToLower(strings.ReplaceAll(name, "%h", r.alias))
	}
	login := r.user
	if login == "" {
		login = r.out.get("User")
	}
	if login == "" {
		login = r.local
	}
	for len(args) > 0 {
		word := strings.ToLower(args[0])
		word, negated := strings.CutPrefix(word, "!")
		word, value, joined := strings.Cut(word, "=")
		args = args[1:]
		if strings.HasPrefix(word, "#") {
			break
		}
		ok := false
		switch word {
		case "all":
			ok = true
		case "canonical", "final": // OpenSSH's second pass, which is not made here
		default:
			if !joined {
				if len(args) == 0 {
					r.warn(fmt.Sprintf("ssh configuration %s: \"Match %s\" is taken as not matching", Safe(file), Safe(line)))
					return false
				}
				value, args = args[0], args[1:]
			}
			switch word {
			case "host":
				ok = matchList(host, strings.ToLower(value))
			case "originalhost":
				ok = matchList(strings.ToLower(r.alias), strings.ToLower(value))
			case "user":
				ok = matchList(login, value)
			case "localuser":
				ok = matchList(r.local, value)
			default:
				r.warn(fmt.Sprintf("ssh configuration %s: \"Match %s\" is taken as not matching, since dovemend does not evaluate %q", Safe(file), Safe(line), Safe(word)))
				return false
			}
		}
		if ok == negated {
			return false
		}
	}
	return true
}

// matchList is OpenSSH's match_pattern_list: comma separated patterns, of which one with "!" excludes.
func matchList(s, list string) bool {
	found := false
	for p := range strings.SplitSeq(list, ",") {
		p, negated := strings.CutPrefix(p, "!")
		if wildcardMatch(p, s) {
			if negated {
				return false
			}
			found = true
		}
	}
	return found
}

// wildcardMatch knows "*" and "?", as OpenSSH's match_pattern. It needs at most len(pattern) × len(s) steps.
func wildcardMatch(pattern, s string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// splitArgs cuts a line into words at spaces; double quotes keep a word together.
func splitArgs(s string) []string {
	var args []string
	var b strings.Builder
	quoted, word := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted, word = !quoted, true
		case !quoted && (c == ' ' || c == '\t'):
			if word {
				args = append(args, b.String())
				b.Reset()
				word = false
			}
		default:
			b.WriteByte(c)
			word = true
		}
	}
	if word {
		args = append(args, b.String())
	}
	return args
}
