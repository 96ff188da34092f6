package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// layers are the packages of the repair, each of which may import only those to its right.
var layers = []string{
	"dovemend/cmd", "dovemend/repair", "dovemend/repair/apply", "dovemend/repair/plan", "dovemend/repair/rebuild",
	"dovemend/repair/check", "dovemend/repair/salvage", "dovemend/repair/reconstruct", "dovemend/repair/snapshot", "dovemend/repair/store", "dovemend/repair/inspect",
	"dovemend/repair/dovecot",
}

// onlyUnder says which of our packages may import a library.
var onlyUnder = map[string]string{
	"golang.org/x/crypto/ssh":             "dovemend/remote",
	"github.com/pkg/sftp":                 "dovemend/remote",
	"github.com/emersion/go-imap":         "dovemend/remote",
	"github.com/urfave/cli":               "dovemend/cmd",
	"github.com/schollz/progressbar":      "dovemend/cmd",
	"charm.land/huh":                      "dovemend/cmd",
	"golang.org/x/term":                   "dovemend/cmd",
	"github.com/rogpeppe/go-internal":     "(tests)",
	"dovemend/remote/remotetest":          "dovemend/cmd",
	"dovemend/remote/remotetest/sshhost":  "dovemend/cmd",
	"dovemend/remote/remotetest/realhost": "dovemend/cmd",
}

// mayUseRemote are the packages that may know of a live host.
var mayUseRemote = []string{
	"dovemend/cmd", "dovemend/repair", "dovemend/repair/apply", "dovemend/repair/evacuate", "dovemend/repair/probe", "dovemend/repair/restore", "dovemend/repair/snapshot",
}

func TestImportsGoOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "dovemend/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		packages++
		for _, imported := range words[1:] {
			for _, wrong := range brokenRules(words[0], imported) {
				t.Errorf("%s imports %s: %s", words[0], imported, wrong)
			}
		}
	}
	if packages < 15 {
		t.Errorf("only %d packages were looked at", packages)
	}
}

func brokenRules(p, imported string) (broken []string) {
	for library, home := range onlyUnder {
		if under(imported, library) && !under(p, home) && !under(p, library) && !under(p, "dovemend/remote/remotetest") {
			broken = append(broken, "only packages under "+home+" may")
		}
	}
	if under(p, "dovemend/remote") && under(imported, "dovemend/repair") || under(p, "dovemend/remote") && under(imported, "dovemend/cmd") {
		broken = append(broken, "remote knows nothing of repair and cmd")
	}
	if under(imported, "dovemend/remote") && !under(p, "dovemend/remote") && !slices.Contains(mayUseRemote, top(p)) {
		broken = append(broken, "this package works offline, on bytes and fs.FS alone")
	}
	from, to := slices.Index(layers, top(p)), slices.Index(layers, top(imported))
	if from >= 0 && to >= 0 && to < from {
		broken = append(broken, "imports go from cmd to dovecot, never back")
	}
	return broken
}

// top is a package's layer: all under cmd is one.
func top(p string) string {
	if under(p, "dovemend/cmd") {
		return "dovemend/cmd"
	}
	return p
}

func under(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, dir+"/")
}

func TestImportRulesNoticeWhatTheyForbid(t *testing.T) {
	for _, tt := range []struct{ p, imported string }{
		{"dovemend/repair/plan", "dovemend/remote"},
		{"dovemend/repair/store", "dovemend/repair/snapshot"},
		{"dovemend/repair", "github.com/pkg/sftp"},
		{"dovemend/repair/apply", "golang.org/x/crypto/ssh/agent"},
		{"dovemend/remote", "dovemend/repair/store"},
		{"dovemend/repair", "github.com/urfave/cli/v2"},
		{"dovemend/repair", "dovemend/cmd/internal/ui"},
	} {
		if len(brokenRules(tt.p, tt.imported)) == 0 {
			t.Errorf("%s may import %s", tt.p, tt.imported)
		}
	}
}
