package remote

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// listScript prints the candidates among the login user's processes, and what the kernel says of them. It goes by ps in
// the form that procps, the BSDs and macOS share; else in busybox's; and without any ps by the names in /proc. Each form
// is asked for with its header, which shows that ps knows it even where there is no process, and its exit status (1 where
// there is none) is not looked at.
//
// On Linux only the process numbers are used of ps, whose columns are cut or ambiguous, and /proc has the last word: the
// real and effective owner, the state, the start time, the short name, the program and the first argument, each on a line
// of its own, so that no process can forge one by a newline in its name. Elsewhere the rows of ps are used, and confirmed
// by the kernel's name for the process.
const listScript = `LC_ALL=C; export LC_ALL; unset COLUMNS
PATH=$PATH:/bin:/usr/bin:/usr/local/bin; export PATH
nl='
'
proc=no; [ -r "/proc/$$/stat" ] && proc=yes
u=$(id -u 2>/dev/null)
if [ -z "$u" ] && [ $proc = yes ]; then
	while read -r k a b; do [ "$k" = Uid: ] && u=$a; done <"/proc/$$/status"
fi
echo "uid $u"
echo "proc $proc"
if [ $proc = yes ]; then
	{ read -r b </proc/sys/kernel/random/boot_id && echo "boot $b"; } 2>/dev/null
	while read -r dev at type opts x; do
		[ "$at" = /proc ] || continue
		case ,$opts, in
		*,hidepid=0,*|*,hidepid=off,*) echo "hidden no";;
		*,hidepid=*) echo "hidden yes";;
		*) echo "hidden no";;
		esac
	done 2>/dev/null </proc/mounts
fi
known() {
	case $1 in imap|pop3|lmtp|imap-hibernate|submission|managesieve|indexer-worker) return 0;; esac
	return 1
}
detail() {
	case $1 in ''|*[!0-9]*) return;; esac
	{ read -r s <"/proc/$1/stat"; } 2>/dev/null || return
	c=${s#*\(}; c=${c%\)*}; known "$c" || return
	pid=$1; r=; e=
	while read -r k a b x; do [ "$k" = Uid: ] && r=$a && e=$b; done 2>/dev/null <"/proc/$pid/status"
	set -- ${s##*\)}
	[ $# -ge 20 ] || return
	shift 19; start=$1
	set -- ${s##*\)}
	x=$(readlink "/proc/$pid/exe" 2>/dev/null)
	case $x in *"$nl"*) x=;; esac
	if t=$(tr '\000' '\n' 2>/dev/null <"/proc/$pid/cmdline"); then t=${t%%"$nl"*}; else IFS= read -r t <"/proc/$pid/cmdline"; fi 2>/dev/null
	echo "pid $pid $r $e $1 $start"
	printf 'comm %s\nexe %s\ntitle %s\n' "$c" "$x" "$t"
}
form=none
if p=$(ps -ww -U "$u" -o pid -o uid -o stat -o lstart -o args 2>/dev/null); [ -n "$p" ]; then form=full
elif p=$(ps -axww -o pid -o uid -o stat -o lstart -o args 2>/dev/null); [ -n "$p" ]; then form=full
elif p=$(ps -o pid,user,args 2>/dev/null); [ -n "$p" ]; then form=short
elif p=$(ps w 2>/dev/null); [ -n "$p" ]; then form=short
fi
echo "ps $form"
case $proc,$form in
yes,none)
	for d in /proc/[0-9]*; do detail "${d#/proc/}"; done;;
yes,*)
	printf '%s\n' "$p" | while read -r pid rest; do detail "$pid"; done;;
no,full)
	printf '%s\n' "$p" | while read -r pid rest; do
		case $rest in *imap*|*pop3*|*lmtp*|*submission*|*managesieve*|*indexer-worker*) printf 'row %s %s\n' "$pid" "$rest";; esac
	done
	ps -ax -o pid= -o ucomm= 2>/dev/null | while read -r pid c; do known "$c" && echo "name $pid $c"; done;;
esac
echo end`

// listing is what listScript told.
type listing struct {
	processes []Process // by process number
	hidden    bool
}

// titleLimit bounds what is kept of a process title or program path, in bytes.
const titleLimit = 4096

func list(ctx context.Context, query func(ctx context.Context, script string) ([]byte, error)) (listing, error) {
	out, err := query(ctx, listScript)
	if err != nil {
		return listing{}, fmt.Errorf("list processes: %w", err)
	}
	l, err := parseListing(out)
	if err != nil {
		return listing{}, fmt.Errorf("list processes: %w", err)
	}
	return l, nil
}

// parseListing reads the output of listScript. A host that shows no process at all cannot be told from one without any,
// so where neither ps nor /proc can be read that is an error.
func parseListing(out []byte) (listing, error) {
	var (
		l           listing
		uid         = -1
		proc, ended bool
		form, boot  string
		seen        []sighting
		names       = map[int]string{}
	)
	for raw := range bytes.Lines(out) {
		tag, rest, _ := strings.Cut(strings.TrimSuffix(string(raw[:min(len(raw), titleLimit)]), "\n"), " ")
		last := len(seen) - 1
		switch tag {
		case "uid":
			uid = number(rest)
		case "proc":
			proc = rest == "yes"
		case "boot":
			boot = bootID(rest)
		case "hidden":
			l.hidden = rest == "yes"
		case "ps":
			form = rest
		case "pid":
			seen = append(seen, procLine(rest, boot))
		case "comm", "exe", "title":
			if last < 0 {
				continue
			}
			switch tag {
			case "comm":
				seen[last].comm = rest
			case "exe":
				seen[last].exe = rest
			case "title":
				seen[last].title = rest
			}
		case "row":
			if s, ok := psRow(rest); ok && !proc {
				seen = append(seen, s)
			}
		case "name":
			pid, name, _ := strings.Cut(rest, " ")
			names[number(pid)] = strings.TrimSpace(name)
		case "end":
			ended = true
		}
	}
	switch {
	case !ended || uid < 0:
		return listing{}, fmt.Errorf("the host's answer is incomplete")
	case !proc && form != "full":
		return listing{}, fmt.Errorf("the host has neither a usable ps nor /proc")
	}
	for _, s := range seen {
		if !proc {
			// Without the kernel's name nothing confirms what a process calls itself.
			if s.comm = names[s.pid]; s.comm == "" {
				continue
			}
		}
		if p, ok := s.process(uid); ok {
			l.processes = append(l.processes, p)
		}
	}
	slices.SortFunc(l.processes, func(a, b Process) int { return a.PID - b.PID })
	l.processes = slices.CompactFunc(l.processes, func(a, b Process) bool { return a.PID == b.PID })
	return l, nil
}

// procLine reads "PID REAL-UID EFFECTIVE-UID STATE START". The start time is in clock ticks since the boot, which the
// boot's id makes unique.
func procLine(s, boot string) sighting {
	f := strings.Fields(s)
	if len(f) != 5 || number(f[4]) < 0 && len(f[4]) > 20 {
		return sighting{}
	}
	if _, err := strconv.ParseUint(f[4], 10, 64); err != nil {
		return sighting{}
	}
	return sighting{pid: number(f[0]), ruid: number(f[1]), euid: number(f[2]), state: f[3], start: "proc " + f[4] + " " + boot}
}

// psRow reads "PID UID STAT LSTART ARGS"; lstart is five words in the C locale ("Mon Nov 23 18:30:28 2026").
func psRow(s string) (sighting, bool) {
	f := strings.Fields(s)
	if len(f) < 9 {
		return sighting{}, false
	}
	rest := s
	for range 8 {
		rest = strings.TrimLeft(rest, " \t")
		i := strings.IndexAny(rest, " \t")
		if i < 0 {
			return sighting{}, false
		}
		rest = rest[i:]
	}
	if number(f[7]) < 1970 || number(f[7]) > 9999 || strings.Count(f[6], ":") != 2 {
		return sighting{}, false
	}
	uid := number(f[1])
	return sighting{
		pid: number(f[0]), ruid: uid, euid: uid, state: f[2], start: "ps " + strings.Join(f[3:8], " "),
		title: strings.TrimSpace(rest), setsTitle: true,
	}, true
}

// bootID keeps the characters a boot id has.
func bootID(s string) string {
	if len(s) > 64 || strings.Trim(s, "0123456789abcdef-") != "" {
		return ""
	}
	return s
}
