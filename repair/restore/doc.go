// Package restore puts messages back into a mailbox over IMAP, and takes them out again.
//
// Messages come from [salvage.Reader], or from a copy of an account, one by one; texts are read when they are hashed and
// when they are sent, and are never in memory. Which of them the server has already is decided by Dovecot's GUID together
// with the size, else by the hash of the whole text: its Message-ID only says which of the server's messages are worth
// reading for that. Texts are hashed as IMAP sends them ([Normal]).
//
// Adding is journaled: what is about to be sent is on the disk before it is sent, and what the server answered after. What
// a killed run leaves open is looked up on the server by hash, so that going on adds nothing twice. After each batch, and
// batches grow, the new messages are looked at as a mail program does; one that the server breaks at is taken out again and set
// aside, by name. Only messages that this run has added are ever removed, and only while their source is on the local disk.
//
// Nothing is removed without UIDPLUS, and nothing but single named messages.
package restore
