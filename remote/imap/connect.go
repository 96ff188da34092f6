package imap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
)

// The ways to protect a connection.
const (
	TLS      = "tls"      // TLS from the first byte, usually port 993
	StartTLS = "starttls" // TLS after a STARTTLS command, usually port 143
	None     = "none"     // no protection; only to loopback or through SSH
)

// DefaultTimeout is how long a command may stay without a single byte of answer. Dovecot itself waits up to 180 s for a
// lock before it says so.
const DefaultTimeout = 200 * time.Second

// dialTimeout bounds connecting and the TLS handshake, each.
const dialTimeout = 30 * time.Second

// Config says where the server is and how to reach it.
type Config struct {
	Addr       string                                                   // HOST:PORT
	Security   string                                                   // TLS (also ""), StartTLS or None
	ServerName string                                                   // the name the certificate must bear; default the host of Addr
	CAFile     string                                                   // PEM file of certificates trusted besides the system's; "" for none
	Dial       func(ctx context.Context, addr string) (net.Conn, error) // through the SSH connection; nil connects directly
	Timeout    time.Duration                                            // silence allowed per command; default DefaultTimeout
}

// Connect connects to a server and takes its greeting. It does not log in.
func Connect(ctx context.Context, cfg Config) (*Client, error) {
	host, _, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return nil, &Error{Op: "connect", Type: TypeRefused, Text: fmt.Sprintf("IMAP address %q is not HOST:PORT", cfg.Addr), Err: err}
	}
	var tlsConfig *tls.Config
	switch cfg.Security {
	case "", TLS, StartTLS:
		if tlsConfig, err = clientTLS(cfg, host); err != nil {
			return nil, &Error{Op: "connect", Type: TypeTLS, Err: err}
		}
	case None:
		if cfg.Dial == nil && !loopback(host) {
			return nil, cleartext(cfg.Addr)
		}
	default:
		return nil, &Error{Op: "connect", Type: TypeRefused, Text: fmt.Sprintf("%q is none of tls, starttls, none", cfg.Security)}
	}
	conn, err := dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	greeting := ""
	switch cfg.Security {
	case None:
		// The name was loopback; now the address it led to must be.
		if addr, ok := conn.RemoteAddr().(*net.TCPAddr); cfg.Dial == nil && (!ok || !addr.IP.IsLoopback()) {
			conn.Close()
			return nil, cleartext(cfg.Addr)
		}
	case StartTLS:
		if err := startTLS(ctx, conn); err != nil {
			conn.Close()
			return nil, err
		}
		greeting = "* OK " + encrypted + "\r\n"
		fallthrough
	default:
		if conn, err = handshake(ctx, conn, tlsConfig); err != nil {
			return nil, err
		}
	}
	c := newClient(conn, cfg.Timeout, greeting)
	if err := c.greet(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Preauth takes a stream on which a server greets with PREAUTH: the host's own imap process, which knows us by the login
// it runs under. The stream is closed with the client.
func Preauth(ctx context.Context, stream io.ReadWriteCloser, timeout time.Duration) (*Client, error) {
	c := newClient(stream, timeout, "")
	if err := c.greet(ctx); err != nil {
		return nil, err
	}
	if !c.in {
		c.Close()
		return nil, &Error{Op: "connect", Type: TypeProtocol, Text: "the imap process does not greet with PREAUTH"}
	}
	return c, nil
}

func newClient(stream io.ReadWriteCloser, timeout time.Duration, greeting string) *Client {
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	w := newWire(stream, timeout, greeting)
	c := &Client{w: w}
	end := w.begin(context.Background(), smallAnswer) // the greeting may come before greet asks for it
	c.lib = imapclient.New(w, nil)
	end()
	return c
}

func cleartext(addr string) error {
	return &Error{Op: "connect", Type: TypeRefused, Text: fmt.Sprintf("%q without encryption would show password and mail to everyone on the way; use tls or starttls, or go through SSH", addr)}
}

// loopback says whether host names this machine itself.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func dial(ctx context.Context, cfg Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var conn net.Conn
	var err error
	if cfg.Dial != nil {
		conn, err = cfg.Dial(ctx, cfg.Addr)
	} else {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", cfg.Addr)
	}
	if err != nil {
		return nil, &Error{Op: "connect", Type: TypeDial, Err: fmt.Errorf("reach %s: %w", cfg.Addr, err)}
	}
	return conn, nil
}

// clientTLS trusts the system's certificates and those of CAFile.
func clientTLS(cfg Config, host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: cfg.ServerName, MinVersion: tls.VersionTLS12}
	if c.ServerName == "" {
		c.ServerName = host
	}
	if cfg.CAFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(cfg.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read CA file: %w", err)
	}
	if c.RootCAs, err = x509.SystemCertPool(); err != nil {
		c.RootCAs = x509.NewCertPool()
	}
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read CA file %q: no PEM certificate in it", cfg.CAFile)
	}
	return c, nil
}

// handshake closes conn where it fails.
func handshake(ctx context.Context, conn net.Conn, cfg *tls.Config) (net.Conn, error) {
	hctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	t := tls.Client(conn, cfg)
	if err := t.HandshakeContext(hctx); err != nil {
		conn.Close()
		if ctx.Err() != nil {
			return nil, &Error{Op: "connect", Type: TypeStopped, Err: ctx.Err()}
		}
		if errors.Is(err, context.DeadlineExceeded) {
			return nil, &Error{Op: "connect", Type: TypeTimeout, Text: "during the TLS handshake", Err: err}
		}
		return nil, &Error{Op: "connect", Type: TypeTLS, Err: fmt.Errorf("make an encrypted connection: %w", err)}
	}
	return t, nil
}
