// Package evacuate moves the messages of a broken mailbox to a new one over IMAP, has the emptied mailbox cleared, and, if
// wanted, moves the messages back in growing batches, looking for the one that breaks Dovecot after each. It decides, keeps
// its own journal, and does it over small interfaces: a connection ([Conn]), a finder of unreadable messages, and a function
// that clears.
//
// Every IMAP command that changes something is announced in the journal first, with what it is about, and its outcome is
// written afterwards. Where an outcome is missing, because dovemend was killed or the connection was lost, it is found out
// from what is in both mailboxes before anything else is done ([Engine.settle]): a message that is in both, as the same text,
// is taken out of the one it came from, and one that is only there is moved. So no message is lost, and none is there twice.
//
// It must not come near a mailbox whose files were not copied before, nor one that Dovecot would build anew by being looked
// at: what such a look costs is told by the examination of the copy, and decided by the caller.
package evacuate
