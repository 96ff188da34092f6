package watch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// Limits of a ping.
const (
	maxPing     = 10_000 // bytes of a body; Healthchecks keeps 100,000
	pingTries   = 3
	pingTimeout = 10 * time.Second // of one try
	pingPause   = time.Second      // before the second try; twice that before the third
)

// Pinger tells a monitor (Healthchecks, or what understands the same) how a look ended. Whoever knows the URL can do so too, so
// it is a secret: it is in no error, and [Pinger.String] does not tell it.
type Pinger struct {
	Timeout time.Duration // of one try; three are made
	Pause   time.Duration // before the second try; twice that before the third

	base   *url.URL
	client *http.Client
	agent  string
}

// NewPinger takes the URL that means success; "/start" and "/fail" are put behind its path. Its error does not contain the URL.
func NewPinger(raw, agent string) (*Pinger, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("is not the URL of a check: https://HOST/…")
	}
	u.Fragment = ""
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	transport := http.DefaultTransport.(*http.Transport).Clone() // proxies as the environment says
	transport.DisableKeepAlives = true                           // the next ping is minutes away
	return &Pinger{base: u, agent: agent, Timeout: pingTimeout, Pause: pingPause,
		client: &http.Client{Transport: transport, CheckRedirect: checkRedirect}}, nil
}

// String tells that there is one, and nothing of it.
func (p *Pinger) String() string { return "a ping URL (not shown)" }

// GoString is [Pinger.String].
func (p *Pinger) GoString() string { return p.String() }

// errRedirect: the monitor leads where a ping does not go.
var errRedirect = errors.New("the monitor redirects too often, or to where nothing is encrypted")

// checkRedirect follows a monitor that has moved, but tells nobody where the ping came from, and does not leave TLS.
func checkRedirect(req *http.Request, via []*http.Request) error {
	req.Header.Del("Referer") // Go puts the URL there
	if len(via) >= 5 || via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return errRedirect
	}
	return nil
}

// Start tells that a look begins.
func (p *Pinger) Start(ctx context.Context) error { return p.send(ctx, "/start", "") }

// Success tells that all is well.
func (p *Pinger) Success(ctx context.Context, body string) error { return p.send(ctx, "", body) }

// Fail tells that something is wrong, and what. Bodies are cut at 10 kB.
func (p *Pinger) Fail(ctx context.Context, body string) error { return p.send(ctx, "/fail", body) }

// send tries a few times, each for a limited time.
func (p *Pinger) send(ctx context.Context, signal, body string) error {
	u := *p.base
	u.Path += signal
	if u.RawPath != "" {
		u.RawPath += signal
	}
	body = cut(body, maxPing-len("…"))
	for try := 1; ; try++ {
		again, err := p.try(ctx, u.String(), body)
		if err == nil || !again || try == pingTries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(try) * p.Pause):
		}
	}
}

func (p *Pinger) try(ctx context.Context, to, body string) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(body))
	if err != nil {
		return false, errors.New("ping: the URL cannot be used")
	}
	req.Header.Set("User-Agent", p.agent)
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	resp, err := p.client.Do(req)
	if err != nil {
		return true, fmt.Errorf("ping: %s", why(err))
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // the status counts, also where the answer breaks off
	switch {
	case resp.StatusCode < 300 && strings.Contains(string(said), "(not found)"):
		return false, errors.New("ping: the monitor knows no such check") // older Healthchecks say it so
	case resp.StatusCode < 300:
		return false, nil
	case resp.StatusCode == http.StatusNotFound:
		return false, errors.New("ping: the monitor knows no such check (404)")
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusRequestTimeout:
		return true, fmt.Errorf("ping: the monitor answers %d", resp.StatusCode)
	}
	return false, fmt.Errorf("ping: the monitor answers %d", resp.StatusCode)
}

// why says why a request failed, in words of our own: Go's errors hold the URL, and where the monitor redirects to.
func why(err error) string {
	var dns *net.DNSError
	var record tls.RecordHeaderError
	var unknown x509.UnknownAuthorityError
	var verify *tls.CertificateVerificationError
	var op *net.OpError
	switch {
	case errors.Is(err, errRedirect):
		return errRedirect.Error()
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, context.DeadlineExceeded), os.IsTimeout(err):
		return "the monitor does not answer in time"
	case errors.As(err, &dns):
		return "the monitor's host is not known"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens where the monitor should be"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "the monitor does not speak TLS there"
	case errors.As(err, &unknown), errors.As(err, &verify):
		return "the monitor's certificate is not trusted"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "the monitor hung up without an answer"
	case errors.As(err, &op):
		return "the monitor cannot be reached"
	}
	return "the monitor cannot be asked"
}
