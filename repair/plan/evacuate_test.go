package plan

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"dovemend/repair/store"
)

func evacuation() Input {
	in := input(store.SDBox, Evacuate, dbox())
	in.Facts[0].Unreadable = 2
	in.Moves = &Moves{Mailbox: "INBOX", Backup: "BACKUP20260131", Messages: 43, Unreadable: []uint32{4, 9}, Back: true, Accept: Losses()}
	return in
}

func TestEvacuateTellsWhatItMovesAndCosts(t *testing.T) {
	in := evacuation()
	p, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Steps) != 0 || p.Empty() || len(p.Costs) != 2 || p.Costs[0].Loss != LossMessages || p.Costs[0].Count != 2 || p.Costs[1].Loss != LossUIDs || p.Costs[1].Count != 43 {
		t.Errorf("steps %v, costs %+v", p.Steps, p.Costs)
	}
	text := strings.Join(Describe(p), "\n")
	for _, want := range []string{"make the mailbox BACKUP20260131", "move 43 messages there from INBOX", "2 messages on which Dovecot fails", "clear INBOX", "move the messages back", "the UIDs of 43 messages"} {
		if !strings.Contains(text, want) {
			t.Errorf("the plan does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "nothing to do") {
		t.Error(text)
	}
	b, err := json.Marshal(p)
	var back Plan
	if err == nil {
		err = json.Unmarshal(b, &back)
	}
	if err != nil || !reflect.DeepEqual(back.Moves, p.Moves) {
		t.Errorf("%v: %+v", err, back.Moves)
	}
	u := UndoMoves(run2, p, "BACKUP20260131-2", "")
	if u.Of != run1 || u.Remedy != Undo || u.Moves.Backup != "BACKUP20260131-2" || p.Moves.Backup != "BACKUP20260131" || u.Empty() {
		t.Errorf("undo: %+v", u)
	}
}

func TestEvacuateWantsConsent(t *testing.T) {
	for name, change := range map[string]func(*Input){
		"not named again":       func(in *Input) { in.Policy.Confirm = []string{"Sent"} },
		"UIDs not accepted":     func(in *Input) { in.Policy.Accept = []Loss{LossMessages} },
		"messages not accepted": func(in *Input) { in.Policy.Accept = []Loss{LossUIDs} },
	} {
		in := evacuation()
		change(&in)
		if p, err := Build(in); p == nil || !errors.Is(err, ErrWouldLoseData) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	in := evacuation()
	in.Mailboxes = append(in.Mailboxes, store.Mailbox{Name: "Sent", Dir: "mailboxes/Sent/dbox-Mails"})
	if p, err := Build(in); p != nil || err == nil {
		t.Errorf("two mailboxes at a time: %v", err)
	}
	in = evacuation()
	in.Moves = nil
	if p, err := Build(in); p != nil || err == nil {
		t.Errorf("nothing to move: %v", err)
	}
}
