package watch

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const secretPath = "/ping/5e3c1c5a-secret-0042"

// monitor is a Healthchecks that notes what it hears and can misbehave.
type monitor struct {
	*httptest.Server
	mu    sync.Mutex
	heard []string // METHOD PATH?QUERY BODY
	do    func(w http.ResponseWriter, r *http.Request, n int)
}

func newMonitor(t *testing.T, do func(w http.ResponseWriter, r *http.Request, n int)) *monitor {
	m := &monitor{do: do}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		m.mu.Lock()
		m.heard = append(m.heard, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Method, r.URL.RequestURI(), b)))
		n := len(m.heard)
		m.mu.Unlock()
		if ref := r.Header.Get("Referer"); ref != "" {
			t.Errorf("the monitor is told the referrer %q", ref)
		}
		if m.do != nil {
			m.do(w, r, n)
		}
	}))
	t.Cleanup(m.Close)
	return m
}

func (m *monitor) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.heard)
}

func pinger(t *testing.T, to string) *Pinger {
	t.Helper()
	p, err := NewPinger(to, "dovemend/test")
	if err != nil {
		t.Fatal(err)
	}
	p.Timeout, p.Pause = 300*time.Millisecond, time.Millisecond
	return p
}

func TestPingsGoWhereTheyBelong(t *testing.T) {
	m := newMonitor(t, nil)
	for _, base := range []string{m.URL + secretPath, m.URL + secretPath + "/", m.URL + secretPath + "?create=1"} {
		p := pinger(t, base)
		if err := p.Start(t.Context()); err != nil {
			t.Error(err)
		}
		if err := p.Success(t.Context(), "all well"); err != nil {
			t.Error(err)
		}
		if err := p.Fail(t.Context(), "INBOX: gone"); err != nil {
			t.Error(err)
		}
	}
	s := "POST " + secretPath
	want := []string{s + "/start", s + " all well", s + "/fail INBOX: gone", s + "/start", s + " all well", s + "/fail INBOX: gone",
		s + "/start?create=1", s + "?create=1 all well", s + "/fail?create=1 INBOX: gone"}
	if got := m.all(); !slices.Equal(got, want) {
		t.Errorf("heard %q", got)
	}
}

func TestABodyIsCutBetweenTwoCharacters(t *testing.T) {
	m := newMonitor(t, nil)
	if err := pinger(t, m.URL+secretPath).Fail(t.Context(), strings.Repeat("ü", 50_000)); err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(m.all()[0], "/fail ")
	if len(body) > 10_000 || len(body) < 9_900 || strings.Trim(body, "ü") != "…" {
		t.Errorf("%d bytes, the end is %q", len(body), body[len(body)-8:])
	}
}

// TestAPingThatFailsNeverTellsItsURL has a monitor misbehave in every way there is.
func TestAPingThatFailsNeverTellsItsURL(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	status := func(code int) func(http.ResponseWriter, *http.Request, int) {
		return func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(code) }
	}
	for _, tt := range []struct {
		name  string
		do    func(w http.ResponseWriter, r *http.Request, n int)
		url   string // instead of the monitor's
		want  string
		tries int
	}{
		{"500", status(500), "", "answers 500", 3},
		{"429", status(429), "", "answers 429", 3},
		{"404", status(404), "", "no such check", 1},
		{"200, not found", func(w http.ResponseWriter, _ *http.Request, _ int) { io.WriteString(w, "OK (not found)") }, "", "no such check", 1},
		{"403", status(403), "", "answers 403", 1},
		{"hangs", func(w http.ResponseWriter, r *http.Request, _ int) {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}, "", "in time", 3},
		{"hangs up", func(w http.ResponseWriter, _ *http.Request, _ int) { panic(http.ErrAbortHandler) }, "", "hung up", 3},
		{"redirects for ever", func(w http.ResponseWriter, r *http.Request, _ int) {
			http.Redirect(w, r, r.URL.Path+"/x", http.StatusTemporaryRedirect)
		}, "", "redirects", 15},
		{"redirects to nowhere", func(w http.ResponseWriter, r *http.Request, _ int) {
			w.Header().Set("Location", "http://%zz"+r.URL.Path)
			w.WriteHeader(302)
		}, "", "cannot be asked", 3},
		{"refuses", nil, "http://" + nobody.Addr().String() + secretPath, "nothing listens", 0},
		{"no such host", nil, "http://monitor.invalid" + secretPath, "", 0},
		{"no TLS", nil, "https://MONITOR" + secretPath, "TLS", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMonitor(t, tt.do)
			to := m.URL + secretPath
			if tt.url != "" {
				to = strings.Replace(tt.url, "MONITOR", strings.TrimPrefix(m.URL, "http://"), 1)
			}
			p := pinger(t, to)
			err := p.Fail(t.Context(), "why")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			for _, text := range []string{err.Error(), fmt.Sprintf("%v %+v %#v %s", p, p, p, p), fmt.Sprintf("%#v", err)} {
				if strings.Contains(text, "secret") || strings.Contains(text, "5e3c") || strings.Contains(text, m.URL) {
					t.Errorf("the URL is told: %s", text)
				}
			}
			if n := len(m.all()); n != tt.tries {
				t.Errorf("%d tries, want %d", n, tt.tries)
			}
		})
	}
}

func TestAPingIsTriedAgainAndFollowsAMonitorThatMoved(t *testing.T) {
	m := newMonitor(t, func(w http.ResponseWriter, _ *http.Request, n int) {
		if n < 3 {
			w.WriteHeader(503)
		}
	})
	if err := pinger(t, m.URL+secretPath).Success(t.Context(), "ok"); err != nil || len(m.all()) != 3 {
		t.Errorf("%v after %q", err, m.all())
	}
	old := newMonitor(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		http.Redirect(w, r, m.URL+"/moved"+r.URL.Path, http.StatusPermanentRedirect)
	})
	if err := pinger(t, old.URL+secretPath).Fail(t.Context(), "why"); err != nil {
		t.Error(err)
	}
	if got := m.all(); got[len(got)-1] != "POST /moved"+secretPath+"/fail why" {
		t.Errorf("heard %q", got)
	}
}

func TestAPingDoesNotLeaveTLS(t *testing.T) {
	m := newMonitor(t, nil)
	tls := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, m.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer tls.Close()
	p := pinger(t, tls.URL+secretPath)
	if err := p.Success(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "certificate is not trusted") {
		t.Errorf("an unknown certificate: %v", err)
	}
	p.client.Transport = tls.Client().Transport
	if err := p.Success(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "nothing is encrypted") || len(m.all()) > 0 {
		t.Errorf("got %v, and the other monitor heard %q", err, m.all())
	}
}

func TestAPingEndsWithItsContext(t *testing.T) {
	m := newMonitor(t, func(w http.ResponseWriter, r *http.Request, _ int) { <-r.Context().Done() })
	p := pinger(t, m.URL+secretPath)
	p.Timeout, p.Pause = time.Hour, time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Success(ctx, "") }()
	for len(m.all()) == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsNoPingURLIsRefusedWithoutBeingTold(t *testing.T) {
	for _, raw := range []string{"", "hc-ping.com/secret", "ftp://hc-ping.com/secret", "https:///secret", "https://hc ping/secret", "://secret", "http://[::1/secret"} {
		if _, err := NewPinger(raw, ""); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", raw, err)
		}
	}
}
