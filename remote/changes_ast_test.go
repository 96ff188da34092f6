package remote

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shellChange finds commands that change files. The one there is, tar, is in puttar.go.
var shellChange = regexp.MustCompile("([\"`;&|{\n] *|\\$\\()(exec )?(rm|rmdir|mv|cp|ln|install|mkdir|chmod|chown|touch|truncate|tee|dd|sed -i|tar -?x|cpio|rsync|unlink) ")

// TestOnlyChangeFilesChangeTheHost reads this package's source: the SFTP library's changing methods are called in
// change.go and put.go alone, commands that change files are in puttar.go alone, and RemoveAll and PosixRename, which remove or overwrite more than was looked at, nowhere.
func TestOnlyChangeFilesChangeTheHost(t *testing.T) {
	changing := []string{"Remove", "RemoveDirectory", "Mkdir", "MkdirAll", "Rename", "Create", "OpenFile", "Chmod", "Chown",
		"Chtimes", "Truncate", "Link", "Symlink", "SetExtendedData", "ReadFrom", "ReadFromWithConcurrency", "WriteAt", "Sync"}
	banned := []string{"RemoveAll", "PosixRename"}
	local := []string{"os", "filepath", "fs"} // packages that act on this machine
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING && shellChange.MatchString(text.Value) && !strings.HasSuffix(text.Value, `%w"`) && name != "puttar.go" {
				t.Errorf("%s: %s may change files on the host by a command", set.Position(n.Pos()), text.Value)
			}
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && slices.Contains(local, x.Name) {
				return true
			}
			switch {
			case slices.Contains(banned, sel.Sel.Name):
				t.Errorf("%s: %s is banned", set.Position(n.Pos()), sel.Sel.Name)
			case !slices.Contains(changing, sel.Sel.Name):
			case name == "change.go" || name == "put.go":
				found++
			default:
				t.Errorf("%s: %s outside change.go and put.go", set.Position(n.Pos()), sel.Sel.Name)
			}
			return true
		})
	}
	if found < 8 {
		t.Errorf("found only %d changing calls: the test looks at the wrong thing", found)
	}
}
