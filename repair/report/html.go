package report

import (
	"bytes"
	"embed"
	"html/template"
	"io"
	"reflect"
	"strings"
	"sync"
)

//go:embed page.html page.css
var page embed.FS

// pageTemplate is the page, parsed once. Everything that is put into it is escaped by html/template for the place it stands in.
var pageTemplate = sync.OnceValue(func() *template.Template {
	none := func(...any) any { return nil }
	return template.Must(template.New("page.html").Funcs(template.FuncMap{
		"t": none, "when": none, "clock": none, "size": none, "offset": none, "word": none, "what": none, "event": none, "looked": none,
		"lost": none, "copies": none, "facts": none, "number": none, "letter": none, "day": none, "breaks": none, "did": none, "said": none, "css": none,
	}).ParseFS(page, "page.html"))
})

// HTML writes the report as one page that needs nothing besides itself: no script, no font, no picture, no connection.
// [Report.Finish] comes before.
func (r *Report) HTML(w io.Writer) error {
	t := tongue{r.Language}
	clone, err := pageTemplate().Clone()
	if err != nil {
		return err
	}
	style, err := page.ReadFile("page.css")
	if err != nil {
		return err
	}
	clone.Funcs(template.FuncMap{
		"t": t.w, "when": t.when, "day": t.day, "clock": t.clock, "size": t.size, "offset": t.offset, "word": t.word, "number": func(n any) string { return t.number(reflect.ValueOf(n).Int()) },
		"what": t.what, "event": t.event, "looked": t.looked, "lost": t.lost, "copies": t.copies, "facts": t.facts,
		"letter": func(l Letter) string { return strings.Join(l.Body, "\n") },
		"breaks": breaks, "did": t.did, "said": t.said,
		"css": func() template.CSS { return template.CSS(style) }, // a file of ours
	})
	var b bytes.Buffer
	if err := clone.Execute(&b, r); err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

// breaks divides a path where a line may be broken: behind each "/".
func breaks(path string) []string { return strings.SplitAfter(path, "/") }
