package dovecot

// MapRecord is a message in mdbox's storage: struct dbox_map_mail_index_record and its reference count.
type MapRecord struct {
	MapUID UID
	FileID uint32 // of storage/m.<FileID>
	Offset uint32 // of the message header in it
	Size   uint32 // of header, body and metadata; 0 since 2.4.2: to the end of the file
	Refs   uint16 // how many mailbox records refer to it, over all mailboxes; 0: expunged, to be purged
}

// MapHeader is struct dbox_map_mail_index_header.
type MapHeader struct{ HighestFileID, RebuildCount uint32 }

// MapRecords are a map index's records. ok is false where this is no map index.
func (s *State) MapRecords() (records []MapRecord, ok bool) {
	e, ref := s.Ext("map"), s.Ext("ref")
	if e == nil || e.RecordSize < 12 {
		return nil, false
	}
	records = make([]MapRecord, 0, len(s.Records))
	for i := range s.Records {
		records = append(records, s.mapRecord(&s.Records[i], e, ref))
	}
	return records, true
}

// MapRecord is one of a map index's records. ok is false where this is no map index.
func (s *State) MapRecord(r *Record) (MapRecord, bool) {
	e, ref := s.Ext("map"), s.Ext("ref")
	if e == nil || e.RecordSize < 12 {
		return MapRecord{}, false
	}
	return s.mapRecord(r, e, ref), true
}

func (s *State) mapRecord(r *Record, e, ref *Ext) MapRecord {
	v := s.Value(r, e)
	return MapRecord{r.UID, u32(v, 0), u32(v, 4), u32(v, 8), u16(s.Value(r, ref), 0)}
}

// MapHeader is a map index's header. ok is false where this is no map index.
func (s *State) MapHeader() (h MapHeader, ok bool) {
	e := s.Ext("map")
	if e == nil {
		return h, false
	}
	return MapHeader{u32(e.Header, 0), u32(e.Header, 4)}, true
}
