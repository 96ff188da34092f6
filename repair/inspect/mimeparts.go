package inspect

// Bits of the flags of a MIME part: enum message_part_flags.
const (
	partMultipart = 0x01
	partMessage   = 0x04
	partText      = 0x08
)

// mimeParts reads the cache field mime.parts, as message_part_serialize writes it: each part, then its children. Where it
// ends too early or too late, what was read is told, and that it is broken.
func mimeParts(b []byte) Facts {
	r := partReader{rest: b}
	r.parts(1, 0)
	out := Facts{{Name: "parts", Value: r.out}}
	if r.broken || len(r.rest) > 0 {
		out = append(out, Fact{Name: "broken", Value: true})
	}
	return out
}

type partReader struct {
	rest   []byte
	out    []Facts
	broken bool
}

// maxPartDepth is more than Dovecot nests parts (100 by default).
const maxPartDepth = 1000

func (r *partReader) parts(count uint64, depth int) {
	for ; count > 0 && !r.broken; count-- {
		flags := r.number(4)
		facts := Facts{{Name: "depth", Value: depth}, {Name: "pos", Value: uint64(0)}}
		if depth > 0 {
			facts[1].Value = r.number(8)
		}
		for _, name := range [...]string{"header_physical", "header_virtual", "body_physical", "body_virtual"} {
			facts = append(facts, Fact{Name: name, Value: r.number(8)})
		}
		facts = append(facts, Fact{Name: "flags", Value: Bits(flags)})
		if flags&(partText|partMessage) != 0 {
			facts = append(facts, Fact{Name: "body_lines", Value: r.number(4)})
		}
		children := uint64(0)
		if flags&(partMultipart|partMessage) != 0 {
			children = r.number(4)
		}
		if r.broken {
			return
		}
		r.out = append(r.out, facts)
		if children > 0 && depth >= maxPartDepth {
			r.broken = true
			return
		}
		r.parts(children, depth+1)
	}
}

func (r *partReader) number(size int) uint64 {
	if len(r.rest) < size {
		r.broken, r.rest = true, nil
		return 0
	}
	n := little(r.rest[:size])
	r.rest = r.rest[size:]
	return n
}
