package ui

import (
	"fmt"
	"strings"
)

// Bytes writes a size for people in powers of 1000, as disks are sold: "1.2 MB". Negative sizes are unknown: "?".
func Bytes(n int64) string {
	if n < 0 {
		return "?"
	}
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, units := float64(n)/1000, []string{"kB", "MB", "GB", "TB", "PB", "EB"}
	i := 0
	for v >= 999.95 && i < len(units)-1 {
		v, i = v/1000, i+1
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}

// Count writes a number of things: "1 message", "12 messages", "? messages" where it is not known.
func Count(n int, one string) string {
	switch {
	case n < 0:
		return "? " + plural(one)
	case n == 1:
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, plural(one))
}

func plural(one string) string {
	switch {
	case one == "entry":
		return "entries"
	case strings.HasSuffix(one, "process") || strings.HasSuffix(one, "mailbox"):
		return one + "es"
	}
	return one + "s"
}

func number(n int) string {
	if n < 0 {
		return "?"
	}
	return fmt.Sprint(n)
}
