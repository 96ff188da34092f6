//go:build unix

package dovecot

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// clone copies the account, for damaging it.
func (s *realStore) clone() *realStore {
	s.t.Helper()
	c := *s
	c.Account = s.Account.Clone()
	c.root = filepath.Join(c.Dir, "mail")
	return &c
}

// indexDamages are the ways to damage the files of an index.
var indexDamages = []struct {
	name   string
	damage func(f Files) Files
	// What Dovecot 2.3.19 was seen to do, for a log that starts from nothing, one that does after a rotation, and one
	// that no longer does.
	want [3]Verdict
}{
	{"nothing", func(f Files) Files { return f }, [3]Verdict{VerdictSame, VerdictSame, VerdictSame}},
	{"index removed", func(f Files) Files { f.Index = nil; return f }, [3]Verdict{VerdictSame, VerdictSame, VerdictRebuildLoses}},
	{"index and log.2 removed", func(f Files) Files { f.Index, f.Log2 = nil, nil; return f }, [3]Verdict{VerdictSame, VerdictRebuildLoses, VerdictRebuildLoses}},
	{"log.2 removed", func(f Files) Files { f.Log2 = nil; return f }, [3]Verdict{VerdictSame, VerdictSame, VerdictSame}},
	{"index emptied", func(f Files) Files { f.Index = []byte{}; return f }, [3]Verdict{VerdictEmpty, VerdictEmpty, VerdictEmpty}},
	{"index of version 8", func(f Files) Files { f.Index = slices.Clone(f.Index); f.Index[0] = 8; return f }, [3]Verdict{VerdictEmpty, VerdictEmpty, VerdictEmpty}},
	{"noise in index header", func(f Files) Files { f.Index = noise(f.Index, 0, 60); return f }, [3]Verdict{VerdictEmpty, VerdictEmpty, VerdictEmpty}},
	{"index records cut", func(f Files) Files { f.Index = f.Index[:len(f.Index)-300]; return f }, [3]Verdict{VerdictRebuild, VerdictRebuild, VerdictRebuildLoses}},
	{"log removed", func(f Files) Files { f.Log = nil; return f }, [3]Verdict{VerdictSame, VerdictSame, VerdictSame}}, // what was in it is nowhere else
	{"log emptied", func(f Files) Files { f.Log = []byte{}; return f }, [3]Verdict{VerdictSame, VerdictSame, VerdictSame}},
	{"log marked corrupted", func(f Files) Files { f.Log = slices.Clone(f.Log); clear(f.Log[4:8]); return f }, [3]Verdict{VerdictOlder, VerdictOlder, VerdictOlder}},
	{"garbage after the log", func(f Files) Files { f.Log = append(slices.Clone(f.Log), "garbage behind the end"...); return f }, [3]Verdict{VerdictErrorThenLoses, VerdictErrorThenLoses, VerdictErrorThenLoses}},
	{"noise in the log", func(f Files) Files { f.Log = noise(f.Log, len(f.Log)-300, 100); return f }, [3]Verdict{VerdictErrorThenLoses, VerdictErrorThenLoses, VerdictErrorThenLoses}},
	{"index removed, garbage after the log", func(f Files) Files { f.Index = nil; f.Log = append(slices.Clone(f.Log), make([]byte, 64)...); return f }, [3]Verdict{VerdictErrorThenLoses, VerdictErrorThenLoses, VerdictErrorThenLoses}},
	{"all removed but the backup", func(f Files) Files { return Files{Backup: f.Backup} }, [3]Verdict{VerdictEmpty, VerdictEmpty, VerdictEmpty}},
	{"all removed", func(f Files) Files { return Files{} }, [3]Verdict{VerdictSame, VerdictSame, VerdictSame}},
}

func TestSeesForeseesWhatDovecotDoes(t *testing.T) {
	for _, layout := range []string{"mdbox", "sdbox"} {
		for age, name := range []string{"from nothing", "rotated once", "rotated often"} {
			s := agedStore(t, layout, age)
			for _, d := range indexDamages {
				t.Run(layout+"/"+name+"/"+d.name, func(t *testing.T) {
					c := s.clone()
					c.t = t
					prefix := filepath.Join(c.mailboxDir("INBOX"), "dovecot.index")
					f := d.damage(c.files(prefix))
					c.put(prefix, f)
					st, verdict, _ := Sees(f)
					if verdict != d.want[age] {
						t.Errorf("verdict is %q, want %q", verdict, d.want[age])
					}
					compareWithDamaged(t, c, st, verdict)
				})
			}
		}
	}
}

// agedStore has an INBOX with a snapshot, logs as old as age tells, and changes after the snapshot.
func agedStore(t *testing.T, layout string, age int) *realStore {
	t.Helper()
	s := newRealStore(t, layout, []string{"mail_index_rewrite_min_log_bytes = 1k\nmail_index_rewrite_max_log_bytes = 2k\n", rotating, rotating}[age])
	s.fill(40)
	prefix := filepath.Join(s.mailboxDir("INBOX"), "dovecot.index")
	for i := range 400 {
		f := s.files(prefix)
		l, _ := ParseLog(f.Log)
		x, _ := ParseIndex(f.Index)
		oldest := uint32(0)
		if f.Log2 != nil {
			l2, _ := ParseLog(f.Log2)
			oldest = l2.Header.PrevSeq
		}
		behind := f.Index != nil && (x.Header.LogSeq == l.Header.Seq && l.Size-int64(x.Header.LogHead) > 700)
		switch {
		case age == 0 && l.Header.PrevSeq == 0 && behind:
			return s
		case age == 1 && f.Log2 != nil && oldest == 0 && behind && f.Backup != nil:
			return s
		case age == 2 && f.Log2 != nil && oldest != 0 && behind && f.Backup != nil:
			return s
		}
		s.IMAP("SELECT INBOX", fmt.Sprintf(`UID STORE %d:* +FLAGS (\Flagged k%d)`, 8+i%20, i%12), fmt.Sprintf(`UID STORE %d:* -FLAGS (\Flagged)`, 9+i%20),
			appendCommand("INBOX", `\Seen late`, "01-Mar-2021 08:00:00 +0100", message(1000+i)))
	}
	t.Fatal("Dovecot did not come to the state wanted")
	return nil
}

// compareWithDamaged lets Dovecot open the mailbox and compares what it then shows with the state foreseen.
func compareWithDamaged(t *testing.T, c *realStore, st *State, verdict Verdict) {
	t.Helper()
	fails := strings.HasPrefix(string(verdict), "error")
	if fails { // the error comes with the first lock of the log
		out, errs, _ := c.Run("a SELECT INBOX\r\nb STORE 1 +FLAGS (probe)\r\nc LOGOUT\r\n", "exec", "imap")
		if strings.Contains(out, "\r\na OK") && strings.Contains(out, "\r\nb OK") && !strings.Contains(errs, "Corrupted transaction log") {
			t.Errorf("an error was foreseen, but all is well: %s %s", out, errs)
		}
	}
	_, errs, ok := c.Fetch("INBOX", "uid flags")
	rebuilt := strings.Contains(errs, "fscking index file")
	if silent := verdict == VerdictSame || verdict == VerdictOlder || verdict == VerdictEmpty; silent && (!ok || rebuilt) {
		t.Errorf("Dovecot was foreseen to open it silently, but: %s", errs)
	}
	if byFsck := verdict == VerdictRebuild || verdict == VerdictRebuildLoses; byFsck && !rebuilt {
		t.Errorf("a rebuild was foreseen, but: %s", errs)
	}
	rows, errs, ok := c.Fetch("INBOX", "uid flags")
	if !ok {
		t.Fatalf("second access: %s", errs)
	}
	st.FirstRecent = ^UID(0)
	if byFsck := verdict == VerdictRebuildLoses; byFsck && c.layout == "mdbox" {
		st.Records = slices.DeleteFunc(st.Records, func(r Record) bool { _, known := st.GUID(&r); return !known })
	}
	foreseen, shown := summary(st), fetchSummary(rows)
	for i := range shown {
		words := slices.DeleteFunc(strings.Fields(shown[i]), func(w string) bool { return w == "probe" || w == `\Recent` })
		shown[i] = words[0] + " " + strings.Join(words[1:], " ")
	}
	if verdict == VerdictRebuild || verdict == VerdictRebuildLoses { // the storage may add messages
		have := map[string]bool{}
		for _, line := range foreseen {
			have[line] = true
		}
		shown = slices.DeleteFunc(shown, func(line string) bool { return !have[line] })
	}
	if d := diffLines(foreseen, shown); d != "" {
		t.Errorf("foreseen (got) and shown (want) differ:\n%s", d)
	}
	status := strings.Fields(c.Doveadm("-f", "tab", "mailbox", "status", "uidvalidity", "INBOX"))
	if got := status[len(status)-1]; st.UIDValidity != 0 && got != fmt.Sprint(st.UIDValidity) {
		t.Errorf("UIDVALIDITY is %s, foreseen was %d", got, st.UIDValidity)
	}
}
