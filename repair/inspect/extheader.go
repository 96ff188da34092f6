package inspect

import (
	"bytes"
	"strings"
)

// extHeader tells the header data of an extension.
func extHeader(name string, h []byte) Facts {
	known := decode(extHeaders[name], h, 0)
	switch name {
	case "list":
		known = append(known, Fact{Name: "names", Value: listNames(h)})
	case "box-name":
		known = Facts{{Name: "levels", Value: strings.Split(string(h), "\x00")}}
	case "virtual":
		known = append(known, Fact{Name: "mailboxes", Value: virtualMailboxes(h)})
	}
	// The names of keywords are told by themselves.
	return append(Facts{{Name: "hex", Value: Hex(h), Extra: len(known) > 0 || name == "keywords"}}, known...)
}

// listNames reads struct mailbox_list_index_header: a byte, then numbers with names until number 0.
func listNames(h []byte) []Facts {
	out := []Facts{}
	for at := 1; at+4 <= len(h); {
		id := uint32(little(h[at : at+4]))
		end := bytes.IndexByte(h[at+4:], 0)
		if id == 0 || end < 0 {
			break
		}
		out = append(out, Facts{{Name: "id", Value: id}, {Name: "name", Value: string(h[at+4 : at+4+end])}})
		at += 4 + end + 1
	}
	return out
}

// namesByID are the names in the header of the list extension, by their numbers.
func namesByID(h []byte) map[uint32]string {
	names := map[uint32]string{}
	for _, f := range listNames(h) {
		names[f[0].Value.(uint32)] = f[1].Value.(string)
	}
	return names
}

// virtualMailbox is struct virtual_mail_index_mailbox_record, without the length of its name.
var virtualMailbox = []part{{"id", 0, 4, number}, {"uid_validity", 8, 4, number}, {"next_uid", 12, 4, number}, {"highest_modseq", 16, 8, number}}

// virtualMailboxes reads what follows struct virtual_mail_index_header: records, then their names one behind the other.
func virtualMailboxes(h []byte) []Facts {
	const head, size = 16, 24
	out := []Facts{}
	if len(h) < head {
		return out
	}
	count := int64(little(h[4:8]))
	if count*size > int64(len(h)-head) {
		return out
	}
	names := h[head+count*size:]
	for i := range int(count) {
		r := h[head+i*size:][:size]
		n := min(int64(little(r[4:8])), int64(len(names)))
		facts := Facts{{Name: "name", Value: string(names[:n])}}
		out = append(out, append(facts, decode(virtualMailbox, r, 0)...))
		names = names[n:]
	}
	return out
}
