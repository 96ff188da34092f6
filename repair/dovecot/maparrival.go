package dovecot

// MapArrival tells when mailboxes came to refer to a message of an mdbox storage: as places in the logs of the map index, which Dovecot
// writes one behind the other.
type MapArrival struct {
	Saved    Position   // it was stored, for the first mailbox; zero where the logs do not tell
	Referred []Position // it was copied to a further one, or to the same once more; what came together has one place
}

// ReadMapArrivals reads them from the logs of a map index, as far as these are sound: a record of type append stores a message, and one that
// adds to its count of references ("ref", the only extension of the map that is counted up) copies it (mdbox-map.c in Dovecot 2.3 and 2.4).
func ReadMapArrivals(f Files) map[UID]MapArrival {
	all := map[UID]MapArrival{}
	for _, b := range [][]byte{f.Log2, f.Log} {
		if b == nil {
			continue
		}
		l, _ := ParseLog(b)
		for i := range l.Records {
			r := &l.Records[i]
			at := Position{l.Header.Seq, r.Offset}
			switch {
			case l.Unusable != "" || !r.Valid || r.Recovered:
			case r.Type == LogAppend:
				for e := range r.Appends() {
					a := all[e.UID]
					a.Saved = at
					all[e.UID] = a
				}
			case r.Type == LogExtAtomicInc:
				for b := r.Data; len(b) >= 8; b = b[8:] {
					if int32(le.Uint32(b[4:])) > 0 {
						uid := UID(le.Uint32(b))
						a := all[uid]
						a.Referred = append(a.Referred, at)
						all[uid] = a
					}
				}
			}
		}
	}
	return all
}

// Compare orders places in the logs of an index by time.
func (p Position) Compare(o Position) int {
	if p.before(o) {
		return -1
	} else if o.before(p) {
		return 1
	}
	return 0
}
