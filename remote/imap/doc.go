// Package imap is the IMAP client side of dovemend: it logs in, lists, examines, sorts and fetches, and tells in plain
// words what each answer of the server means ([Explain]). It reads only: a mailbox is opened with EXAMINE, bodies are
// fetched with BODY.PEEK[], so no message becomes seen.
//
// Reading is not harmless all the same: opening a damaged dbox mailbox, even with EXAMINE or STATUS, makes Dovecot
// rebuild it and may throw flags away. Callers copy the files first; nothing here can check that they did.
//
// The server is not trusted. Between it and the library that parses its answers stands a [net.Conn] of ours which
// follows the protocol far enough to bound every line, list and literal, to end a command that stays silent, and to
// remember the last words of a server that hangs up. Only message bodies may be large, and they are streamed. All texts
// of the server are made safe to print, and a password it echoes is blanked.
package imap
