package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The languages of a report.
const (
	English = "en"
	German  = "de"
)

// Languages are those a report can be written in.
func Languages() []string { return []string{English, German} }

// tongue writes the fixed words of one language.
type tongue struct{ lang string }

func (t tongue) index() int {
	if t.lang == German {
		return 1
	}
	return 0
}

// w gives fixed words with what is to be put into them. A key that is not in the catalogue is a mistake of the program, which a
// test finds; it panics rather than print the key.
func (t tongue) w(key string, args ...any) string {
	pair, ok := words[key]
	if !ok {
		panic("report: no words for " + key)
	}
	text := pair[t.index()]
	if one, many, plural := strings.Cut(text, "|"); plural {
		if text = many; len(args) > 0 && args[0] == 1 {
			text = one
		}
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// has reports whether there are words for a key.
func has(key string) bool { _, ok := words[key]; return ok }

// word gives the words for one of a set of machine words, or the word itself where it is a new one.
func (t tongue) word(set, word string) string {
	if word == "" || !has(set+"."+word) {
		return word
	}
	return t.w(set + "." + word)
}

// when writes a time to the second, in UTC, which is what server logs can be compared with.
func (t tongue) when(at time.Time) string {
	if at.IsZero() {
		return t.w("unknown")
	}
	return t.day(at) + " " + at.UTC().Format("15:04:05") + " UTC"
}

func (t tongue) day(at time.Time) string {
	if t.lang == German {
		return at.UTC().Format("02.01.2006")
	}
	return at.UTC().Format("2006-01-02")
}

// clock is the time of day alone.
func (t tongue) clock(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format("15:04:05")
}

// number writes a number with separators of thousands.
func (t tongue) number(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	sep := ","
	if t.lang == German {
		sep = "."
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + sep + s[i:]
	}
	return sign + s
}

// size writes a number of bytes for people.
func (t tongue) size(n int64) string {
	if n < 1000 {
		return t.w("bytes", int(n))
	}
	v, unit := float64(n), "kB"
	for _, u := range []string{"kB", "MB", "GB", "TB"} {
		v, unit = v/1000, u
		if v < 999.5 {
			break
		}
	}
	s := strconv.FormatFloat(v, 'f', 1, 64)
	if t.lang == German {
		s = strings.Replace(s, ".", ",", 1)
	}
	return s + " " + unit
}

// offset writes a place in a file as people and hex editors have it; "" for the whole file.
func (t tongue) offset(n Number) string {
	if n < 0 {
		return ""
	}
	return fmt.Sprintf("%s (0x%x)", t.number(int64(n)), int64(n))
}

// and joins words: "a, b and c".
func (t tongue) and(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " " + t.w("and") + " " + list[len(list)-1]
}
