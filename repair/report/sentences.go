package report

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// sentence is an English text of another package, with {} for what varies in it and {#} for a number, and the same in German with {1}, {2}, …
type sentence struct{ en, de string }

// form is a sentence ready to be compared with.
type form struct {
	re    *regexp.Regexp
	de    string
	lead  string // what a text has to begin with
	fixed int    // length of what does not vary
}

// forms gives all sentences, those with the most fixed letters first: the most telling one that fits is taken.
var forms = sync.OnceValue(func() []form {
	var all []form
	for _, s := range slices.Concat(findingSentences, runSentences, phrases) {
		lead, _, _ := strings.Cut(s.en, "{")
		fixed := strings.NewReplacer("{}", "", "{#}", "").Replace(s.en)
		re := strings.NewReplacer(`\{\}`, `(.*?)`, `\{#\}`, `(\d+)`).Replace(regexp.QuoteMeta(s.en))
		f := form{re: regexp.MustCompile(`^(?s)` + re + `$`), de: s.de, lead: lead, fixed: len(fixed)}
		all = append(all, f)
	}
	slices.SortStableFunc(all, func(a, b form) int { return b.fixed - a.fixed })
	return all
})

// maxDepth bounds how deep sentences are looked for within sentences.
const maxDepth = 6

// translate gives a text in German, with everything in it that is known. ok is false where it is not known: then it is given as it
// is.
func translate(text string) (german string, ok bool) { return translateIn(text, 0) }

func translateIn(text string, depth int) (string, bool) {
	if text == "" || depth > maxDepth {
		return text, text == ""
	}
	for _, f := range forms() {
		if !strings.HasPrefix(text, f.lead) {
			continue
		}
		m := f.re.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		out := f.de
		for i := len(m) - 1; i >= 1; i-- {
			out = strings.ReplaceAll(out, "{"+string(rune('0'+i))+"}", part(m[i], depth+1))
		}
		return out, true
	}
	return text, false
}

// part gives what varies in a sentence in German as far as it is a sentence, or a list of such, itself.
func part(text string, depth int) string {
	if german, ok := translateIn(text, depth); ok {
		return german
	}
	for _, sep := range []string{"; ", ", ", ","} {
		if !strings.Contains(text, sep) {
			continue
		}
		list := strings.Split(text, sep)
		any := false
		for i, s := range list {
			german, ok := translateIn(s, depth)
			list[i], any = german, any || ok
		}
		if any {
			return strings.Join(list, strings.TrimSpace(sep)+" ")
		}
	}
	return text
}
