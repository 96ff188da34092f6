package imap

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// asker answers each command that holds a key of the map with its value, and all others with OK.
func asker(t *testing.T, commands *[]string, answers map[string]string) *Client {
	return preauthed(t, func(cmd string) string {
		if commands != nil {
			*commands = append(*commands, cmd)
		}
		for key, a := range answers {
			if strings.Contains(cmd, key) {
				return a
			}
		}
		return "TAG OK done\r\n"
	})
}

func collect(uids *[]uint32) func(uint32) {
	return func(u uint32) { *uids = append(*uids, u) }
}

func TestAskPutsEachQuestionToTheMessagesAlone(t *testing.T) {
	var commands []string
	c := asker(t, &commands, map[string]string{"CAPABILITY": "* CAPABILITY IMAP4rev1 SORT THREAD=REFERENCES\r\nTAG OK done\r\n"})
	c.lib.Capability().Wait()
	for _, look := range Looks {
		if err := c.Ask(t.Context(), look, []uint32{9, 3, 2, 1, 3}, nil); err != nil {
			t.Errorf("%s: %v", look, err)
		}
	}
	c.Close()
	want := []string{
		"UID FETCH 1:3,9 (UID FLAGS)", "UID FETCH 1:3,9 (UID ENVELOPE)", "UID FETCH 1:3,9 (UID BODYSTRUCTURE)",
		"UID SORT (REVERSE DATE) UTF-8 UID 1:3,9", "UID THREAD REFERENCES UTF-8 UID 1:3,9", "UID FETCH 1:3,9 (UID BODY.PEEK[])",
		`UID SEARCH UID 1:3,9 BODY "` + improbable + `"`, `UID SEARCH UID 1:3,9 TEXT "` + improbable + `"`,
	}
	if got := commands[1:]; !reflect.DeepEqual(got, want) {
		t.Errorf("commands = %q", got)
	}
}

func TestAskYieldsWhatWasAnsweredCompletely(t *testing.T) {
	body := "* 1 FETCH (UID 1 BODY[] {5}\r\nhello)\r\n"
	tests := []struct {
		name   string
		look   Look
		answer string
		want   []uint32
	}{
		{"bodies", LookBody, body + "* 2 FETCH (BODY[] {0}\r\n UID 2)\r\n* 3 FETCH (UID 3 BODY[] \"x\")\r\n", []uint32{1, 2, 3}},
		{"no text", LookBody, body + "* 2 FETCH (UID 2 BODY[] NIL)\r\n* 3 FETCH (UID 3)\r\n", []uint32{1}},
		{"envelopes", LookEnvelope, "* 1 FETCH (UID 1 ENVELOPE (NIL \"a (b\" {3}\r\n)\"( NIL))\r\n* 2 FETCH (UID 2 ENVELOPE NIL)\r\n* 3 FETCH (UID 3 ENVELOPE (\"x\"))\r\n", []uint32{1, 3}},
		{"a structure that is not IMAP", LookBodyStructure, "* 1 FETCH (UID 1 BODYSTRUCTURE (\"text\" \"pl\x01ain\" NIL)\r\n* 2 FETCH (UID 2 BODYSTRUCTURE (\"text\" \"plain))\r\n* 3 FETCH (UID 3 BODYSTRUCTURE ((\"text\" \"plain\") \"mixed\"))\r\n", []uint32{3}},
		{"a structure the library cannot read", LookBodyStructure, "* 1 FETCH (UID 1 BODYSTRUCTURE (odd [but] balanced))\r\n", []uint32{1}},
		{"flags between", LookBody, body + "* 9 FETCH (UID 9 FLAGS (\\Seen))\r\n* 1 FETCH (FLAGS (\\Seen))\r\n", []uint32{1}},
		{"nobody asked", LookFlags, "* 9 FETCH (UID 90 FLAGS ())\r\n* 1 FETCH (UID 2 FLAGS (\\Seen))\r\n* 8 EXPUNGE\r\n* 7 EXISTS\r\n", []uint32{2}},
		{"search", LookSearchText, "* OK Searched 12% of the mailbox, ETA 0:10\r\n* SEARCH\r\n", []uint32{1, 2, 3, 9}},
		{"sort", LookSort, "* SORT 9 3 2 1\r\n", []uint32{1, 2, 3, 9}},
	}
	for _, tt := range tests {
		for _, cut := range []int{1, 7, 1 << 20} { // however the answer comes in pieces
			t.Run(fmt.Sprint(tt.name, ", ", cut), func(t *testing.T) {
				c := preauthedIn(t, cut, func(cmd string) string {
					if strings.HasPrefix(cmd, "UID") {
						return tt.answer + "TAG OK done\r\n"
					}
					return "* 4 EXISTS\r\nTAG OK done\r\n"
				})
				var got []uint32
				if err := c.Ask(t.Context(), tt.look, []uint32{1, 2, 3, 9}, collect(&got)); err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(got, tt.want) {
					t.Errorf("answered: %v, want %v", got, tt.want)
				}
				if _, err := c.Examine(t.Context(), "INBOX"); err != nil {
					t.Errorf("the connection is no longer usable: %v", err)
				}
			})
		}
	}
}

func TestAskLearnsWhereTheServerBrokeOff(t *testing.T) {
	tests := []struct {
		name    string
		look    Look
		answer  string
		typ     string
		uid     uint32
		partial bool
		want    []uint32
	}{
		{"BYE after a stub", LookBody, "* 1 FETCH (UID 7 BODY[] {5}\r\nhello)\r\n* 2 FETCH (UID 8)\r\n* BYE FETCH failed: Internal error occurred.\r\n" + hangUp, TypeBye, 8, true, []uint32{7}},
		{"closed in a structure", LookBodyStructure, "* 1 FETCH (UID 7 BODYSTRUCTURE (\"a\"))\r\n* 2 FETCH (UID 8 BODYSTRUCTURE ((\"text\" {100}\r\nxx" + hangUp, TypeClosed, 8, true, []uint32{7}},
		{"closed between messages", LookEnvelope, "* 1 FETCH (UID 7 ENVELOPE (\"a\"))\r\n" + hangUp, TypeClosed, 7, false, []uint32{7}},
		{"closed after flags of another", LookEnvelope, "* 1 FETCH (UID 7 ENVELOPE (\"a\"))\r\n* 3 FETCH (UID 9 FLAGS ())\r\n" + hangUp, TypeClosed, 7, false, []uint32{7}},
		{"NO at the end", LookBody, "* 1 FETCH (UID 7 BODY[] NIL)\r\n* 2 FETCH (UID 8 BODY[] {1}\r\nx)\r\nTAG NO [SERVERBUG] Internal error occurred.\r\n", TypeNo, 8, false, []uint32{8}},
		{"search closed", LookSearchBody, hangUp, TypeClosed, 0, false, nil},
		{"search refused", LookSearchBody, "* SEARCH 7\r\nTAG NO [SERVERBUG] Internal error occurred.\r\n", TypeNo, 0, false, nil},
		{"what is not IMAP between", LookEnvelope, "* 1 FETCH (UID 7 ENVELOPE (\"a\r\n))\"\r\nTAG OK done\r\n", TypeProtocol, 7, true, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := preauthed(t, always(tt.answer))
			var got []uint32
			e := asError(t, c.Ask(t.Context(), tt.look, []uint32{7, 8, 9}, collect(&got)))
			if e.Type != tt.typ || e.UID != tt.uid || e.Partial != tt.partial {
				t.Errorf("error = %+v", e)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("answered: %v", got)
			}
		})
	}
}

func TestAskSaysWhatTheServerCannot(t *testing.T) {
	c := asker(t, nil, map[string]string{"CAPABILITY": "* CAPABILITY IMAP4rev1\r\nTAG OK done\r\n"})
	c.lib.Capability().Wait()
	if err := c.Ask(t.Context(), LookSort, []uint32{1}, nil); !errors.Is(err, ErrNoSort) || Ended(err) {
		t.Errorf("sort: %v", err)
	}
	if err := c.Ask(t.Context(), LookThread, []uint32{1}, nil); !errors.Is(err, ErrNoThread) || Ended(err) {
		t.Errorf("thread: %v", err)
	}
	if err := c.Ask(t.Context(), "taste", []uint32{1}, nil); asError(t, err).Type != TypeRefused {
		t.Errorf("taste: %v", err)
	}
}

func TestAskSplitsALongSet(t *testing.T) {
	var commands []string
	c := asker(t, &commands, nil)
	var uids, got []uint32
	for u := uint32(1); u < 40_000; u += 2 {
		uids = append(uids, 4_000_000_000+u)
	}
	if err := c.Ask(t.Context(), LookSearchText, uids, collect(&got)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if !reflect.DeepEqual(got, uids) {
		t.Errorf("%d of %d answered", len(got), len(uids))
	}
	if n := Commands(Ranges(uids)); n != len(commands) || n < 20 {
		t.Errorf("%d commands, %d foretold", len(commands), n)
	}
	for _, cmd := range commands {
		if len(cmd) > 8000 {
			t.Errorf("a command of %d bytes", len(cmd))
		}
	}
}

func TestAskHoldsNothingOfWhatAHostileServerSends(t *testing.T) {
	tests := []struct{ name, first, piece string }{
		{"a structure without end", "* 1 FETCH (UID 1 BODYSTRUCTURE (", "("},
		{"many answers for one message", "", "* 1 FETCH (UID 1 ENVELOPE (\"" + strings.Repeat("y", 16000) + "\"))\r\n"},
		{"a huge literal", "* 1 FETCH (UID 1 BODYSTRUCTURE {4000000000}\r\n", "x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := flood(t, tt.first, tt.piece)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			err := c.Ask(t.Context(), LookBodyStructure, []uint32{1, 2}, func(uint32) {})
			runtime.GC()
			runtime.ReadMemStats(&after)
			if e := asError(t, err); e.Type != TypeLimit {
				t.Errorf("error = %+v", e)
			}
			if after.HeapSys > before.HeapSys+64<<20 {
				t.Errorf("the heap grew by %d MiB", (after.HeapSys-before.HeapSys)>>20)
			}
		})
	}
}
