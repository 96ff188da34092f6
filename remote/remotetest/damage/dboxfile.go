package damage

import (
	"bytes"
	"os"
	"strconv"
)

// dboxMessage is where a message's parts lie in a dbox file: its header, its text, and the lines of metadata.
type dboxMessage struct{ header, body, meta, end int64 }

// dboxHeader is the length of struct dbox_message_header.
const dboxHeader = 30

// dboxMark is what stands between a message's text and its metadata.
var dboxMark = []byte("\n\x01\x03\n")

// readDbox finds the messages of a sound dbox file.
func (b *breaker) readDbox(path string) ([]dboxMessage, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []dboxMessage
	at := bytes.IndexByte(data, '\n') + 1
	for at+dboxHeader <= len(data) && bytes.HasPrefix(data[at:], []byte("\x01\x02N ")) {
		size, err := strconv.ParseUint(string(data[at+13:at+29]), 16, 31)
		body := at + dboxHeader
		meta := body + int(size)
		if err != nil || meta >= len(data) || !bytes.HasPrefix(data[meta:], dboxMark) {
			break
		}
		end := bytes.Index(data[meta+len(dboxMark):], []byte("\n\n"))
		if end < 0 {
			break
		}
		all = append(all, dboxMessage{int64(at), int64(body), int64(meta), int64(meta + len(dboxMark) + end + 2)})
		at = int(all[len(all)-1].end)
	}
	if len(all) == 0 {
		return nil, nothing("no message in %s", path)
	}
	return all, nil
}
