package inspect

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

var update = flag.Bool("update", false, "write the golden texts anew")

// vectorNames are the names under which the vectors of package dovecot are looked at.
var vectorNames = map[string]string{
	"index": "dovecot.index", "log": "dovecot.index.log", "cache": "dovecot.index.cache", "dbox": "m.1", "uidlist": "dovecot-uidlist",
	"keywords": "dovecot-keywords", "subscriptions": "subscriptions", "mailboxlog": "dovecot.mailbox.log",
}

// vector reads a vector of package dovecot: its bytes, and the faults that are in them.
func vector(t testing.TB, format, damage string) (data []byte, faults []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "dovecot", "testdata", format, damage+".vec"))
	if err != nil {
		t.Fatal(err)
	}
	head, data, _ := bytes.Cut(b, []byte("\n\n"))
	for _, line := range strings.Split(string(head), "\n") {
		if f, ok := strings.CutPrefix(line, "fault: "); ok {
			faults = append(faults, f)
		}
	}
	return data, faults
}

func vectors(t testing.TB, format string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "dovecot", "testdata", format, "*.vec"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: no vectors: %v", format, err)
	}
	var out []string
	for _, p := range paths {
		out = append(out, strings.TrimSuffix(filepath.Base(p), ".vec"))
	}
	return out
}

func TestEveryVectorIsDumpedWithItsFaults(t *testing.T) {
	for format, name := range vectorNames {
		for _, damage := range vectors(t, format) {
			data, want := vector(t, format, damage)
			all, text, res := dumped(t, fstest.MapFS{name: {Data: data}}, name, Options{})
			var got []string
			for _, f := range all[0].list("faults") {
				got = append(got, fmt.Sprintf("0x%x %s", f.num("offset"), f.str("rule")))
				if !strings.Contains(text, fmt.Sprintf("at %d: %s: ", f.num("offset"), f.str("rule"))) {
					t.Errorf("%s/%s: the text does not tell %s", format, damage, f.str("rule"))
				}
			}
			// A cache's records are looked into here, its reader does so when it is asked.
			if format == "cache" {
				got = slices.DeleteFunc(got, func(f string) bool { return strings.HasSuffix(f, " cache-record") })
			}
			if d := differences(got, want); d != "" {
				t.Errorf("%s/%s: %s", format, damage, d)
			}
			if res.Known != 1 || res.Unreadable != 0 {
				t.Errorf("%s/%s: %+v", format, damage, res)
			}
			summary, _, sum := dumped(t, fstest.MapFS{name: {Data: data}}, name, Options{Summary: true})
			if sum != res || rules(summary[0]) != rules(all[0]) || summary[0].list(all[0].str("kind"), "records") != nil {
				t.Errorf("%s/%s: the summary tells something else: %+v, %+v", format, damage, sum, res)
			}
		}
	}
}

func TestTextOfVectorsIsAsRecorded(t *testing.T) {
	for _, v := range [][2]string{
		{"index", "whole"}, {"index", "cut-half"}, {"index", "header-size"}, {"index", "record-uid-huge"}, {"log", "whole"}, {"log", "noise-middle"}, {"log", "marked-corrupted"},
		{"cache", "whole"}, {"cache", "noise-three-quarters"}, {"dbox", "whole"}, {"dbox", "header-magic"}, {"dbox", "post-magic"},
		{"uidlist", "whole"}, {"uidlist", "bad-line"}, {"keywords", "whole"}, {"subscriptions", "header"}, {"mailboxlog", "byte-lost"},
	} {
		format, damage := v[0], v[1]
		data, _ := vector(t, format, damage)
		name := vectorNames[format]
		_, text, _ := dumped(t, fstest.MapFS{name: {Data: data}}, name, Options{})
		golden := filepath.Join("testdata", format+"-"+damage+".golden")
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if d := differences(strings.Split(text, "\n"), strings.Split(string(want), "\n")); d != "" {
			t.Errorf("%s: %s", golden, d)
		}
	}
}

// TestFactsHaveTheNamesOfTheVocabulary looks at the facts in dumps of all vectors, of a list index and of what is rare.
func TestFactsHaveTheNamesOfTheVocabulary(t *testing.T) {
	known := Vocabulary()
	seen := map[string]map[string]bool{}
	note := func(of string, o object, also ...string) {
		for name := range o {
			ok := slices.Contains(known[of], name)
			for _, a := range also {
				ok = ok || slices.Contains(known[a], name)
			}
			if !ok {
				t.Errorf("%s: %q is not in the vocabulary", of, name)
			}
			if seen[of] == nil {
				seen[of] = map[string]bool{}
			}
			seen[of][name] = true
		}
	}
	look := func(o object) {
		for _, kind := range []string{"index", "state"} {
			for _, e := range o.list(kind, "extensions") {
				note(OfExtensionHeader, e.object("header"))
				for _, n := range e.list("header", "names") {
					note(OfListName, n)
				}
				for _, m := range e.list("header", "mailboxes") {
					note(OfVirtualMailbox, m)
				}
			}
			for _, r := range o.list(kind, "records") {
				for _, v := range r.list("values") {
					note(OfExtensionValue, v)
				}
			}
		}
		for _, r := range o.list("log", "records") {
			for _, e := range r.list("entries") {
				note(OfLogEntry, e, OfExtensionHeader, OfExtensionValue)
			}
		}
		for _, r := range o.list("cache", "records") {
			for _, v := range r.list("values") {
				note(OfCacheValue, v)
				for _, p := range v.list("parts") {
					note(OfMIMEPart, p)
				}
			}
		}
	}
	for format, name := range vectorNames {
		for _, damage := range vectors(t, format) {
			data, _ := vector(t, format, damage)
			all, _, _ := dumped(t, fstest.MapFS{name: {Data: data}}, name, Options{})
			for _, o := range all {
				look(o)
			}
		}
	}
	all, _, _ := dumped(t, rareFiles(), ".", Options{})
	for _, o := range all {
		look(o)
	}
	for of, names := range known {
		for _, n := range names {
			if !seen[of][n] && of != OfExtensionHeader && of != OfExtensionValue {
				t.Errorf("%s: nothing was seen of %q; seen: %v", of, n, slices.Sorted(maps.Keys(seen[of])))
			}
		}
	}
}
