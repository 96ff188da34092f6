package salvage

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"dovemend/repair/pathtext"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

const stateName = ".dovemend-salvage.jsonl"

// Folder is what became of one mailbox's messages of one class.
type Folder struct {
	Class   Class         `json:"class"`
	Mailbox pathtext.Path `json:"mailbox"`
	Path    string        `json:"path"` // the directory in the output; the file for mbox
	Count

	state any  // the format's
	fresh bool // nothing was in it when this run began
	used  bool // it is in the order of this run
}

// Count counts messages.
type Count struct {
	Messages   int   `json:"messages"`
	Unreadable int   `json:"unreadable"` // of these: nothing of them could be read, so there is no file
	Bytes      int64 `json:"bytes"`      // of their texts
}

func (c *Count) add(e *Entry) {
	c.Messages++
	c.Bytes += e.Size
	if e.unreadable() {
		c.Unreadable++
	}
}

type folderKey struct {
	class   Class
	mailbox string
}

// folders gives each mailbox a place, the same in every run over one output: which mailbox of several whose names differ
// only in case has the name as it is depends on which came first, so that is written down.
type folders struct {
	w     *writer
	byKey map[folderKey]*Folder
	taken map[string]folderKey // by path, case folded
	order []*Folder            // those of this run
	log   *os.File
}

// ErrOtherFormat: the output directory holds a salvage in another format.
var ErrOtherFormat = errors.New("the directory holds a salvage in another format")

type stateHead struct {
	Writer string `json:"writer"`
	Format Format `json:"format"`
}

type stateLine struct {
	Class   Class         `json:"class"`
	Mailbox pathtext.Path `json:"mailbox"`
	Path    string        `json:"path"`
}

func openFolders(w *writer) (*folders, error) {
	d := &folders{w: w, byKey: map[folderKey]*Folder{}, taken: map[string]folderKey{}}
	f, err := w.root.OpenFile(stateName, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	d.log = f
	good, err := d.readState(f)
	if err == nil {
		err = f.Truncate(good) // a line cut by a crash
	}
	if err == nil {
		_, err = f.Seek(good, io.SeekStart)
	}
	if err == nil && good == 0 {
		err = d.append(stateHead{writerName, w.o.Format})
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return d, nil
}

// readState reads what was written down, and says up to where it is whole.
func (d *folders) readState(r io.Reader) (good int64, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	lines.Split(wholeLines)
	for first := true; lines.Scan(); first = false {
		line := lines.Bytes()
		var h stateHead
		var s stateLine
		if first {
			if json.Unmarshal(line, &h) != nil || h.Writer != writerName {
				return 0, fmt.Errorf("%s is not dovemend's", stateName)
			}
			if h.Format != d.w.o.Format {
				return 0, fmt.Errorf("%w: %s", ErrOtherFormat, h.Format)
			}
		} else if json.Unmarshal(line, &s) != nil || !fs.ValidPath(s.Path) {
			return 0, fmt.Errorf("%s is damaged after %d bytes", stateName, good)
		} else {
			d.take(&Folder{Class: s.Class, Mailbox: s.Mailbox, Path: s.Path})
		}
		good += int64(len(line)) + 1
	}
	return good, lines.Err()
}

// wholeLines splits into lines and leaves out a last one without its line feed.
func wholeLines(b []byte, _ bool) (int, []byte, error) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1, b[:i], nil
	}
	return 0, nil, nil
}

func (d *folders) append(line any) error {
	b, err := jsonLine(line)
	if err == nil {
		_, err = d.log.Write(b)
	}
	d.w.staging.noted = true // which brings it to the disk before the first message
	return err
}

func (d *folders) take(f *Folder) {
	key := folderKey{f.Class, string(f.Mailbox)}
	d.byKey[key], d.taken[strings.ToLower(f.Path)] = f, key
}

// known gives a mailbox's folder if it has one.
func (d *folders) known(class Class, mailbox string) *Folder {
	return d.byKey[folderKey{class, mailbox}]
}

// get gives a mailbox's folder, and makes it.
func (d *folders) get(class Class, mailbox string) (*Folder, error) {
	f := d.known(class, mailbox)
	if f == nil {
		var err error
		if f, err = d.place(class, mailbox); err != nil {
			return nil, err
		}
	}
	if !f.used {
		f.used = true
		d.order = append(d.order, f)
	}
	return f, d.open(f)
}

// open opens a folder before the first message is looked for in it, or written to it.
func (d *folders) open(f *Folder) error {
	if f.state != nil {
		return nil
	}
	if err := d.w.format.open(f); err != nil {
		return fmt.Errorf("open %s: %w", f.Path, err)
	}
	return nil
}

// place finds a free place. A directory that is there already is one; a file of somebody else's is not.
func (d *folders) place(class Class, mailbox string) (*Folder, error) {
	top, err := class.dir()
	if err != nil {
		return nil, err
	}
	inTheWay := 0
	for try := 1; inTheWay < 10; try++ {
		p := d.w.format.path(top, mailbox, try)
		if _, taken := d.taken[strings.ToLower(p)]; taken {
			continue
		}
		f := &Folder{Class: class, Mailbox: pathtext.Path(mailbox), Path: p}
		if err := d.w.format.make(f); errors.Is(err, errForeign) {
			d.w.foreign(p)
			inTheWay++
			continue
		} else if err != nil {
			return nil, err
		}
		d.take(f)
		return f, d.append(stateLine{class, f.Mailbox, p})
	}
	return nil, fmt.Errorf("find a folder for mailbox %q: something else stands in its place", mailbox)
}

// errForeign: something that dovemend did not write stands where a directory should be.
var errForeign = errors.New("not dovemend's")

// mkdirAll makes a directory and those above it.
func (w *writer) mkdirAll(dir string) error {
	err := w.root.MkdirAll(dir, 0o700)
	if err == nil {
		return nil
	}
	for p := dir; p != "."; p = path.Dir(p) {
		if info, e := w.root.Stat(p); e == nil && !info.IsDir() || e != nil && !errors.Is(e, fs.ErrNotExist) {
			return errForeign
		}
	}
	return err
}

const (
	maxComponent = 120 // bytes; some encrypting file systems hold no more than 143
	maxPath      = 700
)

// treePath is a mailbox's place in a tree of directories whose names say what people call it.
func treePath(top, mailbox string, try int) string {
	var parts []string
	length := 0
	for part := range strings.SplitSeq(mailbox, "/") {
		part = snapshot.PortableName(part, maxComponent)
		for _, end := range []string{".eml", ".json", ".mbox"} { // not to be taken for what lies beside it
			if n := len(part) - len(end); n >= 0 && strings.EqualFold(part[n:], end) {
				part = part[:n] + "%2E" + part[n+1:]
			}
		}
		parts = append(parts, part)
		length += len(part) + 1
	}
	if length > maxPath || try > 3 { // 3: what stands in the way stands higher up
		parts = []string{snapshot.PortableName(mailbox, maxComponent)}
	}
	p := path.Join(append([]string{top}, parts...)...)
	if try > 1 {
		p += fmt.Sprintf("%%~%d", try)
	}
	return p
}

// maildirPath is a mailbox's place in a Maildir++ tree, in which all folders stand side by side.
func maildirPath(top, mailbox string, try int) string {
	if mailbox == "INBOX" && try == 1 {
		return top
	}
	name := ""
	for part := range strings.SplitSeq(mailbox, "/") {
		part = snapshot.PortableName(part, maxComponent)
		name += "." + store.EncodeName(strings.ReplaceAll(part, ".", "%2E"))
	}
	if len(name) > 200 {
		name = "." + store.EncodeName(strings.ReplaceAll(snapshot.PortableName(mailbox, 60), ".", "%2E"))
	}
	if try > 1 || strings.EqualFold(name, ".INBOX") { // Dovecot knows one INBOX
		name += fmt.Sprintf("%%~%d", max(try, 2))
	}
	return path.Join(top, name)
}

// Ready reports whether messages may be written to a directory that holds these entries: it is empty, but for what systems put
// into every folder, or an earlier run wrote to it.
func Ready(entries []fs.DirEntry) bool {
	empty := true
	for _, e := range entries {
		switch e.Name() {
		case stateName:
			return e.Type().IsRegular()
		case stagingDir, ".DS_Store", "desktop.ini", "Thumbs.db", "lost+found":
		default:
			empty = false
		}
	}
	return empty
}
