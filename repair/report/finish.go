package report

import (
	"reflect"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Options say how a report is to be.
type Options struct {
	Language string   // English or German
	Redact   bool     // take out what names people: see [Report.Redact]
	Secrets  []string // never to be in it, whatever text of the host holds them: passwords, addresses to ping
	Local    []string // folders of this computer that name its user: taken out with Redact
}

// Finish makes a report that was collected ready to be written: texts in the language asked for, what is not to be in it taken
// out, everything safe to print, and the verdict and the letter written.
func (r *Report) Finish(o Options) {
	t := tongue{o.Language}
	r.Version, r.Language, r.Redacted = 1, o.Language, o.Redact
	eachText(r, func(_ string, s string) string { return printable(withoutSecrets(s, o.Secrets)) })
	if o.Language == German {
		r.localize()
	}
	if o.Redact {
		r.redact(o.Local)
	}
	r.judge(t)
	r.write(t)
	fill(reflect.ValueOf(r).Elem())
}

// localize puts the texts of other packages into German, as far as they are known.
func (r *Report) localize() {
	de := func(s *string) { *s, _ = translate(*s) }
	all := func(list []string) {
		for i := range list {
			de(&list[i])
		}
	}
	all(r.Notes)
	for i := range r.Answers {
		r.Answers[i].inGerman()
	}
	for i := range r.Runs {
		run := &r.Runs[i]
		de(&run.Error)
		for j := range run.Findings {
			f := &run.Findings[j]
			de(&f.Text)
			de(&f.Effect)
			de(&f.Advice)
		}
		all(run.Costs)
		all(run.Planned)
		for j := range run.Done {
			de(&run.Done[j].Why)
		}
		for j := range run.Timeline {
			de(&run.Timeline[j].Text)
		}
		for j := range run.Replies {
			run.Replies[j].inGerman()
		}
		if v := run.Verification; v != nil {
			de(&v.IMAPNot)
			all(v.Files)
			all(v.FileNotes)
			for j := range v.Boxes {
				all(v.Boxes[j].Problems)
				all(v.Boxes[j].Notes)
			}
		}
	}
}

var namedUID = regexp.MustCompile(`UID (\d+)`)

// inGerman explains an answer by its class: what the server itself said stays as it is.
func (r *Reply) inGerman() {
	m, ok := germanClasses[r.Class]
	if !ok || r.Meaning == "" || r.Class == "other" && r.Whose == "none" {
		return
	}
	t := tongue{German}
	uid := namedUID.FindStringSubmatch(r.Meaning)
	r.Meaning, r.Next = m.means, m.next
	if uid != nil {
		r.Meaning += " " + t.w("reply.uid", uid[1])
	}
	if r.Limit > 0 {
		r.Meaning += " " + t.w("reply.limit", r.Limit)
	}
}

// eachText hands every text of a report to change, with what its tag redact says of it.
func eachText(r *Report, change func(kind, text string) string) {
	walk(reflect.ValueOf(r).Elem(), "", change)
}

func walk(v reflect.Value, kind string, change func(kind, text string) string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(change(kind, v.String()))
	case reflect.Pointer:
		if !v.IsNil() {
			walk(v.Elem(), kind, change)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), kind, change)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				walk(v.Field(i), f.Tag.Get("redact"), change)
			}
		}
	}
}

// fill makes lists that are nil empty, so that JSON has a list wherever one is documented.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fill(v.Elem())
		}
	case reflect.Slice:
		if v.IsNil() && v.CanSet() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Struct:
		if v.Type().PkgPath() == "time" {
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
}

// maxText bounds one text of a report, in bytes.
const maxText = 4096

// printable makes a text fit to print on one line: control characters, and what turns the direction of writing or is invisible,
// become U+FFFD.
func printable(s string) string {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	ok := func(c rune) bool { return unicode.IsPrint(c) && c != '\uFEFF' }
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return !ok(c) }) {
		return s
	}
	return strings.Map(func(c rune) rune {
		if ok(c) {
			return c
		}
		return utf8.RuneError
	}, s)
}

var (
	privateKey = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)`)
	webAddress = regexp.MustCompile(`(?i)\b(https?://)(?:[^/@\s]*@)?([^/?#\s"'<>()]+)[^\s"'<>()]*`)
	given      = regexp.MustCompile(`(?i)\b((?:pass(?:word|phrase)?|secret|token|api[_-]?key)\s*[=:]\s*)("[^"]*"|\S+)`)
)

// withoutSecrets blanks what must not be in a report: the secrets known, private keys, passwords that a text names as such, and
// what stands behind the host in web addresses, which is often a secret itself.
func withoutSecrets(s string, secrets []string) string {
	for _, secret := range secrets {
		if len(secret) >= 3 {
			s = strings.ReplaceAll(s, secret, "***")
		}
	}
	if strings.Contains(s, "PRIVATE KEY") {
		s = privateKey.ReplaceAllString(strings.ReplaceAll(s, "\n", " "), "***")
	}
	if strings.Contains(s, "://") {
		s = webAddress.ReplaceAllString(s, "$1$2/…")
	}
	return given.ReplaceAllString(s, "$1***")
}
