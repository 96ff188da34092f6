package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

// object is a JSON object as a test looks at it.
type object map[string]any

// at follows a path of names; nil where it ends.
func (o object) at(path ...string) any {
	var v any = map[string]any(o)
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

func (o object) object(path ...string) object {
	m, _ := o.at(path...).(map[string]any)
	return m
}

func (o object) list(path ...string) []object {
	list, _ := o.at(path...).([]any)
	var out []object
	for _, e := range list {
		m, _ := e.(map[string]any)
		out = append(out, m)
	}
	return out
}

// texts is a list of strings.
func (o object) texts(path ...string) []string {
	list, _ := o.at(path...).([]any)
	var out []string
	for _, e := range list {
		out = append(out, fmt.Sprint(e))
	}
	return out
}

// str is a member as text; "" where it is not there.
func (o object) str(path ...string) string {
	if v := o.at(path...); v != nil {
		return fmt.Sprint(v)
	}
	return ""
}

// num is a member that is a number.
func (o object) num(path ...string) int64 {
	n, _ := o.at(path...).(json.Number)
	i, err := n.Int64()
	if err != nil { // beyond 63 bits
		var u uint64
		fmt.Sscan(n.String(), &u)
		return int64(u)
	}
	return i
}

// dumped inspects a name and gives what JSON and Text wrote of it. Both must be fit to print.
func dumped(t testing.TB, fsys FS, name string, o Options) ([]object, string, Result) {
	t.Helper()
	var b, text bytes.Buffer
	j := NewJSON(&b)
	res, err := Inspect(context.Background(), fsys, name, o, j)
	if err == nil {
		err = j.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(b.Bytes()))
	dec.UseNumber()
	var list []any
	if err := dec.Decode(&list); err != nil || dec.More() {
		t.Fatalf("not one JSON array: %v\n%.2000s", err, b.Bytes())
	}
	textRes, err := Inspect(context.Background(), fsys, name, o, NewText(&text))
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(textRes) != fmt.Sprint(res) {
		t.Errorf("as text: %+v, as JSON: %+v", textRes, res)
	}
	fitToPrint(t, b.String())
	fitToPrint(t, text.String())
	var out []object
	for _, e := range list {
		out = append(out, e.(map[string]any))
	}
	return out, text.String(), res
}

func fitToPrint(t testing.TB, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Error("the output is not UTF-8")
	}
	for _, r := range s {
		if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == 0x202e || r == 0xfeff {
			t.Errorf("the output holds %U", r)
			return
		}
	}
}

// tree opens a folder of this machine.
func tree(t testing.TB, dir string) FS {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return Local(root)
}

// find gives the dump of a path, of a kind.
func find(all []object, path string, kind Kind) object {
	for _, o := range all {
		if o.str("path") == path && o.str("kind") == string(kind) {
			return o
		}
	}
	return nil
}

func rules(o object) string {
	var out []string
	for _, f := range o.list("faults") {
		out = append(out, f.str("rule"))
	}
	return strings.Join(out, " ")
}

// differences compares two lists of lines and tells the first few that differ.
func differences(got, want []string) string {
	var out []string
	for i := range max(len(got), len(want)) {
		g, w := "(none)", "(none)"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			out = append(out, fmt.Sprintf("line %d\n  got  %q\n  want %q", i, g, w))
		}
		if len(out) > 4 {
			break
		}
	}
	return strings.Join(out, "\n")
}
