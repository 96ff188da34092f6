package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// texts gives the README and all of docs, by name.
func texts(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(names) == 0 {
		t.Fatalf("no docs: %v", err)
	}
	out := map[string]string{}
	for _, n := range append(names, "../../README.md") {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(n)] = string(b)
	}
	return out
}

func TestDocsNameOnlyVerbsAndFlagsThatExist(t *testing.T) {
	var p program
	flags := []string{"--help"}
	var verbs []string
	for _, v := range p.verbs() {
		verbs = append(verbs, v.Name)
		for _, f := range v.Flags {
			flags = append(flags, "--"+f.Names()[0])
		}
	}
	others := map[string]string{"design.md --dry-run": "what there is not", "watch.md --user": "of systemctl", "watch.md --failed": "of systemctl"}
	code := regexp.MustCompile("(?m)`[^`\n]+`|^ {2,}[^\n]+$")
	flag := regexp.MustCompile(`(?:^|[ (\x60])(--[a-z][a-z-]*)`)
	call := regexp.MustCompile(`\bdovemend ([a-z]+)\b`)
	for name, text := range texts(t) {
		for _, m := range flag.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(flags, m[1]) && others[name+" "+m[1]] == "" {
				t.Errorf("%s names the flag %s, which no verb has", name, m[1])
			}
		}
		for _, c := range code.FindAllString(text, -1) {
			for _, m := range call.FindAllStringSubmatch(c, -1) {
				if !slices.Contains(verbs, m[1]) && strings.HasPrefix(strings.Trim(c, "` $"), "dovemend") {
					t.Errorf("%s names the verb %s, which there is not: %s", name, m[1], c)
				}
			}
		}
	}
	readme := texts(t)["README.md"]
	for _, v := range verbs {
		if !strings.Contains(readme, "`"+v+"`") {
			t.Errorf("README does not name the verb %s", v)
		}
	}
}

func TestDocsTellTheExitCodesAlike(t *testing.T) {
	all := texts(t)
	for _, e := range manExits {
		row := regexp.MustCompile(`(?m)^\| ` + e[0] + ` \| `)
		for _, name := range []string{"README.md", "scripting.md"} {
			if !row.MatchString(all[name]) {
				t.Errorf("%s does not tell exit code %s (%s)", name, e[0], e[1])
			}
		}
		if e[0] != "0" && !strings.Contains(strings.ReplaceAll(helpTail, "\n", " "), "; "+e[0]+" ") {
			t.Errorf("--help does not tell exit code %s", e[0])
		}
	}
}

func TestLinksBetweenTheDocsLead(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	for name, text := range texts(t) {
		dir := "../../docs"
		if name == "README.md" {
			dir = "../.."
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(m[1], "..") && name == "README.md" || strings.HasPrefix(m[1], "../..") {
				t.Errorf("%s links to %s, outside the project", name, m[1])
			}
			if _, err := os.Stat(filepath.Join(dir, m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			}
		}
	}
}
