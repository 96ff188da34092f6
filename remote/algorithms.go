package remote

import (
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// choose applies a list of ssh_config to the algorithms there are: "a,b" replaces, "+a" adds, "-a" takes away and
// "^a" prefers; patterns may hold "*" and "?". Insecure ones count only where they are named. nil means the defaults.
func choose(list string, supported, insecure []string) []string {
	if list == "" {
		return nil
	}
	op := list[0]
	if strings.IndexByte("+-^", op) >= 0 {
		list = list[1:]
	} else {
		op = 0
	}
	var named []string
	for pattern := range strings.SplitSeq(list, ",") {
		for _, a := range slices.Concat(supported, insecure) {
			if wildcardMatch(strings.TrimSpace(pattern), a) && !slices.Contains(named, a) {
				named = append(named, a)
			}
		}
	}
	without := slices.DeleteFunc(slices.Clone(supported), func(a string) bool { return slices.Contains(named, a) })
	switch op {
	case '-':
		return without
	case '+':
		extra := slices.DeleteFunc(named, func(a string) bool { return slices.Contains(supported, a) })
		return append(slices.Clone(supported), extra...)
	case '^':
		return append(named, without...)
	}
	return named
}

// hostKeyAlgorithms orders what is asked of the host: the types it is known by come first, so that it shows a key which can
// be compared. Certificates are asked for only where an authority is on file.
func (p *hop) hostKeyAlgorithms(known []knownKey) []string {
	secure, insecure := ssh.SupportedAlgorithms().HostKeys, ssh.InsecureAlgorithms().HostKeys
	isCert := func(a string) bool { return strings.Contains(a, "-cert-") }
	if own := choose(p.algorithms["HostKeyAlgorithms"], secure, insecure); len(own) > 0 {
		return own
	}
	name := p.keyName()
	var first []string
	authority := false
	for _, k := range known {
		if !k.covers(name) {
			continue
		}
		switch k.marker {
		case "@cert-authority":
			authority = true
		case "":
			first = append(first, signatureAlgorithms(k.key.Type())...)
		}
	}
	var algos []string
	if authority {
		for _, a := range secure {
			if isCert(a) {
				algos = append(algos, a)
			}
		}
	}
	// What comes after is OpenSSH's order, which decides which key of a new host is asked about.
	rest := []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	for _, a := range slices.Concat(first, rest, secure) {
		if slices.Contains(secure, a) && !isCert(a) && !slices.Contains(algos, a) {
			algos = append(algos, a)
		}
	}
	return algos
}

// signatureAlgorithms are those a key type is used with; RSA keys have newer ones than their name.
func signatureAlgorithms(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}
