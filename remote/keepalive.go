package remote

import (
	"fmt"
	"time"
)

// keepAlive asks the host for a sign of life and ends the link when limit signs in a row did not come. Any answer counts, also that
// the request is not known.
func (l *link) keepAlive(every time.Duration, limit int) {
	if every <= 0 {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var pending chan struct{}
	missed := 0
	for {
		select {
		case <-l.done:
			return
		case <-tick.C:
		}
		if pending != nil {
			select {
			case <-pending:
				pending, missed = nil, 0
			default:
				if missed++; missed >= limit {
					l.close(fmt.Errorf("%w: the host has not answered for %v", ErrDisconnected, every*time.Duration(missed)))
					return
				}
				continue
			}
		}
		answer := make(chan struct{})
		pending = answer
		go func() { // blocks while the line is dead; closing the link ends it
			if _, _, err := l.client.SendRequest("keepalive@openssh.com", true, nil); err == nil {
				close(answer)
			}
		}()
	}
}
