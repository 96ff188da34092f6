package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

// release is the version's name; the linker may set it (-X main.release=1.2.3).
var release = ""

type versionDocument struct {
	envelope
	Version string `json:"version"`
	Go      string `json:"go"`
	System  string `json:"system"`
}

func (p *program) version() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the version",
		Flags: []cli.Flag{toggle("Output", "json", "one JSON document on standard output")},
		Action: p.verb("version", func(k *call) error {
			d := &versionDocument{Version: versionText(), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
			k.doc = d
			fmt.Fprintf(k.out(), "dovemend %s (%s, %s)\n", d.Version, d.Go, d.System)
			return nil
		}),
	}
}

// versionText is the release, or what the build says of itself.
func versionText() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			revision = "-" + s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+changes"
		}
	}
	return "devel" + revision + changed
}
