package mailgen

import (
	"fmt"
	"strings"
)

// kinds are the kinds of messages, most usual ones first.
var kinds = []struct {
	name  string
	write func(*composer)
}{
	{"plain", func(c *composer) {
		c.mime("text/plain; charset=utf-8", "8bit")
		c.prose(5 + c.IntN(30))
	}},
	{"alternative", func(c *composer) {
		b := fmt.Sprintf("=_alt_%x", c.Uint64())
		c.mime(`multipart/alternative; boundary="`+b+`"`, "7bit")
		c.line("This is a multi-part message in MIME format.")
		c.part(b, "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: quoted-printable")
		c.line("Gr=C3=BCezi, this is a soft=\r\n break and a trailing space=20")
		c.part(b, "Content-Type: text/html; charset=utf-8")
		c.line("<html><body><p>Grüezi</p><img src=\"cid:logo\"></body></html>")
		c.line("--%s--", b)
	}},
	{"attachment", func(c *composer) {
		b := fmt.Sprintf("mixed%x", c.Uint64())
		c.mime("multipart/mixed;\r\n boundary="+b, "7bit")
		c.part(b, "Content-Type: text/plain; charset=us-ascii")
		c.prose(4)
		c.part(b, "Content-Type: application/pdf; name=\"=?utf-8?q?Rechnung_M=C3=A4rz=2Epdf?=\"", "Content-Disposition: attachment;\r\n filename*=utf-8''Rechnung%20M%C3%A4rz.pdf",
			"Content-Transfer-Encoding: base64")
		c.attachment(2000 + c.IntN(6000))
		c.line("--%s--", b)
	}},
	{"empty body", func(c *composer) {
		c.head()
		c.line("")
	}},
	{"raw utf-8 headers", func(c *composer) {
		c.head("X-Remark: Übergrößenträger – 日本語 – \U0001F4E7", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8")
		c.line("")
		c.line("naïve façade, 日本語のメール, \U0001F600")
	}},
	{"latin-1 without charset", func(c *composer) {
		c.head()
		c.line("")
		c.WriteString("Gr\xfc\xdfe aus K\xf6ln, \xa9 \xff\xfe\r\n")
	}},
	{"no final newline", func(c *composer) {
		c.mime("text/plain", "7bit")
		c.WriteString("the last line has no end")
	}},
	{"NUL bytes", func(c *composer) {
		c.mime("application/octet-stream", "8bit") // "binary" would make Dovecot encode it as base64
		c.WriteString("before\x00\x00after\r\n\x00\r\nand \x00 again\r\n")
	}},
	{"very long line", func(c *composer) {
		c.mime("text/html; charset=utf-8", "8bit")
		c.line("<p>%s</p>", strings.Repeat("long ", 4000+c.IntN(16000)))
	}},
	{"bare CR and LF", func(c *composer) {
		c.mime("text/plain", "8bit")
		c.WriteString("old Mac line\rother old Mac line\rUnix line\nboth\r\n\rend\r\r\n")
	}},
	{"nested messages", func(c *composer) {
		c.mime("multipart/digest; boundary=outer", "7bit")
		for i := range 3 {
			c.part("outer", "Content-Type: message/rfc822")
			c.line("From: inner%d@example.net\r\nSubject: forwarded %d\r\nMessage-ID: <inner%d.%d@mailgen.example>\r\nMIME-Version: 1.0", i, i, i, c.number)
			c.line("Content-Type: multipart/mixed; boundary=inner\r\n")
			c.part("inner")
			c.prose(2)
			c.part("inner", "Content-Type: message/rfc822")
			c.line("Subject: within\r\n\r\nthe innermost text")
			c.line("--inner--")
		}
		c.line("--outer--")
	}},
	{"huge headers", func(c *composer) {
		var refs strings.Builder
		for range 300 {
			fmt.Fprintf(&refs, "\r\n <%x@example.net>", c.Uint64())
		}
		c.head("References:"+refs.String(), "X-Spam-Report: "+strings.Repeat("* 0.0 RULE_NAME\r\n\t", 200)+"end", "X-Long: "+strings.Repeat("x", 20000))
		c.line("")
		c.prose(3)
	}},
	{"PGP/MIME", func(c *composer) {
		c.mime(`multipart/encrypted; protocol="application/pgp-encrypted"; boundary="pgp"`, "7bit")
		c.part("pgp", "Content-Type: application/pgp-encrypted")
		c.line("Version: 1")
		c.part("pgp", "Content-Type: application/octet-stream; name=encrypted.asc")
		c.line("-----BEGIN PGP MESSAGE-----\r\n")
		c.attachment(1500)
		c.line("=%s\r\n-----END PGP MESSAGE-----", "aB3d")
		c.line("--pgp--")
	}},
	{"headers only", func(c *composer) { c.head() }},
	{"record marks", func(c *composer) { // what dbox files have between their messages, and mbox files too
		c.mime("text/plain", "8bit")
		c.WriteString("\x01\x02N 0000000000000010\r\nFrom nobody Mon Nov  4 07:12:09 2019\r\n\x01\x03\r\nR5dbfce29\r\nGdeadbeef\r\n\r\n>From here\r\n.\r\n..\r\n2 M1e C5dbfce29\r\n")
	}},
	{"unclosed multipart", func(c *composer) {
		c.mime("multipart/mixed; boundary=never", "7bit")
		c.part("never", "Content-Type: text/plain")
		c.prose(3)
		c.part("never", "Content-Type: image/png", "Content-Transfer-Encoding: base64")
		c.attachment(700)
	}},
	{"no usual headers", func(c *composer) {
		c.line("%s: %d", NumberHeader, c.number)
		c.line("X: y")
		c.line("")
		c.line("a script wrote this")
	}},
	{"broken headers", func(c *composer) {
		c.head("this line is no header", ": no name", "Content-Type: text/plain; charset=\"x-unknown", "Content-Transfer-Encoding: base65", "Date: yesterday", "\tfolded from nowhere")
		c.line("")
		c.prose(2)
	}},
	{"list mail", func(c *composer) {
		c.head("List-Id: <list.example.net>", "Precedence: list", "X-Mailman-Version: 2.1", "DKIM-Signature: v=1; a=rsa-sha256;\r\n\tb="+strings.Repeat("Ab", 80))
		c.line("")
		c.prose(40)
		c.line("-- \r\nlist mailing list")
	}},
}
