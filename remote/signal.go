package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// Signal is a signal dovemend may send.
type Signal string

// The two signals, by their POSIX names.
const (
	SIGTERM Signal = "TERM" // Dovecot says goodbye to its client and ends
	SIGKILL Signal = "KILL" // ends it at once
)

// signalScript checks and signals. Between the check and the signal there is no other program's start, only two built-in
// commands: a number would have to be given anew in that moment to hit the wrong process, and it would be the user's own.
const signalScript = `LC_ALL=C; export LC_ALL
PATH=$PATH:/bin:/usr/bin:/usr/local/bin; export PATH
me=$(id -u 2>/dev/null)
b=
if [ -r "/proc/$$/stat" ]; then
	if [ -z "$me" ]; then
		while read -r k a x; do [ "$k" = Uid: ] && me=$a; done <"/proc/$$/status"
	fi
	{ read -r b </proc/sys/kernel/random/boot_id; } 2>/dev/null
fi
same() {
	[ "$me" = "$2" ] || return 1
	case $3 in
	"proc "*)
		{ read -r s <"/proc/$1/stat"; } 2>/dev/null || return 1
		r=; e=
		while read -r k x y z; do [ "$k" = Uid: ] && r=$x && e=$y; done 2>/dev/null <"/proc/$1/status"
		[ "$r" = "$2" ] && [ "$e" = "$2" ] || return 1
		want=$3
		set -- ${s##*\)}
		[ $# -ge 20 ] && [ "$1" != Z ] || return 1
		shift 19
		[ "proc $1 $b" = "$want" ];;
	"ps "*)
		want="ps $2 ${3#ps }"
		set -- $(ps -p "$1" -o uid= -o lstart= 2>/dev/null)
		[ "ps $*" = "$want" ];;
	*)
		return 1;;
	esac
}
one() {
	if same "$1" "$2" "$3"; then
		if kill -s "$4" "$1" 2>/dev/null; then echo "$1 sent"
		elif kill -0 "$1" 2>/dev/null; then echo "$1 denied"
		elif same "$1" "$2" "$3"; then echo "$1 denied"
		else echo "$1 gone"
		fi
	else
		echo "$1 gone"
	fi
}
`

// signalBatch keeps one script well under its limit in length.
const signalBatch = 200

// signalAll signals processes through few commands on the host. The list of errors is as long as the list of processes.
func signalAll(ctx context.Context, run func(ctx context.Context, script string) ([]byte, error), list []Process, sig Signal) ([]error, error) {
	if sig != SIGTERM && sig != SIGKILL {
		return nil, fmt.Errorf("signal processes: %q is not a signal that is sent", string(sig))
	}
	errs := make([]error, len(list))
	for from := 0; from < len(list); from += signalBatch {
		batch := list[from:min(from+signalBatch, len(list))]
		script := strings.Builder{}
		script.WriteString(signalScript)
		for i, p := range batch {
			if p.PID <= 1 || p.PID > 1<<31-1 || p.UID < 0 || p.Start == "" || len(p.Start) > 128 {
				errs[from+i] = fmt.Errorf("signal process %d: %w", p.PID, errNotSignalled)
				continue
			}
			fmt.Fprintf(&script, "one %d %d %s %s\n", p.PID, p.UID, quote(p.Start), quote(string(sig)))
		}
		script.WriteString("echo end")
		out, err := run(ctx, script.String())
		if err != nil {
			return nil, fmt.Errorf("signal processes: %w", err)
		}
		answers, ended := signalAnswers(out)
		if !ended {
			return nil, errors.New("signal processes: the host's answer is incomplete")
		}
		for i, p := range batch {
			if errs[from+i] != nil {
				continue
			}
			switch answers[p.PID] {
			case "sent":
			case "gone":
				errs[from+i] = fmt.Errorf("signal process %d: %w", p.PID, ErrProcessGone)
			case "denied":
				errs[from+i] = fmt.Errorf("signal process %d: %w", p.PID, fs.ErrPermission)
			default:
				errs[from+i] = fmt.Errorf("signal process %d: the host does not say what became of it", p.PID)
			}
		}
	}
	return errs, nil
}

// errNotSignalled: what was given can be no process of the list.
var errNotSignalled = errors.New("not a process that may be signalled")

func signalAnswers(out []byte) (answers map[int]string, ended bool) {
	answers = map[int]string{}
	for raw := range bytes.Lines(out) {
		line := strings.TrimSpace(string(raw))
		if line == "end" {
			ended = true
			continue
		}
		pid, word, _ := strings.Cut(line, " ")
		if n, err := strconv.Atoi(pid); err == nil {
			answers[n] = word
		}
	}
	return answers, ended
}
