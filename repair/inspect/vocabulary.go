package inspect

import (
	"slices"
	"strings"
)

// What facts tell of: the keys of [Vocabulary].
const (
	OfExtensionHeader = "the header of an extension"
	OfExtensionValue  = "the value of an extension"
	OfListName        = "a name in the header of a list index"
	OfVirtualMailbox  = "a mailbox in the header of a virtual one"
	OfLogEntry        = "an entry of a log record" // those of headers and values of extensions besides
	OfCacheValue      = "a value in a cache record"
	OfMIMEPart        = "a MIME part in a cache record"
)

// Vocabulary gives the names that the members of [Facts] may have, sorted, by what they tell of. The documents are held to
// it, and so are the dumps.
func Vocabulary() map[string][]string {
	v := map[string][]string{
		OfExtensionHeader: {"hex", "levels", "mailboxes", "names"},
		OfExtensionValue:  {"extension", "hex", "name", "number", "virtual_size"},
		OfListName:        {"id", "name"},
		OfVirtualMailbox:  {"id", "name"},
		OfLogEntry: strings.Fields("add attribute change diff ext_id field first_uid flags guid hdr_size hex keyword last_uid modseq modseq_inc name new_reset_id " +
			"no_shrink offset preserve_data record_align record_size remove reset_id scope size timestamp transaction_size uid value value_len"),
		OfCacheValue: strings.Fields("bits broken field hex lines number parts text time timezone_minutes version"),
		OfMIMEPart:   strings.Fields("body_lines body_physical body_virtual depth flags header_physical header_virtual pos"),
	}
	add := func(of string, parts []part) {
		for _, p := range parts {
			v[of] = append(v[of], p.name)
		}
	}
	for _, parts := range extHeaders {
		add(OfExtensionHeader, parts)
	}
	for _, parts := range extValues {
		add(OfExtensionValue, parts)
	}
	add(OfExtensionValue, mailboxVsize)
	add(OfVirtualMailbox, virtualMailbox)
	for of := range v {
		slices.Sort(v[of])
		v[of] = slices.Compact(v[of])
	}
	return v
}
