package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// maxHosts is how many hosts of the ssh configuration are offered.
const maxHosts = 50

// configuredHosts gives the names in the ssh configuration that are hosts and not patterns. A configuration that cannot
// be read offers none: the connection itself reads it again, and tells.
func configuredHosts(file string) []string {
	if file == "none" {
		return nil
	}
	if file == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil
		}
		file = filepath.Join(home, ".ssh", "config")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil
	}
	cfg, err := ssh_config.Decode(bytes.NewReader(b))
	if err != nil {
		return nil
	}
	var hosts []string
	for _, h := range cfg.Hosts {
		for _, p := range h.Patterns {
			name := p.String()
			if name == "" || strings.ContainsAny(name, "*?!") || slices.Contains(hosts, name) || len(hosts) == maxHosts {
				continue
			}
			hosts = append(hosts, name)
		}
	}
	return hosts
}
