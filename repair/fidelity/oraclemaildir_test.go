package fidelity

import (
	"bytes"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"dovemend/remote/remotetest/fill"
	"dovemend/repair/dovecot"
)

// messageID is a message's own name, by which the cache shows which file a UID belongs to.
var messageID = regexp.MustCompile(`<[0-9]+\.[0-9]+@mailgen\.example>`)

// maildir: a message is in the mailbox in whose cur/ or new/ its file lies, and the file's name tells its flags. Its UID is in
// the uidlist; the index knows UIDs but no files, and the cache which message a UID is.
func (o *oracle) maildir(b *base, boxes map[string]*indexEvidence, folder func(*fill.Mailbox) string) {
	for name, m := range b.truth.Mailboxes {
		x, dir := boxes[name], folder(m)
		listName, keywordsName := path.Join(dir, "dovecot-uidlist"), path.Join(dir, "dovecot-keywords")
		list, _ := dovecot.ParseUIDList(b.files[listName])
		line := make(map[string]evidence) // by base name
		for _, e := range list.Entries {
			end := bytes.IndexByte(b.files[listName][e.Offset:], '\n')
			line[e.Name] = bytesOf{listName, e.Offset, e.Offset + int64(end) + 1}
		}
		first := bytes.IndexByte(b.files[listName], '\n')
		o.validity[name] = append(either{bytesOf{listName, 0, int64(first) + 1}}, trusted(o.validity[name], listName, int64(first))...)
		letters := bytesOf{keywordsName, 0, int64(len(b.files[keywordsName]))}
		uids := make(map[int]dovecot.UID)
		for _, msg := range m.Messages {
			uids[msg.Number] = dovecot.UID(msg.UID)
		}
		for file, data := range b.files {
			parent := filepath.Dir(file)
			if base := filepath.Base(parent); base != "cur" && base != "new" || filepath.Clean(filepath.Dir(parent)) != filepath.Clean(dir) {
				continue
			}
			number := numberIn(data)
			u, ok := uids[number]
			if !ok {
				continue
			}
			parsed := dovecot.ParseMaildirName(filepath.Base(file))
			f := &facts{whole: every{nameOf(file), bytesOf{file, 0, int64(len(data))}}, flags: nameOf(file), keywords: nameOf(file), date: nameOf(file)}
			if parsed.Keywords != 0 {
				f.keywords = either{every{nameOf(file), letters}, x.keywords(u)}
			}
			told := either{}
			if e := line[parsed.Base]; e != nil {
				told = append(told, e)
			}
			if id := messageID.Find(data); id != nil {
				if c := x.cached(u, func(v map[string][]byte) bool { return names(v, id) }); c != nil {
					told = append(told, c)
				}
			}
			f.uid = told
			o.messages[name][number] = f
		}
	}
	o.away = func(string, int) evidence { return every{} } // its file is gone, and that can be seen
	for name := range boxes {
		o.alone[name] = every{}
	}
}

// names reports whether what the cache knows of a message holds its own name.
func names(values map[string][]byte, id []byte) bool {
	for field, v := range values {
		if (strings.EqualFold(field, "hdr.message-id") || field == "imap.envelope") && bytes.Contains(v, id) {
			return true
		}
	}
	return false
}

// trusted is what tells a Maildir's UIDVALIDITY besides the uidlist. Dovecot believes the uidlist, and rightly: against one that is
// well formed, the others count for nothing.
func trusted(e evidence, list string, first int64) either {
	return either{contradicted{e, bytesOf{list, 0, first}}}
}

// contradicted is evidence that counts only where what would contradict it is not to be believed: because it is gone, or because more of it
// is lost than a number.
type contradicted struct {
	evidence
	by bytesOf
}

func (c contradicted) told(r *ruins) bool {
	if n := r.within(c.by.file, c.by.from, c.by.to); n > 0 && n <= 10 && !r.gone[c.by.file] {
		return false
	}
	return c.evidence.told(r)
}
