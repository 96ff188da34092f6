package reconstruct

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"dovemend/repair/dovecot"
	"dovemend/repair/store"
)

// MapFile is the map index of an mdbox account, relative to the mail root.
const MapFile store.RelPath = "storage/dovecot.map.index"

// AltLink is the symbolic link to an account's alternative storage, relative to the mail root. The copy does not follow it.
const AltLink = "dbox-alt-root"

// StorageFile is where the messages with this file number are, relative to the mail root.
func StorageFile(id uint32) store.RelPath {
	return store.RelPath(path.Join("storage", fmt.Sprintf("m.%d", id)))
}

// Storage is what the mailboxes of an mdbox account share, as the copy holds it.
type Storage struct {
	Copied  bool // the copy holds the storage
	Found   bool // the map index, or its log, is there
	Known   bool // the map index could be read
	Sound   bool // all of it, and its counts of references can be believed
	Map     *dovecot.State
	Verdict dovecot.Verdict // what Dovecot does when it opens the map index as it is
	Faults  []dovecot.Fault // of the map index and its logs
	Unread  []Unread        // files of the map index that the copy lacks
	Refs    map[dovecot.UID]uint16
	Sizes   map[uint32]int64 // of the files m.N
	Files   []File           // the files m.N, and what Dovecot or an interrupted write left beside them
	Stored  []Stored         // the messages in them, in the order of Files
	AltLink bool             // there is an alternative storage, which the copy lacks
	Blind   bool             // not all of the storage could be read: a message that is not found may be there

	mapFiles dovecot.Files
	lookup   map[dovecot.UID]*Stored
	byGUID   map[dovecot.GUID]*Stored // one of them; the others follow by next
}

// File is a file of the storage.
type File struct {
	ID      uint32 // of m.ID; 0 for others
	Name    store.RelPath
	Size    int64
	MTime   time.Time
	Created uint32 // as its first line tells; 0 where it does not
	Header  int64  // length of that line; 0 where it cannot be read
	Faults  []dovecot.Fault
	Why     error // it could not be read
}

// Stored is a message in the storage.
type Stored struct {
	File int // in Storage.Files
	dovecot.DboxMessage
	MapUID dovecot.UID // 0: the map index does not tell of it
	Refs   int         // how many mailbox records refer to it, as the map index counts them; -1 unknown
	Claims int         // how many do
	Healed bool        // it is damaged or gone on the host; this is what an earlier copy has of it
	next   *Stored     // another one with this GUID
}

// readStorage reads the map index and every message file.
func readStorage(ctx context.Context, fsys fs.FS, h *healer) (*Storage, error) {
	t := &Storage{Refs: map[dovecot.UID]uint16{}, Sizes: map[uint32]int64{}, Map: &dovecot.State{}}
	if info, err := fs.Stat(fsys, "storage"); err == nil && !info.IsDir() {
		return t, nil
	}
	entries, err := fs.ReadDir(fsys, "storage")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return t, nil
	case NotCopied(err):
		t.Unread = append(t.Unread, Unread{"storage", err.Error()})
		return t, nil
	case err != nil:
		return nil, fmt.Errorf("list the copy of storage: %w", err)
	}
	t.Copied = true
	if _, err := fs.Lstat(fsys, AltLink); err == nil {
		t.AltLink = true
	}
	records, err := t.readMap(fsys)
	if err != nil {
		return nil, err
	}
	t.list(entries)
	known := map[uint32][]dovecot.DboxExtent{}
	for _, r := range records {
		known[r.FileID] = append(known[r.FileID], dovecot.DboxExtent{Offset: int64(r.Offset), Size: int64(r.Size)})
	}
	found := make([][]Stored, len(t.Files))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	for i := range t.Files {
		f := &t.Files[i]
		extents := known[f.ID]
		slices.SortFunc(extents, func(a, b dovecot.DboxExtent) int { return cmp.Compare(a.Offset, b.Offset) })
		g.Go(func() error {
			if err := gctx.Err(); err != nil {
				return err
			}
			stored, err := f.parse(fsys, i, extents)
			found[i] = stored
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	t.Stored = slices.Concat(t.heal(h, found, known)...)
	t.Blind = t.AltLink || slices.ContainsFunc(t.Files, func(f File) bool { return f.Why != nil })
	t.join(records)
	return t, nil
}

// heal looks for files that are damaged or gone in earlier copies. found is what is in each file, and becomes what is in each of them
// then.
func (t *Storage) heal(h *healer, found [][]Stored, known map[uint32][]dovecot.DboxExtent) [][]Stored {
	wanted := map[uint32][]dovecot.DboxExtent{}
	if records, ok := t.Map.MapRecords(); ok {
		for _, r := range records {
			if r.Refs > 0 {
				wanted[r.FileID] = append(wanted[r.FileID], dovecot.DboxExtent{Offset: int64(r.Offset), Size: int64(r.Size)})
			}
		}
	}
	for i := range t.Files {
		if f := &t.Files[i]; f.ID != 0 && f.Why == nil {
			if list, ok := h.storage(f, i, found[i], known[f.ID], wanted[f.ID]); ok {
				found[i], t.Sizes[f.ID] = list, f.Size
			}
		}
	}
	for id := range wanted {
		// It may be in the alternative storage; and where not all of the map index is known, a purge may have removed it.
		if _, there := t.Sizes[id]; there || t.AltLink || !t.Sound {
			continue
		}
		f := File{ID: id, Name: StorageFile(id), Size: -1}
		if list, ok := h.storage(&f, len(t.Files), nil, known[id], wanted[id]); ok {
			t.Files, found, t.Sizes[id] = append(t.Files, f), append(found, list), f.Size
		}
	}
	order := make([]int, len(t.Files))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(t.Files[a].ID, t.Files[b].ID), cmp.Compare(t.Files[a].Name, t.Files[b].Name))
	})
	files, lists := make([]File, 0, len(order)), make([][]Stored, 0, len(order))
	for n, i := range order {
		for k := range found[i] {
			found[i][k].File = n
		}
		files, lists = append(files, t.Files[i]), append(lists, found[i])
	}
	t.Files = files
	return lists
}

// readMap replays the map index.
func (t *Storage) readMap(fsys fs.FS) ([]dovecot.MapRecord, error) {
	files, err := readFiles(fsys, string(MapFile), func(name string, why error) {
		t.Unread = append(t.Unread, Unread{store.RelPath(name), why.Error()})
	})
	if err != nil {
		return nil, err
	}
	t.Found = files.Index != nil || files.Log != nil
	t.mapFiles = files
	t.Map, t.Faults = dovecot.Replay(files)
	_, t.Verdict, _ = dovecot.Sees(files)
	t.Faults = slices.DeleteFunc(t.Faults, func(f dovecot.Fault) bool { return f.Rule == "log-missing" && files.Log == nil })
	records, ok := t.Map.MapRecords()
	t.Known = ok && t.Found
	t.Sound = t.Known && t.Map.Exact
	for _, r := range records {
		t.Refs[r.MapUID] = r.Refs
	}
	return records, nil
}

// list takes the files with messages from the folder's list: m.N, and what was left beside them.
func (t *Storage) list(entries []fs.DirEntry) {
	for _, e := range entries {
		f := File{Name: store.RelPath(path.Join("storage", e.Name())), Size: -1}
		digits, ok := strings.CutPrefix(e.Name(), "m.")
		id, err := strconv.ParseUint(digits, 10, 32)
		switch {
		case !e.Type().IsRegular():
			continue
		case ok && err == nil && id != 0:
			f.ID = uint32(id)
		case !strings.HasSuffix(e.Name(), ".broken") && !strings.HasPrefix(e.Name(), ".temp."):
			continue
		}
		if info, err := e.Info(); err == nil {
			f.Size, f.MTime = info.Size(), info.ModTime().UTC()
		}
		if f.ID != 0 {
			t.Sizes[f.ID] = f.Size
		}
		t.Files = append(t.Files, f)
	}
	slices.SortFunc(t.Files, func(a, b File) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Name, b.Name)) })
}

// parse reads the messages in a file of the storage.
func (f *File) parse(fsys fs.FS, n int, known []dovecot.DboxExtent) ([]Stored, error) {
	file, err := fsys.Open(string(f.Name))
	if err != nil {
		f.Why = err
		if NotCopied(err) || errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, fmt.Errorf("read the copy of %s: %w", f.Name, err)
	}
	defer file.Close()
	at, err := ReaderAt(file, f.Size)
	if err != nil {
		return nil, fmt.Errorf("read the copy of %s: %w", f.Name, err)
	}
	box, faults, err := dovecot.ParseDbox(at, f.Size, known)
	if err != nil {
		return nil, fmt.Errorf("read the copy of %s: %w", f.Name, err)
	}
	f.Created, f.Header, f.Faults = box.Created, box.FirstMessage, faults
	list := make([]Stored, len(box.Messages))
	for i, m := range box.Messages {
		if box.Version == 0 {
			m.Damage |= dovecot.DboxFileHeaderLost
		}
		list[i] = Stored{File: n, DboxMessage: m, Refs: -1}
	}
	return list, nil
}

// join finds the messages that the map index tells of where it says they are.
func (t *Storage) join(records []dovecot.MapRecord) {
	type place struct {
		file   uint32
		offset int64
	}
	at := make(map[place]*Stored, len(t.Stored))
	t.lookup, t.byGUID = make(map[dovecot.UID]*Stored, len(records)), make(map[dovecot.GUID]*Stored, len(t.Stored))
	for i := range t.Stored {
		m := &t.Stored[i]
		f := &t.Files[m.File]
		if f.ID != 0 {
			at[place{f.ID, m.Offset}] = m
		}
		if f.ID != 0 && !m.GUID.IsZero() { // what is not in m.N is a copy, or was never there
			m.next, t.byGUID[m.GUID] = t.byGUID[m.GUID], m
		}
	}
	for _, r := range records {
		m := at[place{r.FileID, int64(r.Offset)}]
		if m == nil {
			continue
		}
		if m.MapUID == 0 || r.Refs > 0 { // of two records for one place the one in use
			m.MapUID, m.Refs = r.MapUID, int(r.Refs)
		}
		t.lookup[r.MapUID] = m
	}
}

// Holed reports whether a file of the storage is not one whole message behind the other up to the last one: a purge, which reads all of
// it, fails there. tail: there is something behind the last whole one, as an append that was never finished leaves it.
func (t *Storage) Holed(n int) (amid, tail bool) {
	f := &t.Files[n]
	if f.ID == 0 || f.Why != nil {
		return false, false
	}
	at, holed := f.Header, f.Header == 0
	i, _ := slices.BinarySearchFunc(t.Stored, n, func(st Stored, n int) int { return cmp.Compare(st.File, n) })
	for ; i < len(t.Stored) && t.Stored[i].File == n; i++ {
		st := &t.Stored[i]
		if holed || st.Offset != at { // and something follows it
			return true, false
		}
		at, holed = st.End, st.Damage&^(dovecot.DboxAltered|dovecot.DboxFileHeaderLost) != 0
	}
	return false, at > 0 && (holed || at < f.Size)
}

// record is where the map index would say that a message lies.
func (t *Storage) record(m *Stored) dovecot.MapRecord {
	return dovecot.MapRecord{MapUID: m.MapUID, FileID: t.Files[m.File].ID, Offset: uint32(m.Offset), Size: uint32(m.End - m.Offset), Refs: uint16(max(m.Refs, 0))}
}
