package rubygem

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// What gem 3.3 writes, without the fields that are not read.
const newSpecification = `--- !ruby/object:Gem::Specification
name: acme_gem
version: !ruby/object:Gem::Version
  version: 1.0
platform: ruby
authors:
- Ann
- Ben
autorequire:
date: 2026-11-30 00:00:00.000000000 Z
dependencies:
- !ruby/object:Gem::Dependency
  name: acme_dep
  requirement: !ruby/object:Gem::Requirement
    requirements:
    - - ">="
      - !ruby/object:Gem::Version
        version: '0.1'
    - - "<"
      - !ruby/object:Gem::Version
        version: '3'
  type: :runtime
  prerelease: false
- !ruby/object:Gem::Dependency
  name: rake
  requirement: !ruby/object:Gem::Requirement
    requirements:
    - - "~>"
      - !ruby/object:Gem::Version
        version: '13'
  type: :development
description: |-
  Two
  lines: ünïcode
files:
- lib/acme_gem.rb
homepage: https://acme.example
licenses:
- MIT
metadata:
  source_code_uri: https://git.example/acme
required_ruby_version: !ruby/object:Gem::Requirement
  requirements:
  - - ">="
    - !ruby/object:Gem::Version
      version: '2.5'
required_rubygems_version: !ruby/object:Gem::Requirement
  requirements:
  - - ">="
    - !ruby/object:Gem::Version
      version: '0'
rubygems_version: 3.3.15
summary: 'a gem: with colon'
`

// What RubyGems 1 wrote: anchors, a platform that is an object, one author, and
// version_requirements.
const oldSpecification = `--- !ruby/object:Gem::Specification
name: old
version: &id001 !ruby/object:Gem::Version
  version: "0.9.2"
platform: !ruby/object:Gem::Platform
  cpu: x86
  os: mswin32
  version: 60
author: Ann
license: Ruby
dependencies:
- !ruby/object:Gem::Dependency
  name: dep
  prerelease: false
  requirement: &id002 !ruby/object:Gem::Requirement
    none: false
    requirements:
    - - "="
      - *id001
  type: :runtime
  version_requirements: *id002
- !ruby/object:Gem::Dependency
  name: older
  version_requirement:
  version_requirements: !ruby/object:Gem::Requirement
    requirements:
    - - ">"
      - !ruby/object:Gem::Version
        version: 0.0.0
    version:
required_ruby_version: *id002
summary: >-
  folded
  text
`

func TestParseSpecification(t *testing.T) {
	for text, want := range map[string]string{
		newSpecification: `{"name":"acme_gem","version":"1.0","platform":"ruby","date":"2026-11-30","summary":"a gem: with colon","description":"Two\nlines: ünïcode","homepage":"https://acme.example","authors":["Ann","Ben"],"licenses":["MIT"],` +
			`"ruby":[[">=","2.5"]],"rubygems":[[">=","0"]],"dependencies":[{"name":"acme_dep","requirement":[[">=","0.1"],["<","3"]]},{"name":"rake","requirement":[["~>","13"]],"development":true}],` +
			`"metadata":{"source_code_uri":"https://git.example/acme"},"extensions":false,"rubygems_version":"3.3.15"}`,
		oldSpecification: `{"name":"old","version":"0.9.2","platform":"x86-mswin32-60","date":"1980-01-02","summary":"folded text","authors":["Ann"],"licenses":["Ruby"],` +
			`"ruby":[["=","0.9.2"]],"dependencies":[{"name":"dep","requirement":[["=","0.9.2"]]},{"name":"older","requirement":[[">","0.0.0"]]}],"extensions":false}`,
	} {
		g, err := ParseSpecification([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(g); err != nil || strings.TrimSpace(b.String()) != want {
			t.Errorf("specification\n%s, want\n%s", b.String(), want)
		}
	}
}

func TestParseSpecification_Refused(t *testing.T) {
	spec := func(name, version, more string) string {
		return "name: " + name + "\nversion: !ruby/object:Gem::Version\n  version: " + version + "\n" + more
	}
	for name, c := range map[string]struct{ text, reason string }{
		"empty":               {"", "not one YAML document"},
		"not YAML":            {"a: [b\n- c: }", "not YAML"},
		"not UTF-8":           {"name: \xff", "not UTF-8"},
		"no name":             {"a: b", "cannot name a gem"},
		"name of a path":      {spec("../x", "1.0", ""), "cannot name a gem"},
		"two lines":           {spec(`"a\nb"`, "1.0", ""), "cannot name a gem"},
		"no version":          {"name: a", "is not a version"},
		"version with a dash": {spec("a", "1.0-1", ""), "is not a version"},
		"platform":            {spec("a", "1.0", `platform: "x y"`), "is not a platform"},
		"dependency":          {spec("a", "1.0", "dependencies:\n- name: 'a,b'\n"), "cannot name a dependency"},
		"operator":            {spec("a", "1.0", "required_ruby_version:\n  requirements:\n  - - '|'\n    - version: '1'\n"), "not an operator"},
		"constraint":          {spec("a", "1.0", "required_ruby_version:\n  requirements:\n  - - '>='\n    - version: '1,x'\n"), "not an operator"},
		"too large":           {spec("a", "1.0", "x: "+strings.Repeat("x", maxYAML)), "larger than 2 MiB"},
		"nested":              {strings.Repeat("[", 1<<20), "nested too deeply"},
		"nested dashes":       {strings.Repeat("- ", 1<<19) + "x", "nested too deeply"},
		"two documents":       {"--- a\n--- b\n", "not one YAML document"},
		"values":              {"x:\n" + strings.Repeat("- a\n", maxMarks), "more than 100000 values"},
		"comments":            {strings.Repeat("#\n\n", maxHash+1), "more than 5000 comments"},
		"repeated text":       {spec("a", "1.0", "x: &x "+strings.Repeat("x", 1000)+"\nauthors: ["+strings.Repeat("*x,", 2000)+"]\n"), "larger than 1 MiB together"},
		"alias of itself":     {"name: &a [*a]\nversion: *a", "cannot name a gem"},
	} {
		if _, err := ParseSpecification([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: error %v, want %q", name, err, c.reason)
		}
	}
}

// slowSpecifications are texts of about size bytes on which parsers of YAML take more than
// linear time. With another parser, 100 kB of blank lines or dashes took many seconds.
func slowSpecifications(size int) map[string]string {
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	var deep, keys strings.Builder
	for i := range 500 {
		deep.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	for i := range min(size/12, maxMarks) {
		fmt.Fprintf(&keys, "  k%d: v\n", i)
	}
	return map[string]string{
		"blank lines":    "description: |\n" + fill("\n") + "  end\n",
		"dashes":         fill("- ") + "x\n",
		"brackets":       fill("["),
		"open lists":     strings.Repeat("[\n", maxOpen) + fill("a,\n"),
		"documents":      fill("--- a\n...\n"),
		"keys":           "metadata:\n" + keys.String(),
		"comments":       deep.String() + strings.Repeat("  #\n\n #\n", min(size/9, maxHash/2)),
		"quotation mark": `description: "` + fill("b "),
		// Each dependency is the same map of many keys, of which some are asked for.
		"aliases": "x: &x\n" + keys.String() + "dependencies: [" + strings.Repeat("*x,", min(size/3, maxEntries)) + "]\n",
	}
}

func TestParseSpecification_ManyFiles(t *testing.T) {
	text := newSpecification + "files:\n" + strings.Repeat("- lib/acme/a-file/of/many.rb\n", 40_000)
	if _, err := ParseSpecification([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func TestParseSpecification_Linear(t *testing.T) {
	for name, text := range slowSpecifications(1 << 20) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = ParseSpecification([]byte(text))
		}()
		select {
		case <-done:
		case <-time.After(2 * time.Minute): // it takes a second, and with the race detector on a busy machine ten
			t.Fatalf("%s: %d bytes are not parsed within two minutes", name, len(text))
		}
	}
}

func FuzzParseSpecification(f *testing.F) {
	f.Add([]byte(newSpecification))
	f.Add([]byte(oldSpecification))
	f.Add([]byte("name: a\nversion: 1\n"))
	for _, text := range slowSpecifications(32 << 10) {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		// A parser that never returns is reported too, with its input.
		slow := time.AfterFunc(20*time.Second, func() { panic("the specification is not parsed within 20 seconds") })
		g, err := ParseSpecification(raw)
		slow.Stop()
		if err != nil {
			return
		}
		if strings.ContainsAny(g.FullName(), "\n/ ,|:") {
			t.Fatalf("accepted %q", g.FullName())
		}
		if _, err := json.Marshal(g); err != nil {
			t.Fatal(err)
		}
		g.Describe()
	})
}
