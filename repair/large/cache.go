package large

import "encoding/binary"

var le = binary.LittleEndian

// cacheSeq is the sequence of every cache.
const cacheSeq = 7

// cacheWriter makes a dovecot.index.cache: of each message the time it was received, its size and its Message-ID.
type cacheWriter struct{ b []byte }

func newCache() *cacheWriter {
	fields := []struct {
		name string
		size uint32
		kind byte
	}{{"date.received", 4, 0}, {"size.virtual", 8, 0}, {"hdr.Message-ID", 1<<32 - 1, 4}}
	b := make([]byte, 32)
	b[0], b[1], b[2] = 1, 8, 1
	le.PutUint32(b[4:], Made)
	le.PutUint32(b[8:], cacheSeq)
	at := uint32(len(b))
	b[28], b[29], b[30], b[31] = byte(at>>23)|0x80, byte(at>>16)|0x80, byte(at>>9)|0x80, byte(at>>2)|0x80
	var f []byte
	for range fields {
		f = le.AppendUint32(f, Made)
	}
	for _, x := range fields {
		f = le.AppendUint32(f, x.size)
	}
	for _, x := range fields {
		f = append(f, x.kind)
	}
	f = append(f, make([]byte, len(fields))...)
	for _, x := range fields {
		f = append(append(f, x.name...), 0)
	}
	b = le.AppendUint32(b, 0)
	b = le.AppendUint32(b, uint32(12+len(f)))
	b = le.AppendUint32(b, uint32(len(fields)))
	return &cacheWriter{pad(append(b, f...))}
}

func pad(b []byte) []byte { return append(b, make([]byte, (4-len(b)%4)%4)...) }

// add adds the record of the n-th message, and gives its place.
func (c *cacheWriter) add(n, virtual int) uint32 {
	at := len(c.b)
	c.b = append(c.b, make([]byte, 8)...)
	c.b = le.AppendUint32(le.AppendUint32(c.b, 0), uint32(Made+n))
	c.b = le.AppendUint64(le.AppendUint32(c.b, 1), uint64(virtual))
	line := "Message-ID: " + messageID(n) + "\n"
	c.b = le.AppendUint32(le.AppendUint32(c.b, 2), uint32(8+len(line)))
	c.b = append(le.AppendUint32(le.AppendUint32(c.b, 4), 0), line...)
	c.b = pad(c.b)
	le.PutUint32(c.b[at+4:], uint32(len(c.b)-at))
	return uint32(at)
}

func (c *cacheWriter) bytes() []byte { return c.b }
