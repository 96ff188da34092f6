//go:build unix

package repair

import (
	"path/filepath"
	"testing"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/sshhost"
	"dovemend/repair/evacuate"
	"dovemend/repair/plan"
	"dovemend/repair/probe"
)

// TestUntrackedMessageInTheBackupIsAProblemOnceAllIsBack: after the way back, and after an undo, nothing that the run does not know of
// should be there. Where the messages stay in the backup mailbox somebody may have put one beside them.
func TestUntrackedMessageInTheBackupIsAProblemOnceAllIsBack(t *testing.T) {
	for _, tt := range []struct {
		remedy plan.Remedy
		back   bool
		ok     bool
	}{{plan.Evacuate, false, true}, {plan.Evacuate, true, false}, {plan.Undo, false, false}} {
		r := &Run{evac: &evacuate.State{BackupID: 3}, plan: &plan.Plan{Remedy: tt.remedy, Moves: &plan.Moves{Mailbox: "INBOX", Back: tt.back}}}
		got := &probe.Reading{Mailbox: "BACKUP20260131", Opened: true, Complete: true, UIDValidity: 3, Exists: 1, Messages: []probe.Message{{UID: 9, BodySHA256: "x"}}}
		if b := r.judgeMoves(got, true); b.OK != tt.ok {
			t.Errorf("%+v: %+v", tt, b)
		}
	}
}

// TestProcessesThatCannotBeEndedAreNotSaidToBeGone: a host without a shell can end none.
func TestProcessesThatCannotBeEndedAreNotSaidToBeGone(t *testing.T) {
	h := remotetest.Embedded(t, remotetest.EmbeddedOptions{Layout: "sdbox", Options: sshhost.Options{NoShell: true}, Lay: func(root string) error {
		return laySdbox(filepath.Join(root, "mailboxes", "INBOX", "dbox-Mails"), 1)
	}})
	b := &bench{T: t, h: h, state: filepath.Join(t.TempDir(), "state"), said: &said{}}
	r := b.begin("repair", "INBOX")
	defer r.Close()
	if sure, err := r.hush(t.Context()); sure || err != nil {
		t.Errorf("%v, %v", sure, err)
	}
}
