package remote

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Host is one login on one host. It is safe for concurrent use. [Host.Close] must be called.
type Host struct {
	cfg    Config
	log    *slog.Logger
	route  []hop  // jump hosts in order, the host itself last
	creds  *creds // what logging in has learnt: decrypted keys, the password that was accepted
	redial chan struct{}
	lanes  lanes
	bulk   bulkFacts

	mu     sync.Mutex
	now    *link
	rtt    time.Duration // of one question, measured at login
	info   Info
	closed bool
	dead   error // set when connecting again did not succeed
}

// Dial connects and logs in, as OpenSSH's client would with the same configuration, and looks once at what the host
// offers ([Host.Info]). The errors wrap [ErrHostKey], [ErrAuth], [ErrNoSFTP] and [ErrDisconnected] where they apply.
func Dial(ctx context.Context, cfg Config) (*Host, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	h := &Host{cfg: cfg, log: cfg.Log, creds: newCreds(), redial: make(chan struct{}, 1)}
	var err error
	if h.route, err = resolveRoute(cfg, func(s string) { cfg.Log.Warn(s) }); err != nil {
		return nil, err
	}
	began := time.Now()
	if h.now, err = h.connect(ctx, cfg.Ask); err != nil {
		return nil, err
	}
	// Where a person had to answer, no login is tried that may not be needed: a host counts those that fail.
	if took := time.Since(began); cfg.Eager && took > farLogin && !h.creds.asked.Load() {
		h.rtt = took / loginTrips // until it is measured
		h.dialLanes(ctx)
	}
	if err := h.probe(ctx); err != nil {
		h.Close()
		return nil, fmt.Errorf("look at the host: %w", err)
	}
	return h, nil
}

// Close ends the connection and everything that runs over it.
func (h *Host) Close() error {
	h.lanes.mu.Lock()
	h.lanes.closeAll()
	h.lanes.refuse = true
	h.lanes.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.now != nil {
		h.now.close(fmt.Errorf("%w: closed", ErrDisconnected))
	}
	return nil
}

// Info is what was found out about the host at login.
func (h *Host) Info() Info {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.info
}
