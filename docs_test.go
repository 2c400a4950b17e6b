package gatehouse_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages returns the texts of README, CONTRIBUTING and docs/ by file name.
func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, file := range append(files, "README.md", "CONTRIBUTING.md", "SECURITY.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(text)
	}
	return texts
}

// TestDocs_NamedTestsExist checks that each test a page names as its proof exists.
func TestDocs_NamedTestsExist(t *testing.T) {
	defined := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && len(path) > 1 && strings.HasPrefix(path, ".") { // .git, .tools
			return filepath.SkipDir
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range function.FindAllSubmatch(text, -1) {
			defined[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]int{}
	for page, text := range pages(t) {
		for _, m := range regexp.MustCompile("`((?:Test|Fuzz)[A-Z0-9]\\w+)`").FindAllStringSubmatch(text, -1) {
			named[page]++
			if !defined[m[1]] {
				t.Errorf("%s names the test %s, which does not exist", page, m[1])
			}
		}
	}
	// The two pages consist of claims and their tests.
	for page, least := range map[string]int{"docs/iam.md": 100, "docs/seeds.md": 18} {
		if named[page] < least {
			t.Errorf("%s names %d tests, want at least %d", page, named[page], least)
		}
	}
}

// TestDocs_NamedFilesExist checks paths of the source tree and links between pages.
func TestDocs_NamedFilesExist(t *testing.T) {
	path := regexp.MustCompile("`((?:internal|cmd|deploy|e2e|bench|docs|scripts|authtoken)(?:/[\\w.-]+)+)`")
	link := regexp.MustCompile(`\]\(([\w./-]+\.md|LICENSE|NOTICE)(?:#[\w-]+)?\)`)
	for page, text := range pages(t) {
		var files []string
		for _, m := range path.FindAllStringSubmatch(text, -1) {
			files = append(files, m[1])
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			files = append(files, filepath.Join(filepath.Dir(page), m[1]))
		}
		for _, file := range files {
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s names %s: %v", page, file, err)
			}
		}
	}
}
