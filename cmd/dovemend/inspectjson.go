package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"dovemend/repair/inspect"
)

// inspectStream is what the JSON of inspect begins with, and what is written as it is read.
type inspectStream struct {
	Files []inspect.Dump `json:"files"`
}

// inspectDocument is the rest of it.
type inspectDocument struct {
	envelope
	Run        string `json:"run,omitempty"`
	Folder     string `json:"folder,omitempty"`
	Known      int    `json:"known"`
	Unknown    int    `json:"unknown"`
	Unreadable int    `json:"unreadable"`
	Faulty     int    `json:"faulty"`
	Faults     int    `json:"fault_count"`

	inspectState
}

// inspectState is how far the writing is.
type inspectState struct {
	p       *program
	list    *inspect.JSON
	problem error // the first target that is no success
}

func (d *inspectDocument) add(r inspect.Result) {
	d.Known += r.Known
	d.Unknown += r.Unknown
	d.Unreadable += r.Unreadable
	d.Faulty += r.Faulty
	d.Faults += r.Faults
}

// begin writes the document up to the list of files.
func (d *inspectDocument) begin() error {
	if d.list != nil {
		return nil
	}
	if _, err := io.WriteString(d.p.stdout, "{\n  \"files\": "); err != nil {
		return err
	}
	d.list = inspect.NewJSON(d.p.stdout)
	return nil
}

// Dump writes one file.
func (d *inspectDocument) Dump(x *inspect.Dump) error {
	if err := d.begin(); err != nil {
		return err
	}
	return d.list.Dump(x)
}

// write ends the list, and writes what is known at the end.
func (d *inspectDocument) write() error {
	if err := d.begin(); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	if err := d.list.Close(); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(d); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	if _, err := d.p.stdout.Write(append([]byte(","), bytes.TrimPrefix(escapeUnprintable(b.Bytes()), []byte("{"))...)); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}
