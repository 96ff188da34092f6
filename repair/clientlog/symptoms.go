package clientlog

import "regexp"

// symptoms are the words of mail programs themselves. typ is what of a connection they tell; "" tells nothing, because the server's
// own words are missing.
var symptoms = []struct {
	text  *regexp.Regexp
	typ   string
	hints []string // in lower case, one of which is in each line that fits
}{
	{re(`the connection has been closed cleanly`), "CLOSED", []string{"closed cleanly"}},
	{re(`SocketReadException`), "CLOSED", []string{"socketreadexception"}},
	{re(`socket closed while reading data from server`), "CLOSED", []string{"socket closed"}},
	{re(`IMAP error: unexpected EOF`), "CLOSED", []string{"unexpected eof"}},
	{re(`connection reset by peer|verbindung wurde (?:vom server )?(?:zurückgesetzt|unterbrochen)|broken pipe`), "CLOSED", []string{"reset by peer", "verbindung wurde", "broken pipe"}},
	{re(`(?:lost connection to|connection (?:dropped|closed|lost) by) (?:imap )?server|server has (?:unexpectedly )?disconnected|unexpected(?:ly)? end of (?:stream|file)|end of stream reached`), "CLOSED", []string{"lost connection", "connection dropped", "connection closed", "connection lost", "disconnected", "unexpected", "end of stream"}},
	{re(`imapfilter: .*request to \S+ failed`), "CLOSED", []string{"imapfilter: "}},
	{re(`connection timed out|read timed out|timed? ?out (?:while|waiting)|zeitüberschreitung|SocketTimeoutException|Socket error .*timeout`), "TIMEOUT", []string{"time", "zeit"}},
	{re(`SocketCanNotConnectToHostException|connection refused|verbindung abgelehnt|no route to host|could not connect to (?:ssl|tls|tcp)?|failed to connect to`), "DIAL", []string{"cannotconnect", "connection refused", "verbindung abgelehnt", "no route to host", "could not connect", "failed to connect"}},
	{re(`certificate verify failed|self.signed certificate|certificate has expired|zertifikat (?:ist )?(?:abgelaufen|ungültig)|SSLHandshakeException`), "TLS", []string{"certificate", "zertifikat", "sslhandshake"}},
	{re(`can'?t get message list|nachrichtenliste kann nicht|nachrichtenliste nicht verfügbar|can'?t get message\b`), "", []string{"get message", "nachrichtenliste"}},
	{re(`connection to storage server failed|verbindung zum speicherserver fehlgeschlagen|server error! \(OK\)`), "", []string{"storage server", "speicherserver", "server error! (ok)"}},
	{re(`box \S+ cannot be opened`), "", []string{"cannot be opened"}},
}

// symptom finds such words. What is kept of the line are these words alone.
func (s *scanner) symptom(line, lower string) bool {
	for i := range symptoms {
		if !has(lower, symptoms[i].hints) {
			continue
		}
		if text := symptoms[i].text.FindString(line); text != "" {
			s.add(Said{Kind: Symptom, Type: symptoms[i].typ, Text: text, Op: s.op, Mailbox: s.mailbox}, line)
			return true
		}
	}
	return false
}
