// Package fidelity proves that a repair loses nothing. It holds tests only.
//
// TestFidelity takes mailboxes that the real Dovecot made, breaks copies of them in every way that package damage knows, and
// treats each broken copy in six ways: it only looks, it removes dovecot.index, it empties the folder, it has the administrator run
// doveadm force-resync, and it has dovemend repair it, without and with a backup that was made before. What IMAP shows afterwards is counted against what it showed before the damage, message by
// message: which are missing, came back from the dead, are there twice or cannot be read, and which have lost flags, keywords, UID or date.
//
// It fails where dovemend is worse than any other way in anything that is counted, where it lost what the broken files still
// told, and where a backup makes anything worse, or one of just that state does not make it whole. What the broken files still told is
// found out by an oracle that shares nothing with the reconstruction but the parsers, and which never sees them: it reads the sound
// ones, notes for every message and every attribute which bytes tell it, in as many chains as there are, and then looks whether the
// damage left one of these chains whole.
//
// By default a few telling cells are tested. All of them take about an hour:
//
//	DOVEMEND_FIDELITY=full go test ./repair/fidelity -timeout 4h
//
// Further variables: DOVEMEND_FIDELITY_ONLY=layout/kind/store/seed does only the cells that fit, each part a pattern as package path
// has them, parts at the end may be left out; DOVEMEND_FIDELITY_SEEDS is how many seeds are tried with each store (default 2);
// DOVEMEND_FIDELITY_WRITE=1 has a full run write docs/fidelity.md; DOVEMEND_FIDELITY_KEEP=DIR keeps every broken account there, and the
// state directory with the backup that was made before. With -v the test tells every cell in detail.
package fidelity
