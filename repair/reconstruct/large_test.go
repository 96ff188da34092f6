package reconstruct

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dovemend/repair/dovecot"
	"dovemend/repair/store"
)

// BenchmarkLargeAccount reads and reconstructs an mdbox account of 200,000 messages in 20 mailboxes. Besides time it reports the
// highest heap while doing so, which bounds what a look at an account needs. With -short the account is a tenth of that.
func BenchmarkLargeAccount(b *testing.B) {
	n := 200_000
	if testing.Short() {
		n /= 10
	}
	dir := b.TempDir()
	boxes := layLarge(b, dir, n, 20)
	debug.FreeOSMemory()
	var highest atomic.Uint64
	stop := make(chan struct{})
	go func() {
		var m runtime.MemStats
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				runtime.ReadMemStats(&m)
				if m.HeapInuse > highest.Load() {
					highest.Store(m.HeapInuse)
				}
			}
		}
	}()
	b.ResetTimer()
	for b.Loop() {
		acct, err := Read(b.Context(), os.DirFS(dir), store.Account{Layout: store.MDBox, Tree: true}, boxes)
		if err != nil {
			b.Fatal(err)
		}
		got := 0
		for _, s := range acct.Boxes {
			got += s.Counts().Messages
		}
		if got != n || !acct.Storage.Sound || len(acct.Orphans) > 0 {
			b.Fatalf("%d messages of %d, sound %v, %d orphans", got, n, acct.Storage.Sound, len(acct.Orphans))
		}
	}
	b.StopTimer()
	close(stop)
	b.ReportMetric(float64(highest.Load())/(1<<20), "MiB-heap")
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// layLarge writes an account as Dovecot would: messages of about 1 kB in files of 10 MB.
func layLarge(b *testing.B, dir string, n, mailboxes int) []store.Mailbox {
	b.Helper()
	write := func(name string, data []byte) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	index := func(name string, x *dovecot.NewIndex) {
		data, err := x.Append(nil)
		if err != nil {
			b.Fatal(err)
		}
		write(name, data)
	}
	le := binary.LittleEndian
	mapped := &dovecot.NewIndex{IndexID: 1577836800, UIDValidity: 1577836800, NextUID: dovecot.UID(n + 1), Exts: []dovecot.NewExt{
		{Name: "map", Header: make([]byte, 8), Size: 12, Align: 4}, {Name: "ref", Size: 2, Align: 2}}}
	lists := make([]*dovecot.NewIndex, mailboxes)
	names := make([]store.Mailbox, mailboxes)
	for i := range lists {
		name := fmt.Sprintf("box%d", i)
		names[i] = store.Mailbox{Name: name, Storage: name, Dir: store.RelPath("mailboxes/" + name + "/dbox-Mails")}
		header := make([]byte, 24)
		le.PutUint32(header, mapped.UIDValidity)
		header[4] = byte(i + 1)
		lists[i] = &dovecot.NewIndex{IndexID: 1577836800, UIDValidity: 1577836800 + uint32(i), NextUID: dovecot.UID(n/mailboxes + 1), Exts: []dovecot.NewExt{
			{Name: "mdbox-hdr", Header: header}, {Name: "mdbox", Size: 8, Align: 4}, {Name: "guid", Size: 16, Align: 1}}}
	}
	file, id := []byte(nil), uint32(1)
	for i := range n {
		if len(file) == 0 {
			var err error
			if file, err = dovecot.AppendDboxFileHeader(nil, 1577836800, 0); err != nil {
				b.Fatal(err)
			}
		}
		body := fmt.Sprintf("From: a@example.org\nTo: b@example.org\nSubject: message %d\nMessage-ID: <%d@example.org>\n\n%s", i, i, strings.Repeat("Some text that stands in a line.\n", 30))
		var guid dovecot.GUID
		le.PutUint64(guid[:], uint64(i+1))
		at := len(file)
		file = append(dovecot.AppendDboxMessageHeader(file, int64(len(body))), body...)
		var err error
		file, err = dovecot.AppendDboxMetadata(file, dovecot.DboxMetadata{GUID: guid, Received: 1577836800, VirtualSize: int64(len(body) + strings.Count(body, "\n")), PhysicalSize: -1, Mailbox: names[i%mailboxes].Storage}, 0)
		if err != nil {
			b.Fatal(err)
		}
		uid := dovecot.UID(i + 1)
		mapped.Records = append(mapped.Records, dovecot.NewRecord{UID: uid, Data: [][]byte{
			le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, id), uint32(at)), uint32(len(file)-at)), le.AppendUint16(nil, 1)}})
		list := lists[i%mailboxes]
		list.Records = append(list.Records, dovecot.NewRecord{UID: dovecot.UID(len(list.Records) + 1), Flags: dovecot.FlagSeen,
			Data: [][]byte{nil, le.AppendUint32(le.AppendUint32(nil, uint32(uid)), 1577836800), guid[:]}})
		if len(file) > 10<<20 || i == n-1 {
			write(fmt.Sprintf("storage/m.%d", id), file)
			le.PutUint32(mapped.Exts[0].Header, id)
			file, id = file[:0], id+1
		}
	}
	index("storage/dovecot.map.index", mapped)
	for i, x := range lists {
		index(string(names[i].Dir)+"/dovecot.index", x)
	}
	return names
}
