package report

import (
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"dovemend/repair/plan"
	"dovemend/repair/store"
)

var verb = regexp.MustCompile(`%(\[\d+\])?[sd]`)

// TestBothLanguagesHaveEveryWord compares what is to be put into the words, too.
func TestBothLanguagesHaveEveryWord(t *testing.T) {
	for _, key := range slices.Sorted(maps.Keys(words)) {
		pair := words[key]
		args := func(s string) string {
			one, many, plural := strings.Cut(s, "|")
			if plural && len(slices.Compact(slices.Sorted(slices.Values(verb.FindAllString(one, -1))))) != len(slices.Compact(slices.Sorted(slices.Values(verb.FindAllString(many, -1))))) {
				t.Errorf("%s: one and many take different things: %q", key, s)
			}
			all := verb.FindAllString(many+one, -1)
			slices.Sort(all)
			return fmt.Sprint(slices.Compact(all), plural)
		}
		switch {
		case pair[0] == "" || pair[1] == "":
			t.Errorf("%s lacks a language: %q", key, pair)
		case args(pair[0]) != args(pair[1]):
			t.Errorf("%s takes other things in German: %q", key, pair)
		}
	}
}

// sources gives the sources of a package, without its tests.
func sources(t *testing.T, dir string) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		t.Fatalf("no sources in %s", dir)
	}
	return files
}

// literal is the value of a string literal, or of several with "+" between.
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == gotoken.STRING
	case *ast.BinaryExpr:
		a, aok := literal(e.X)
		b, bok := literal(e.Y)
		return a + b, aok && bok
	}
	return "", false
}

// TestEveryWordIsThereAndUsed goes through the sources and the page: a key that is asked for is in the catalogue, and none is in it
// that nobody asks for. Keys made of a set and a machine word ("severity.broken") are asked for by the set.
func TestEveryWordIsThereAndUsed(t *testing.T) {
	used := map[string]bool{}
	for _, f := range sources(t, ".") {
		ast.Inspect(f, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok {
				if s, ok := literal(e); ok {
					used[s] = true
				}
			}
			return true
		})
		ast.Inspect(f, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok || len(c.Args) == 0 {
				return true
			}
			if sel, ok := c.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "w" {
				if s, ok := literal(c.Args[0]); ok && !has(s) {
					t.Errorf("words for %q are asked for, and not there", s)
				}
			}
			return true
		})
	}
	html, err := os.ReadFile("page.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\bt "([^"]+)"`).FindAllStringSubmatch(string(html), -1) {
		used[m[1]] = true
		if !has(m[1]) {
			t.Errorf("page.html asks for words for %q, which are not there", m[1])
		}
	}
	sets := []string{"severity.", "layout.", "whose.", "what.", "remedy.", "kind.", "imap.", "copy.", "event.", "v.", "next."}
	for key := range words {
		inSet := slices.ContainsFunc(sets, func(s string) bool { return strings.HasPrefix(key, s) })
		if !used[key] && !inSet {
			t.Errorf("nobody asks for the words for %q", key)
		}
	}
	for state := range tones {
		if !has("v." + state) {
			t.Errorf("the state %q has no words", state)
		}
	}
}

// fragments are string literals of package check that are no sentences by themselves: what is put around or into others.
var fragments = map[string]bool{
	" is damaged ": true, "(": true, " (up to: ": true, ", ": true, ": ": true,
	", the list of this mailbox's messages,": true, ", in which Dovecot notes the latest changes,": true, ", which holds earlier changes,": true,
	", an older state of the list of messages,": true, ", which gives each message its number,": true, ", which holds the names of labels,": true,
	"; and %s in this file": true, "; so it is with %s": true, ": Dovecot has made the list anew, and empty": true,
	"the list of mailboxes is damaged ": true, "this file of the storage is damaged ": true, "dovecot.index.cache is damaged ": true,
	"the map index, which tells where in storage/ each message is, is damaged ": true, "the head of this file of the storage is damaged ": true,
	"%s no longer shown": true, "flags of %s lost": true, "labels of %s lost": true, "%s downloaded anew by mail programs": true,
	" was written on a computer with another byte order, or is damaged ": true, " was written by a newer version of Dovecot, or is damaged ": true,
	"subscriptions, the list of the mailboxes that mail programs are to show, is damaged ":                         true,
	"this file, in which Dovecot notes deleted and renamed mailboxes for its copies on other servers, is damaged ": true,
	"the folder of a mailbox that the account's list of mailboxes names does not exist: ":                          true,
	"the folders of mailboxes that the account's list of mailboxes names do not exist: ":                           true,
	"; the list counts %s there": true, "; so it is with ": true, "%q is %s": true, "and %d more": true,
	" ": true, "1 ": true, "%d %s": true,
}

var format = regexp.MustCompile(`%(04o|[sdqvw])`)

// filled makes an example of a format string.
func filled(s string) string {
	return format.ReplaceAllStringFunc(s, func(v string) string {
		if v == "%s" {
			return "45 messages"
		}
		return "45"
	})
}

// TestEveryTextOfCheckHasGerman takes every sentence that stands in the sources of package check, and every rule with it.
func TestEveryTextOfCheckHasGerman(t *testing.T) {
	n := 0
	for _, f := range sources(t, "../check") {
		var inside func(n ast.Node) bool
		look := func(s string) {
			if fragments[s] || strings.Count(s, " ") < 1 || strings.Contains(s, "%w") {
				return
			}
			n++
			if german, ok := translate(filled(s)); !ok {
				t.Errorf("no German for %q", s)
			} else if strings.Contains(german, "{") {
				t.Errorf("%q becomes %q", s, german)
			}
		}
		inside = func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ImportSpec:
				return false
			case *ast.BinaryExpr:
				if s, ok := literal(n); ok { // a sentence in several pieces
					look(s)
					return false
				}
			case *ast.CallExpr:
				if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Errorf" {
					return false // for who runs the program, not in a finding
				}
				if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "plural" {
					return false // parts of phrases, which are looked at in sentences
				}
			case *ast.Field:
				return false // struct tags
			case *ast.BasicLit:
				if s, ok := literal(n); ok {
					look(s)
				}
			}
			return true
		}
		ast.Inspect(f, inside)
	}
	if n < 100 {
		t.Errorf("only %d sentences were looked at", n)
	}
}

func TestSentencesWithinSentencesAreTranslatedToo(t *testing.T) {
	for _, c := range [][2]string{
		{"dovecot.index, the list of this mailbox's messages, is damaged (major version is 178, not 7; and 4 more faults in this file)",
			"dovecot.index, das Verzeichnis der Nachrichten dieses Postfachs, ist beschädigt (major version is 178, not 7; und 4 weitere Fehler in dieser Datei)"},
		{"the mailbox opens without an error and shows nothing, or only new mail (up to: 1 message no longer shown, flags of 45 messages lost)",
			"das Postfach öffnet sich ohne Fehler und zeigt nichts oder nur neue Mail (höchstens: 1 Nachricht nicht mehr sichtbar, Markierungen von 45 Nachrichten verloren)"},
		{"message 7 is damaged (header-lost,body-cut)", "Nachricht 7 ist beschädigt (Kopf verloren, Text abgeschnitten)"},
		{"the flags of 45 messages", "die Markierungen von 45 Nachrichten"},
	} {
		if got, ok := translate(c[0]); !ok || got != c[1] {
			t.Errorf("%q: got %q, want %q", c[0], got, c[1])
		}
	}
	if got, ok := translate("nobody knows this sentence with 45 messages"); ok || got != "nobody knows this sentence with 45 messages" {
		t.Errorf("what is not known becomes %q", got)
	}
}

// TestEveryClassOfAnswersHasGerman reads the classes from the sources of package imap.
func TestEveryClassOfAnswersHasGerman(t *testing.T) {
	n := 0
	for _, f := range sources(t, "../../remote/imap") {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != gotoken.CONST {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				if id, ok := v.Type.(*ast.Ident); !ok || id.Name != "Class" {
					continue
				}
				for _, e := range v.Values {
					class, ok := literal(e)
					if n++; !ok || germanClasses[class].means == "" || germanClasses[class].next == "" {
						t.Errorf("class %q has no German", class)
					}
				}
			}
		}
	}
	if n < 30 {
		t.Errorf("only %d classes were found", n)
	}
}

// TestEveryReasonOfAStepHasGerman takes what stands as Why in plans and rebuilds.
func TestEveryReasonOfAStepHasGerman(t *testing.T) {
	n := 0
	for _, f := range slices.Concat(sources(t, "../plan"), sources(t, "../rebuild")) {
		ast.Inspect(f, func(node ast.Node) bool {
			c, ok := node.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if id, ok := c.Type.(*ast.Ident); !ok || id.Name != "Step" && id.Name != "TakeOut" && id.Name != "NewFile" && id.Name != "Move" {
				return true
			}
			for _, e := range c.Elts {
				kv, ok := e.(*ast.KeyValueExpr)
				if !ok || kv.Key.(*ast.Ident).Name != "Why" {
					continue
				}
				if s, ok := literal(kv.Value); ok {
					n++
					if _, ok := translate(filled(s)); !ok {
						t.Errorf("no German for %q", s)
					}
				}
			}
			return true
		})
	}
	if n < 15 {
		t.Errorf("only %d reasons were looked at", n)
	}
}

// TestEveryCostHasGerman takes what each remedy costs, each way it can be told.
func TestEveryCostHasGerman(t *testing.T) {
	f := plan.Facts{Mailbox: "INBOX", Messages: 9, Flagged: 4, Keyworded: 3, Unreadable: 2,
		AfterDropIndex: plan.Afterwards{Messages: 7, LosesFlags: 4, LosesKeywords: 3, LosesUIDs: 7}}
	n := 0
	for _, r := range []plan.Remedy{plan.DropCache, plan.Rebuild, plan.DropIndex, plan.Clear, plan.Evacuate} {
		for _, l := range []store.Layout{store.MDBox, store.SDBox, store.Maildir} {
			for _, c := range plan.Costs(r, l, f) {
				n++
				if german, ok := translate(c.Text); !ok || strings.Contains(german, " and ") {
					t.Errorf("%s: no German for %q: %q", r, c.Text, german)
				}
			}
		}
	}
	if n < 10 {
		t.Errorf("only %d costs were looked at", n)
	}
}
