// Package performance measures dovemend beside the programs people copy mail with: rsync, rclone, scp, lftp and the bare pipe
// ssh tar | tar. It holds tests only, and no test fails for a time: times decide nothing on a shared machine.
//
// TestPerformance makes accounts on a memory file system, starts the real OpenSSH on loopback and lets all programs copy in turn,
// round after round, over loopback and over a proxy that delays each way by 20 ms, or lets pass no more than 100 Mbit/s besides. What is told are medians over the rounds, and the medians of
// the ratios inside each round. Every copy is compared with the account.
//
// By default it does one round with small accounts, which shows that the tool works. The whole takes about an hour:
//
//	DOVEMEND_PERFORMANCE=full DOVEMEND_PERFORMANCE_WRITE=1 go test ./repair/performance -run TestPerformance -timeout 4h -v
//
// and writes docs/performance.md. DOVEMEND_PERFORMANCE_ONLY is a regular expression of the parts to measure ("maildir/40ms/first"),
// DOVEMEND_PERFORMANCE_ROUNDS how many rounds (default 5).
package performance
