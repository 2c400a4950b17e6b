package upstreamconfig

import (
	"encoding/xml"
	"errors"
	"slices"
	"strings"
)

// maven looks for a mirror of a repository, by its usual id, in the settings of the user
// and of the machine (Maven's guide to mirror settings).
func maven(id string) func(Environment) (address, error) {
	return func(e Environment) (address, error) {
		paths := []string{e.home(".m2", "settings.xml")}
		for _, name := range []string{"MAVEN_HOME", "M2_HOME"} {
			if dir := e.Getenv(name); dir != "" {
				paths = append(paths, dir+"/conf/settings.xml")
			}
		}
		return e.first("mvn", func(text string) (string, error) { return mavenMirror(text, id) },
			append(paths, e.system("etc/maven/settings.xml"))...)
	}
}

// mavenMirror returns the address of the mirror for a repository: one that names it, or
// the first whose pattern has it.
func mavenMirror(text, id string) (string, error) {
	var file struct {
		Mirrors []struct {
			MirrorOf string `xml:"mirrorOf"`
			URL      string `xml:"url"`
			Blocked  bool   `xml:"blocked"`
			Layouts  string `xml:"mirrorOfLayouts"`
		} `xml:"mirrors>mirror"`
	}
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict = true
	if err := d.Decode(&file); err != nil {
		return "", errors.New("it is not XML")
	}
	for _, exact := range []bool{true, false} {
		for _, m := range file.Mirrors {
			of := strings.TrimSpace(m.MirrorOf)
			if !m.Blocked && (exact && of == id || !exact && mirrors(of, id)) {
				return strings.TrimSpace(m.URL), nil
			}
		}
	}
	return "", nil
}

// mirrors reports whether a pattern has a repository that is not on this machine.
func mirrors(pattern, id string) bool {
	var all []string
	for p := range strings.SplitSeq(pattern, ",") {
		all = append(all, strings.TrimSpace(p))
	}
	if slices.Contains(all, "!"+id) {
		return false
	}
	return slices.ContainsFunc([]string{"*", "external:*", id}, func(p string) bool { return slices.Contains(all, p) })
}
