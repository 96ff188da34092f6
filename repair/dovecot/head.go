package dovecot

import "math"

// HeadSize is how many bytes of a file [IndexHead] and [LogHead] want to see.
const HeadSize = indexHeaderSize

// IndexHead reads the header of an index of size bytes from its first [HeadSize] bytes, or from all it has. unusable is the rule
// for whose sake Dovecot throws the whole file away, or "": it is what [Index].Unusable would say.
func IndexHead(b []byte, size int64) (h IndexHeader, unusable string) {
	if size < indexHeaderSize || len(b) < indexHeaderSize {
		return parseIndexHeader(b), "index-too-small"
	}
	x := &Index{Header: parseIndexHeader(b)}
	x.checkGeometry(int(min(size, math.MaxInt)), &faults{})
	return x.Header, x.Unusable
}

// LogHead reads the header of a log from its first [HeadSize] bytes, or from all it has. unusable is the rule for whose sake
// Dovecot deletes the file, or "".
func LogHead(b []byte) (h LogHeader, unusable string) {
	l := &Log{}
	l.parseHeader(b, &faults{})
	return l.Header, l.Unusable
}
