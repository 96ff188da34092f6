package remote

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// hop is one SSH server on the way, with all that the configuration says of it.
type hop struct {
	alias string // as named by the user or by ProxyJump
	host  string // HostName
	port  string
	user  string
	jumps string // ProxyJump as written
	final bool   // the host itself, not a jump host

	hostKeyAlias string
	identities   []string // private key files in order
	chosen       bool     // identities were named, by option or configuration: none of the default ones
	explicit     int      // how many of identities came with --identity
	certificates []string
	onlyThese    bool // IdentitiesOnly
	agent        string

	known       []string // user's known_hosts files; new keys go into the first
	globalKnown []string
	strict      string // yes, no, ask, accept-new
	hashKnown   bool

	timeout    time.Duration
	alive      time.Duration
	aliveMax   int
	command    string // ProxyCommand
	algorithms map[string]string
	pubkey     bool
	password   bool
	keyboard   bool
	prompts    int // NumberOfPasswordPrompts
}

// maxHops bounds a chain of jump hosts, which the configuration could make endless.
const maxHops = 8

func (p *hop) addr() string { return net.JoinHostPort(p.host, p.port) }

// keyName is the name the host's key is kept under: HostKeyAlias, name, or [name]:port.
func (p *hop) keyName() string {
	if p.hostKeyAlias != "" {
		return p.hostKeyAlias
	}
	if p.port == "22" {
		return p.host
	}
	return "[" + p.host + "]:" + p.port
}

// resolveRoute finds the way to the target: its jump hosts in order and itself last.
func resolveRoute(cfg Config, warn func(string)) ([]hop, error) {
	t, err := parseTarget(cfg.Target)
	if err != nil {
		return nil, err
	}
	files := []string{filepath.Join(homeDir(), ".ssh", "config"), "/etc/ssh/ssh_config"}
	switch cfg.ConfigFile {
	case "":
	case "none":
		files = nil
	default:
		files = []string{expandHome(cfg.ConfigFile, homeDir())}
	}
	r := &router{cfg: cfg, files: files, warn: warn}
	return r.route(t, cfg.Jump, true)
}

type router struct {
	cfg   Config
	files []string
	warn  func(string)
	hops  int
}

// route resolves one target and what lies before it. jump overrides its own ProxyJump and ProxyCommand. As with OpenSSH the first
// jump host is reached by its own configuration, each further one through the one before.
func (r *router) route(t target, jump string, final bool) ([]hop, error) {
	p, jumps, err := r.hop(t, jump, final)
	if err != nil {
		return nil, err
	}
	if r.hops++; r.hops > maxHops {
		return nil, fmt.Errorf("host %q: more than %d jump hosts; does ProxyJump go in a circle?", Safe(t.name), maxHops)
	}
	if len(jumps) == 0 {
		return []hop{p}, nil
	}
	var way []hop
	for i, name := range jumps {
		jt, err := parseTarget(name)
		if err != nil {
			return nil, fmt.Errorf("jump %w", err)
		}
		own := ""
		if i > 0 {
			own = "none"
		}
		part, err := r.route(jt, own, false)
		if err != nil {
			return nil, err
		}
		way = append(way, part...)
	}
	return append(way, p), nil
}

// hop resolves one server by the configuration.
func (r *router) hop(t target, jump string, final bool) (hop, []string, error) {
	s := readConfig(r.files, t.name, t.user, r.warn)
	p := hop{alias: t.name, host: t.name, port: t.port, user: t.user, final: final, algorithms: map[string]string{}}
	if p.port == "" {
		p.port = s.get("Port")
	}
	if p.port == "" {
		p.port = "22"
	}
	if n, err := strconv.ParseUint(p.port, 10, 16); err != nil || n == 0 {
		return p, nil, fmt.Errorf("host %q: the ssh configuration gives the port %q", Safe(t.name), Safe(p.port))
	}
	if p.user == "" {
		p.user = s.get("User")
	}
	if p.user == "" {
		p.user = localUser()
	}
	if p.user == "" {
		return p, nil, fmt.Errorf("host %q: no user is named", Safe(t.name))
	}
	if name := s.get("HostName"); name != "" {
		p.host = p.expandTokens(name)
		if _, err := parseTarget("[" + p.host + "]"); err != nil {
			return p, nil, fmt.Errorf("host %q: the ssh configuration gives the name %q", Safe(t.name), Safe(p.host))
		}
	}
	p.host = strings.ToLower(p.host)
	p.hostKeyAlias = strings.ToLower(s.get("HostKeyAlias"))

	jumps := r.proxy(&p, s, jump)
	r.keys(&p, s)
	r.knownHosts(&p, s)

	p.timeout = r.cfg.DialTimeout
	if p.timeout <= 0 {
		p.timeout = seconds(s.get("ConnectTimeout"), 20*time.Second)
	}
	p.alive = r.cfg.KeepAlive
	if p.alive <= 0 {
		p.alive = seconds(s.get("ServerAliveInterval"), 15*time.Second)
	}
	p.aliveMax = 3
	if n, err := strconv.Atoi(s.get("ServerAliveCountMax")); err == nil && n > 0 && n < 100 {
		p.aliveMax = n
	}
	for _, name := range []string{"Ciphers", "KexAlgorithms", "MACs", "HostKeyAlgorithms"} {
		p.algorithms[name] = s.get(name)
	}
	p.pubkey = yes(s.get("PubkeyAuthentication"), true)
	p.password = yes(s.get("PasswordAuthentication"), true)
	p.keyboard = yes(s.get("KbdInteractiveAuthentication"), true) && yes(s.get("ChallengeResponseAuthentication"), true)
	if methods := s.get("PreferredAuthentications"); methods != "" { // here a choice, not an order
		list := strings.Split(strings.ToLower(methods), ",")
		p.pubkey = p.pubkey && slices.Contains(list, "publickey")
		p.password = p.password && slices.Contains(list, "password")
		p.keyboard = p.keyboard && slices.Contains(list, "keyboard-interactive")
	}
	p.prompts = 3
	if n, err := strconv.Atoi(s.get("NumberOfPasswordPrompts")); err == nil && n > 0 && n < p.prompts {
		p.prompts = n
	}
	return p, jumps, nil
}

// proxy decides between ProxyJump and ProxyCommand: of both, the one that comes first in the configuration.
func (r *router) proxy(p *hop, s *sshSettings, jump string) []string {
	if jump == "" {
		for _, pair := range s.pairs {
			if strings.EqualFold(pair.key, "ProxyJump") {
				jump = pair.value
				break
			}
			if strings.EqualFold(pair.key, "ProxyCommand") {
				if !strings.EqualFold(pair.value, "none") {
					p.command = pair.value
				}
				return nil
			}
		}
	}
	if jump == "" || strings.EqualFold(jump, "none") {
		return nil
	}
	p.jumps = jump
	var jumps []string
	for name := range strings.SplitSeq(jump, ",") {
		jumps = append(jumps, p.expandTokens(strings.TrimSpace(name)))
	}
	return jumps
}

// keys finds the private keys to try. --identity is for the host itself, and for jump hosts whose configuration names none.
func (r *router) keys(p *hop, s *sshSettings) {
	named := s.all("IdentityFile")
	for i, f := range r.cfg.Identities {
		if p.final || len(named) == 0 {
			p.identities = append(p.identities, expandHome(f, homeDir()))
			p.explicit = i + 1
		}
	}
	p.onlyThese = yes(s.get("IdentitiesOnly"), false) || p.explicit > 0
	for _, f := range named {
		if p.explicit > 0 && p.final {
			break
		}
		p.chosen = true
		if strings.EqualFold(f, "none") {
			continue
		}
		if f = p.expandFile(f); f != "" {
			p.identities = append(p.identities, f)
		}
	}
	p.chosen = p.chosen || p.explicit > 0
	if !p.chosen {
		for _, name := range []string{"id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_xmss", "id_dsa"} {
			p.identities = append(p.identities, filepath.Join(homeDir(), ".ssh", name))
		}
	}
	for _, f := range s.all("CertificateFile") {
		if f = p.expandFile(f); f != "" {
			p.certificates = append(p.certificates, f)
		}
	}
	p.agent = "SSH_AUTH_SOCK"
	if a := s.get("IdentityAgent"); a != "" {
		p.agent = a
	}
	if r.cfg.NoAgent {
		p.agent = "none"
	}
}

func (r *router) knownHosts(p *hop, s *sshSettings) {
	ssh := filepath.Join(homeDir(), ".ssh")
	p.known = []string{filepath.Join(ssh, "known_hosts"), filepath.Join(ssh, "known_hosts2")}
	p.globalKnown = []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"}
	files := func(value string, to *[]string) {
		if value == "" {
			return
		}
		*to = nil
		for _, f := range splitArgs(value) {
			if f = p.expandFile(f); f != "" && !strings.EqualFold(f, "none") {
				*to = append(*to, f)
			}
		}
	}
	files(s.get("UserKnownHostsFile"), &p.known)
	files(s.get("GlobalKnownHostsFile"), &p.globalKnown)
	if len(r.cfg.KnownHosts) > 0 {
		p.known, p.globalKnown = r.cfg.KnownHosts, nil
	}
	p.hashKnown = yes(s.get("HashKnownHosts"), false)
	switch p.strict = strings.ToLower(s.get("StrictHostKeyChecking")); p.strict {
	case "yes", "no", "accept-new":
	case "off":
		p.strict = "no"
	default:
		p.strict = "ask"
	}
}

func yes(value string, otherwise bool) bool {
	switch strings.ToLower(value) {
	case "yes", "true":
		return true
	case "no", "false":
		return false
	}
	return otherwise
}

// seconds reads a time of ssh_config: seconds, or figures with units as in 1h30m. 0 and what is none give otherwise.
func seconds(value string, otherwise time.Duration) time.Duration {
	if n, err := strconv.Atoi(value); err == nil && n > 0 && n < 1<<20 {
		return time.Duration(n) * time.Second
	}
	if d, err := time.ParseDuration(strings.ToLower(value)); err == nil && d >= time.Second {
		return d
	}
	return otherwise
}
