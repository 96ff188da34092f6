package mailgen

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// composer writes one message.
type composer struct {
	bytes.Buffer
	*rand.Rand
	number int
	seed   uint64
	date   time.Time
}

var (
	people = []string{"Anna Meier <anna@example.org>", "\"Müller, Jörg\" <joerg@example.net>", "=?utf-8?q?Zo=C3=AB_L=C3=BCthi?= <zoe@example.com>",
		"newsletter@shop.example", "Buchhaltung <rechnung@example.ch>", "山田太郎 <taro@example.jp>", "root@www17.example.net"}
	subjects = []string{"Rechnung 4711", "Re: Sitzung am Donnerstag", "=?utf-8?b?R3LDvMOfZSBhdXMgWsO8cmljaA==?=", "AW: Offerte", "Photos from the lake",
		"Ihre Bestellung ist unterwegs", "Fwd: minutes", "Größenänderung bestätigt", "[list] Release 2.3", "cron output"}
	words = strings.Fields("the mail of last week was lost and found again while nobody looked at the index of the mailbox " +
		"Grüsse aus Zürich über den See für alle die gestern nicht da waren bitte prüfen Sie die Rechnung im Anhang before Friday")
)

// line writes a line with CRLF.
func (c *composer) line(format string, args ...any) {
	fmt.Fprintf(&c.Buffer, format, args...)
	c.WriteString("\r\n")
}

// head writes the usual headers and those given, without the empty line after them.
func (c *composer) head(more ...string) {
	c.line("Return-Path: <bounce-%d@example.net>", c.number)
	c.line("Received: from mx%d.example.net ([192.0.2.%d])\r\n\tby mail.example.org with ESMTPS id %x;\r\n\t%s", c.IntN(9), c.IntN(250)+1, c.Uint32(), c.date.Format(time.RFC1123Z))
	c.line("From: %s", people[c.IntN(len(people))])
	c.line("To: anna@example.org")
	c.line("Subject: %s (%d)", subjects[c.IntN(len(subjects))], c.number)
	c.line("Date: %s", c.date.Add(-time.Minute).Format(time.RFC1123Z))
	c.line("Message-ID: %s", c.messageID())
	c.line("%s: %d", NumberHeader, c.number)
	for _, h := range more {
		c.line("%s", h)
	}
}

// mime writes the usual headers with a content type, and the empty line.
func (c *composer) mime(contentType, encoding string) {
	c.head("MIME-Version: 1.0", "Content-Type: "+contentType, "Content-Transfer-Encoding: "+encoding)
	c.line("")
}

// prose writes n lines of words.
func (c *composer) prose(n int) {
	for range n {
		var l []string
		for range 3 + c.IntN(10) {
			l = append(l, words[c.IntN(len(words))])
		}
		c.line("%s", strings.Join(l, " "))
	}
}

// attachment writes a base64 part's lines: n bytes that do not compress.
func (c *composer) attachment(n int) {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(c.Uint32())
	}
	text := base64.StdEncoding.EncodeToString(b)
	for len(text) > 76 {
		c.line("%s", text[:76])
		text = text[76:]
	}
	c.line("%s", text)
}

// part begins a part of a multipart.
func (c *composer) part(boundary string, headers ...string) {
	c.line("--%s", boundary)
	for _, h := range headers {
		c.line("%s", h)
	}
	c.line("")
}
