package remote

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
)

// knownHostsLimit bounds one known_hosts file, in bytes.
const knownHostsLimit = 32 << 20

// knownKey is one line of a known_hosts file. See sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
type knownKey struct {
	marker string // "", "@cert-authority" or "@revoked"
	hosts  string // patterns separated by commas, or one hashed name
	key    ssh.PublicKey
	file   string
	line   int
}

// readKnownHosts reads known_hosts files in order. Unlike the reader of x/crypto it passes over files that are not
// there and lines that cannot be read, as OpenSSH does; warn is told of the latter.
func readKnownHosts(files []string, warn func(string)) []knownKey {
	var keys []knownKey
	for _, name := range files {
		info, err := os.Stat(name)
		var text []byte
		if err == nil && info.Size() > knownHostsLimit {
			err = fmt.Errorf("larger than %d MiB", knownHostsLimit>>20)
		}
		if err == nil && !info.Mode().IsRegular() { // /dev/null is a common way to have none
			continue
		}
		if err == nil {
			text, err = os.ReadFile(name)
		}
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				warn(fmt.Sprintf("known hosts file %s is left out: %s", Safe(name), Safe(err.Error())))
			}
			continue
		}
		n := 0
		for line := range bytes.Lines(text) {
			n++
			k, ok, err := parseKnownHost(string(bytes.TrimSpace(line)))
			if err != nil {
				warn(fmt.Sprintf("known hosts file %s:%d is left out: %s", Safe(name), n, Safe(err.Error())))
			}
			if ok {
				k.file, k.line = name, n
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// parseKnownHost reads one line; ok is false for a blank line or a comment.
func parseKnownHost(line string) (k knownKey, ok bool, err error) {
	fields := strings.Fields(line)
	if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
		return k, false, nil
	}
	if strings.HasPrefix(fields[0], "@") {
		k.marker, fields = fields[0], fields[1:]
		if k.marker != "@cert-authority" && k.marker != "@revoked" {
			return k, false, fmt.Errorf("unknown marker %s", k.marker)
		}
	}
	if len(fields) < 3 {
		return k, false, errors.New("it has fewer than three fields")
	}
	k.hosts = fields[0]
	blob, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil {
		return k, false, errors.New("its key is not base64")
	}
	if k.key, err = ssh.ParsePublicKey(blob); err != nil {
		return k, false, fmt.Errorf("its key of type %s is not understood", fields[1])
	}
	if k.key.Type() != fields[1] {
		return k, false, fmt.Errorf("its key is of type %s, not %s", k.key.Type(), fields[1])
	}
	return k, true, nil
}

// covers says whether the line is about a host: its name in lower case, with [ ]:port where that is not 22.
func (k *knownKey) covers(name string) bool {
	if strings.HasPrefix(k.hosts, "|") {
		return hashCovers(k.hosts, name)
	}
	return matchList(name, strings.ToLower(k.hosts))
}

// hashCovers compares a name with |1|salt|HMAC-SHA1(salt, name)|, both in base64.
func hashCovers(hashed, name string) bool {
	parts := strings.Split(hashed, "|")
	if len(parts) != 4 || parts[1] != "1" {
		return false
	}
	salt, err1 := base64.StdEncoding.DecodeString(parts[2])
	sum, err2 := base64.StdEncoding.DecodeString(parts[3])
	if err1 != nil || err2 != nil {
		return false
	}
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(name))
	return hmac.Equal(mac.Sum(nil), sum)
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }
