package damage

import (
	"encoding/binary"
	"os"
)

// logRecord is one record of a transaction log: where it begins and how long it is with its own header.
type logRecord struct {
	at, size    int64
	kind        uint32 // without the two flag bits
	transaction int64  // how long the transaction is that it begins; 0 where it does not say
}

// boundary is the type of a record that begins a transaction of several (MAIL_TRANSACTION_BOUNDARY).
const boundary = 0x00080000

// readLog finds the records of a sound log.
func (b *breaker) readLog(path string) ([]logRecord, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(data) < 40 {
		return nil, nothing("%s has no header", path)
	}
	var records []logRecord
	for at := int(le.Uint16(data[2:])); at+8 <= len(data); {
		packed := binary.BigEndian.Uint32(data[at:])
		size := int((packed>>24&0x7f<<21 | packed>>16&0x7f<<14 | packed>>8&0x7f<<7 | packed&0x7f) << 2)
		if packed&0x80808080 != 0x80808080 || size < 8 || at+size > len(data) {
			break
		}
		r := logRecord{at: int64(at), size: int64(size), kind: le.Uint32(data[at+4:]) & 0x0fffffff}
		if r.kind == boundary && size >= 12 {
			r.transaction = int64(le.Uint32(data[at+8:]))
		}
		records = append(records, r)
		at += size
	}
	if len(records) == 0 {
		return nil, nothing("%s has no records", path)
	}
	return records, nil
}
