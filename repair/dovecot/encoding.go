package dovecot

import "bytes"

// Encoding is how a message's bytes are stored. Dovecot's plugins tell it by the first bytes, and so do we.
type Encoding string

// The encodings. Encrypted messages are unreadable without the private key; what is inside may be compressed too.
const (
	Plain     Encoding = ""
	Gzip      Encoding = "gzip"
	Bzip2     Encoding = "bzip2"
	Zstd      Encoding = "zstd"
	LZ4       Encoding = "lz4" // Dovecot's own framing of raw LZ4 blocks
	XZ        Encoding = "xz"
	Encrypted Encoding = "mail_crypt"
)

// EncodingSize is how many bytes [DetectEncoding] wants to see.
const EncodingSize = 15

// DetectEncoding tells how stored message data is encoded from its first bytes.
func DetectEncoding(b []byte) Encoding {
	switch {
	case bytes.HasPrefix(b, []byte{0x1f, 0x8b}):
		return Gzip
	case len(b) >= 4 && string(b[:3]) == "BZh" && b[3] >= '1' && b[3] <= '9':
		return Bzip2
	case bytes.HasPrefix(b, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return Zstd
	case bytes.HasPrefix(b, []byte("Dovecot-LZ4\x0d\x2a\x9b\xc5")):
		return LZ4
	case bytes.HasPrefix(b, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return XZ
	case bytes.HasPrefix(b, []byte("CRYPTED\x03\x07")):
		return Encrypted
	}
	return Plain
}
