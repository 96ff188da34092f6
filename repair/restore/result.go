package restore

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"time"

	"dovemend/repair/pathtext"
)

// ResultFile has one line for every message of the source, in a run's folder.
const ResultFile = "restored.jsonl"

// Count is how many messages have a status.
type Count struct {
	Messages int
	Bytes    int64 // of their texts as far as they were read
}

// Counts tells how many messages ended with which status. Their sum is the number of messages in the source.
func Counts(items []*Item) map[Status]Count {
	all := map[Status]Count{}
	for _, x := range items {
		c := all[x.Status]
		c.Messages++
		c.Bytes += x.Size
		all[x.Status] = c
	}
	return all
}

// told is an Item as the result file tells it.
type told struct {
	File      pathtext.Path   `json:"file"`
	Offset    *int64          `json:"offset,omitempty"`
	Mailbox   pathtext.Path   `json:"mailbox,omitempty"`
	Status    Status          `json:"status"`
	Why       string          `json:"why,omitempty"`
	Doubt     string          `json:"doubt,omitempty"`
	UID       uint32          `json:"uid,omitempty"`
	Date      string          `json:"date,omitempty"`
	MessageID string          `json:"message_id,omitempty"`
	Subject   string          `json:"subject,omitempty"`
	Flags     []string        `json:"flags,omitempty"`
	Keywords  []pathtext.Path `json:"keywords,omitempty"`
	Size      int64           `json:"size"`
	SHA256    string          `json:"sha256,omitempty"`
	Notes     []string        `json:"notes,omitempty"`
}

// WriteResult writes what became of every message.
func WriteResult(root *os.Root, items []*Item) error {
	temp := ResultFile + ".tmp"
	f, err := root.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, x := range items {
		t := told{File: pathtext.Path(x.File), Mailbox: pathtext.Path(x.Mailbox), Status: x.Status, Why: x.Why, Doubt: x.Doubt, UID: x.UID, MessageID: x.Message,
			Subject: x.Subject, Flags: x.Flags, Keywords: pathtext.Of(x.Keywords), Size: x.Size, SHA256: x.SHA256, Notes: x.Notes}
		if x.Offset >= 0 {
			t.Offset = &x.Offset
		}
		if !x.Date.IsZero() {
			t.Date = x.Date.UTC().Format(time.RFC3339)
		}
		if err := enc.Encode(t); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	if err := errors.Join(w.Flush(), f.Sync(), f.Close()); err != nil {
		return err
	}
	return root.Rename(temp, ResultFile)
}
