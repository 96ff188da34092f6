package dovecot

import (
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"strings"
)

// encryptedHead is how much of an encrypted message's beginning is looked at for its algorithms.
const encryptedHead = 256

// EncryptedError says that a message was encrypted by Dovecot's mail_crypt plugin. Without the private key, which lies
// in Dovecot's configuration or, itself encrypted, in the account's attributes, nothing of it can be read.
type EncryptedError struct {
	Version   int    // 1 or 2; 0 where the header is cut
	Cipher    string // "aes-256-gcm", or an object identifier; "" where the header does not tell
	Hash      string // "sha256", or an object identifier; "" where the header does not tell
	Integrity string // "hmac", "aead", "none"; "" where the header does not tell
}

func (e *EncryptedError) Error() string {
	if e.Version == 0 {
		return "encrypted by mail_crypt"
	}
	var with []string
	for _, s := range []string{e.Cipher, e.Hash} {
		if s != "" {
			with = append(with, s)
		}
	}
	s := fmt.Sprintf("encrypted by mail_crypt, version %d", e.Version)
	if len(with) > 0 {
		s += ", with " + strings.Join(with, " and ")
	}
	return s
}

// Object identifiers that mail_crypt's documentation mentions.
var algorithmNames = map[string]string{
	"2.16.840.1.101.3.4.1.2":     "aes-128-cbc",
	"2.16.840.1.101.3.4.1.6":     "aes-128-gcm",
	"2.16.840.1.101.3.4.1.26":    "aes-192-gcm",
	"2.16.840.1.101.3.4.1.42":    "aes-256-cbc",
	"2.16.840.1.101.3.4.1.46":    "aes-256-gcm",
	"1.2.840.113549.1.9.16.3.18": "chacha20-poly1305",
	"1.3.14.3.2.26":              "sha1",
	"2.16.840.1.101.3.4.2.1":     "sha256",
	"2.16.840.1.101.3.4.2.2":     "sha384",
	"2.16.840.1.101.3.4.2.3":     "sha512",
}

// parseEncrypted reads as far as b goes what i_stream_decrypt_read_header reads.
func parseEncrypted(b []byte) *EncryptedError {
	e := &EncryptedError{}
	const magic = len("CRYPTED\x03\x07")
	if len(b) <= magic {
		return e
	}
	e.Version = int(b[magic])
	b = b[magic+1:]
	if e.Version == 1 {
		e.Cipher = "aes-256-ctr"
	}
	if e.Version != 2 || len(b) < 8 {
		return e
	}
	switch flags := binary.BigEndian.Uint32(b); {
	case flags&1 != 0:
		e.Integrity = "hmac"
	case flags&2 != 0:
		e.Integrity = "aead"
	case flags&4 != 0:
		e.Integrity = "none"
	}
	b = b[8:]
	for _, to := range []*string{&e.Cipher, &e.Hash} {
		var id asn1.ObjectIdentifier
		rest, err := asn1.Unmarshal(b, &id)
		if err != nil {
			break
		}
		if *to = id.String(); algorithmNames[*to] != "" {
			*to = algorithmNames[*to]
		}
		b = rest
	}
	return e
}
