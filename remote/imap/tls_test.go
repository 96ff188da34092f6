package imap

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificate makes a self-signed certificate for a name and its PEM file.
func certificate(t *testing.T, name string, until time.Time) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

const hello = "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\r\n"

// loginServer takes one password, in AUTHENTICATE PLAIN with an initial response, and echoes what it refuses.
func loginServer(t *testing.T) *fake {
	return &fake{greeting: hello, answer: func(cmd string) string {
		switch {
		case cmd == "AUTHENTICATE PLAIN AHVAZXhhbXBsZS5vcmcAc2VjcmV0": // \0u@example.org\0secret
			return "TAG OK [CAPABILITY IMAP4rev1 SORT] Logged in\r\n"
		case strings.HasPrefix(cmd, "AUTHENTICATE"):
			return "TAG NO [AUTHENTICATIONFAILED] Authentication failed. hunter2 " + strings.TrimPrefix(cmd, "AUTHENTICATE PLAIN ") + "\r\n"
		case cmd == "CAPABILITY":
			return "* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\nTAG OK done\r\n"
		case cmd == "LOGOUT":
			return "* BYE Logging out\r\nTAG OK Logout completed.\r\n" + hangUp
		}
		return "TAG BAD what\r\n"
	}}
}

func TestConnectOverTLSChecksTheServer(t *testing.T) {
	good, goodCA := certificate(t, "imap.example.org", time.Now().Add(time.Hour))
	old, oldCA := certificate(t, "imap.example.org", time.Now().Add(-time.Hour))
	tests := []struct {
		name     string
		cert     tls.Certificate
		ca, as   string
		security string
		class    Class // "" means it connects
	}{
		{"good", good, goodCA, "imap.example.org", TLS, ""},
		{"good with starttls", good, goodCA, "imap.example.org", StartTLS, ""},
		{"other name", good, goodCA, "mail.example.org", TLS, ClassCertificate},
		{"other name with starttls", good, goodCA, "mail.example.org", StartTLS, ClassCertificate},
		{"no name given, so the address counts", good, goodCA, "", TLS, ClassCertificate},
		{"unknown issuer", good, "", "imap.example.org", TLS, ClassCertificate},
		{"expired", old, oldCA, "imap.example.org", TLS, ClassCertificate},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := loginServer(t)
			addr := listen(t, func(conn net.Conn) {
				defer conn.Close()
				if tt.security == StartTLS {
					io.WriteString(conn, "* OK ready\r\n")
					if line, _ := bufio.NewReader(conn).ReadString('\n'); line != "S1 STARTTLS\r\n" {
						return
					}
					io.WriteString(conn, "* CAPABILITY IMAP4rev1\r\nS1 OK begin\r\n")
				}
				tc := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{tt.cert}})
				if tc.Handshake() != nil {
					return
				}
				f := *server
				if tt.security == StartTLS {
					f.greeting = ""
				}
				f.serve(tc)
			})
			c, err := Connect(t.Context(), Config{Addr: addr, Security: tt.security, CAFile: tt.ca, ServerName: tt.as, Timeout: 5 * time.Second})
			if tt.class != "" {
				if err == nil {
					c.Close()
					t.Fatal("connected")
				}
				if x := Explain(err); x.Class != tt.class {
					t.Errorf("%v is explained as %+v", err, x)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.Login(t.Context(), "u@example.org", "secret"); err != nil {
				t.Error(err)
			}
			if err := c.Logout(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLoginIsTriedOnceAndPasswordNeverTold(t *testing.T) {
	ours, theirs := net.Pipe()
	go loginServer(t).serve(theirs)
	c, err := Connect(t.Context(), Config{Addr: "imap.example.org:143", Security: None, Dial: func(context.Context, string) (net.Conn, error) { return ours, nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.Login(t.Context(), "u@example.org", "hunter2")
	e := asError(t, err)
	if e.Code != "AUTHENTICATIONFAILED" || Explain(err).Class != ClassPassword {
		t.Errorf("error = %+v", e)
	}
	for _, secret := range []string{"hunter2", "AHVAZXhhbXBsZS5vcmcAaHVudGVyMg=="} {
		if strings.Contains(e.Error()+e.Text+e.Raw, secret) {
			t.Errorf("the error tells %q: %+v", secret, e)
		}
	}
	if e := asError(t, c.Login(t.Context(), "u@example.org", "secret")); e.Type != TypeRefused {
		t.Errorf("a second login gives %+v", e)
	}
}

func TestCleartextOnlyToLoopbackOrThroughSSH(t *testing.T) {
	for _, addr := range []string{"imap.example.org:143", "192.0.2.1:143", "[2001:db8::1]:143", "localhost.example.org:143"} {
		if _, err := Connect(within(t, 10*time.Second), Config{Addr: addr, Security: None}); err == nil || asError(t, err).Type != TypeRefused {
			t.Errorf("%s: %v", addr, err)
		}
	}
	addr := listen(t, func(conn net.Conn) { loginServer(t).serve(conn) })
	c, err := Connect(t.Context(), Config{Addr: addr, Security: None, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestStartTLSRefusesWhatANeighbourCouldForge(t *testing.T) {
	tests := []struct{ name, greeting, answer, typ string }{
		{"preauth", "* PREAUTH hi\r\n", "", TypeProtocol},
		{"no starttls", "* OK hi\r\n", "S1 BAD unknown command\r\n", TypeBad},
		{"words behind the agreement", "* OK hi\r\n", "S1 OK go\r\n* PREAUTH trust me\r\n* BYE\r\n", TypeTLS},
		{"endless line", "* OK " + strings.Repeat("x", 10_000), "", TypeLimit},
		{"bye", "* BYE too busy\r\n", "", TypeBye},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := listen(t, func(conn net.Conn) {
				defer conn.Close()
				io.WriteString(conn, tt.greeting)
				r := bufio.NewReader(conn)
				r.ReadString('\n')
				io.WriteString(conn, tt.answer)
				r.ReadString('\n')
			})
			_, err := Connect(within(t, 10*time.Second), Config{Addr: addr, Security: StartTLS})
			if err == nil || asError(t, err).Type != tt.typ {
				t.Errorf("error = %v", err)
			}
		})
	}
}

func TestConnectExplainsWrongPorts(t *testing.T) {
	plain := listen(t, func(conn net.Conn) { loginServer(t).serve(conn) })
	_, err := Connect(t.Context(), Config{Addr: plain, Security: TLS, Timeout: 10 * time.Second})
	if x := Explain(err); x.Class != ClassTLS || !strings.Contains(x.Next, "starttls") {
		t.Errorf("TLS to a plain port: %v, %+v", err, x)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = Connect(t.Context(), Config{Addr: l.Addr().String(), Timeout: 10 * time.Second})
	if x := Explain(err); x.Class != ClassUnreachable || asError(t, err).Type != TypeDial {
		t.Errorf("closed port: %v, %+v", err, x)
	}
	for _, cfg := range []Config{{Addr: "imap.example.org"}, {Addr: "127.0.0.1:1", Security: "ssl"}, {Addr: "127.0.0.1:1", CAFile: filepath.Join(t.TempDir(), "none.pem")}} {
		if _, err := Connect(t.Context(), cfg); err == nil {
			t.Errorf("%+v connects", cfg)
		}
	}
}
