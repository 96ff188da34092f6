package imap

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	goimap "github.com/emersion/go-imap/v2"
)

// scripted answers commands by how they begin, and remembers them.
func scripted(t *testing.T, answers map[string]string) (*Client, *[]string) {
	var said []string
	c := preauthed(t, func(command string) string {
		said = append(said, command)
		for begin, a := range answers {
			if strings.HasPrefix(command, begin) {
				return a
			}
		}
		return "TAG OK done\r\n"
	})
	return c, &said
}

const canAll, canMove, canNothing = "* CAPABILITY IMAP4rev1 MOVE UIDPLUS\r\nTAG OK\r\n", "* CAPABILITY IMAP4rev1 MOVE\r\nTAG OK\r\n", "* CAPABILITY IMAP4rev1\r\nTAG OK\r\n"

// able gives a client of a server with these capabilities.
func able(t *testing.T, caps string, answers map[string]string) (*Client, *[]string) {
	answers["CAPABILITY"] = caps
	c, said := scripted(t, answers)
	if _, err := c.lib.Capability().Wait(); err != nil {
		t.Fatal(err)
	}
	*said = nil
	return c, said
}

func TestMoveTellsTheNewUIDs(t *testing.T) {
	c, said := able(t, canAll, map[string]string{"UID MOVE": "* OK [COPYUID 77 3:4,9 11:12,20] Moved\r\n* 1 EXPUNGE\r\nTAG OK done\r\n"})
	got, err := c.Move(t.Context(), []uint32{3, 4, 9, 10}, "B")
	if err != nil || got.UIDValidity != 77 || !maps.Equal(got.New, map[uint32]uint32{3: 11, 4: 12, 9: 20}) {
		t.Errorf("%+v, %v", got, err)
	}
	if len(*said) != 1 || (*said)[0] != `UID MOVE 3:4,9:10 "B"` && (*said)[0] != `UID MOVE 3:4,9:10 B` {
		t.Errorf("%q", *said)
	}
}

// TestLyingCOPYUIDTellsNothing: more than was asked for, or not as many on both sides; and it costs no memory.
func TestLyingCOPYUIDTellsNothing(t *testing.T) {
	for _, code := range []string{"COPYUID 7 1:4294967295 1:4294967295", "COPYUID 7 3 1:4294967295", "COPYUID 7 3:4 9", "COPYUID 7 3,4,5 7,8,9"} {
		c, _ := able(t, canAll, map[string]string{"UID MOVE": "* OK [" + code + "] Moved\r\nTAG OK done\r\n", "UID COPY": "TAG OK [" + code + "] done\r\n"})
		for _, do := range []func() (Copied, error){
			func() (Copied, error) { return c.Move(t.Context(), []uint32{3, 4}, "B") },
			func() (Copied, error) { return c.Copy(t.Context(), []uint32{3, 4}, "B") },
		} {
			if got, err := do(); err != nil || len(got.New) != 0 {
				t.Errorf("%s: %v, %v", code, got, err)
			}
		}
	}
	if _, ok := numbers(goimap.UIDSet{{Start: 5, Stop: 0}}, 10); ok {
		t.Error("an open set names numbers")
	}
}

// TestNothingIsExpungedThatWasNotNamed: without MOVE and UIDPLUS nothing is sent at all; with them only named messages go.
func TestNothingIsExpungedThatWasNotNamed(t *testing.T) {
	c, said := able(t, canNothing, map[string]string{})
	_, moveErr := c.Move(t.Context(), []uint32{3}, "B")
	removeErr := c.Remove(t.Context(), []uint32{3})
	if !errors.Is(moveErr, ErrCannotMove) || !errors.Is(removeErr, ErrCannotMove) || len(*said) > 0 {
		t.Errorf("%v, %v, sent %q", moveErr, removeErr, *said)
	}
	c, said = able(t, canMove, map[string]string{})
	if err := c.Remove(t.Context(), []uint32{3}); !errors.Is(err, ErrCannotMove) || len(*said) > 0 {
		t.Errorf("%v, sent %q", err, *said)
	}
	c, said = able(t, canAll, map[string]string{})
	if err := c.Remove(t.Context(), []uint32{3, 5}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(*said); got != `[UID STORE 3,5 +FLAGS.SILENT (\Deleted) UID EXPUNGE 3,5]` {
		t.Errorf("sent %s", got)
	}
	*said = nil
	for _, err := range []error{c.Remove(t.Context(), nil), c.AddFlags(t.Context(), nil, []string{"x"}), c.AddFlags(t.Context(), []uint32{1}, nil)} {
		if err != nil || len(*said) > 0 {
			t.Errorf("nothing to do: %v, sent %q", err, *said)
		}
	}
}

func TestOnlyAnEmptyMailboxIsDeleted(t *testing.T) {
	c, said := able(t, canAll, map[string]string{"EXAMINE": "* 1 EXISTS\r\n* OK [UIDVALIDITY 5] x\r\n* OK [UIDNEXT 9] x\r\nTAG OK [READ-ONLY] done\r\n"})
	if err := c.DeleteEmpty(t.Context(), "B"); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("%v", err)
	}
	for _, s := range *said {
		if strings.HasPrefix(s, "DELETE") {
			t.Errorf("sent %q", s)
		}
	}
	c, said = able(t, canAll, map[string]string{"EXAMINE": "* 0 EXISTS\r\nTAG OK [READ-ONLY] done\r\n"})
	if err := c.DeleteEmpty(t.Context(), "B"); err != nil {
		t.Fatal(err)
	}
	var verbs []string
	for _, s := range *said {
		verb, _, _ := strings.Cut(s, " ")
		verbs = append(verbs, verb)
	}
	if got := strings.Join(verbs, " "); got != "EXAMINE CLOSE DELETE UNSUBSCRIBE" {
		t.Errorf("sent %s", got)
	}
}

// TestChangesTellWhatTheServerAnswers: each command's refusal comes with its words.
func TestChangesTellWhatTheServerAnswers(t *testing.T) {
	c, _ := able(t, canAll, map[string]string{
		"SELECT": "TAG NO [SERVERBUG] Internal error occurred.\r\n", "CREATE": "TAG NO [ALREADYEXISTS] Mailbox already exists\r\n", "SUBSCRIBE": "TAG NO [NOPERM] no\r\n",
		"UID MOVE": "TAG NO [OVERQUOTA] Quota exceeded\r\n", "UID COPY": "TAG NO [TRYCREATE] no\r\n", "UID STORE": "TAG NO [EXPUNGEISSUED] no\r\n"})
	_, selectErr := c.Select(t.Context(), "B")
	_, moveErr := c.Move(t.Context(), []uint32{1}, "B")
	_, copyErr := c.Copy(t.Context(), []uint32{1}, "B")
	for code, err := range map[string]error{"SERVERBUG": selectErr, "ALREADYEXISTS": c.Create(t.Context(), "B"), "NOPERM": c.Subscribe(t.Context(), "B"), "OVERQUOTA": moveErr,
		"TRYCREATE": copyErr, "EXPUNGEISSUED": c.Remove(t.Context(), []uint32{1})} {
		var e *Error
		if !errors.As(err, &e) || e.Type != TypeNo || e.Code != code || Ended(err) {
			t.Errorf("%s: %v", code, err)
		}
	}
	c, _ = able(t, canAll, map[string]string{"UID MOVE": "* BYE Server shutting down.\r\n" + hangUp})
	if _, err := c.Move(t.Context(), []uint32{1}, "B"); !Ended(err) {
		t.Errorf("%v", err)
	}
}
