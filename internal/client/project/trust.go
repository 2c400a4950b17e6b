package project

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/shellquote"
)

// A Trust says which choices of a file the person agrees with.
type Trust struct {
	// Folders are the folders whose files, and files in folders below them, may choose
	// a profile and an endpoint.
	Folders []string
	// Chosen is what the person chose on the command line. It overrides the file.
	Chosen credential.AWS
	// Getenv looks up AWS_PROFILE and AWS_ENDPOINT_URL. A file that names the same
	// values chooses nothing new.
	Getenv func(string) string
}

// Check returns an error for a file that chooses what only a trusted file may.
func (t Trust) Check(p Project) error {
	if p.Path == "" || t.trusts(p.Path) {
		return nil
	}
	for i, r := range p.Repositories {
		if err := t.check(p, fmt.Sprintf("repository[%d]", i), r.Account); err != nil {
			return err
		}
	}
	for i, r := range p.Registries {
		if err := t.check(p, fmt.Sprintf("registry[%d]", i), r.Account); err != nil {
			return err
		}
	}
	return nil
}

func (t Trust) check(p Project, table string, a Account) error {
	for _, c := range []struct{ setting, value, chosen, variable string }{
		{"profile", a.Profile, t.Chosen.Profile, "AWS_PROFILE"},
		{"endpoint_url", a.EndpointURL, t.Chosen.EndpointURL, "AWS_ENDPOINT_URL"},
	} {
		if c.value == "" || c.chosen != "" || c.value == t.Getenv(c.variable) {
			continue
		}
		flag := "--" + strings.ReplaceAll(c.setting, "_", "-")
		return fmt.Errorf("%s: %sit chooses the %s %q for your credentials, and may be somebody else's: if you trust it, add --trust %s (or list the folder in GATEHOUSE_TRUST), or give %s yourself",
			p.Path, p.lines.prefix(table, c.setting), c.setting, c.value, shellquote.Quote(filepath.Dir(p.Path)), flag)
	}
	return nil
}

// trusts compares folders by their identity in the file system, so that links cannot
// deceive it.
func (t Trust) trusts(path string) bool {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	for _, folder := range t.Folders {
		if folder == "" {
			continue
		}
		for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
			if sameFolder(dir, folder) {
				return true
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return false
}
