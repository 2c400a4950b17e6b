package rubygem

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// An InfoLine is one gem in the document of the compact index about the gems of one name
// (RubyGems Guides, "Compact Index API").
type InfoLine struct {
	// Gem has what the line tells: version, platform, runtime dependencies and what it
	// requires of Ruby and RubyGems.
	Gem Gem
	// SHA256 is of the gem's file, in lower-case hex; empty if the line does not tell it.
	SHA256 string
	// Created is zero if the line does not tell it.
	Created time.Time
}

// ParseInfo reads the document about the gems of a name. Lines that cannot be read are left
// out; complete is whether there was none.
func ParseInfo(name, text string) (lines []InfoLine, complete bool) {
	complete = true
	for line := range strings.Lines(afterHeader(text)) {
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			continue
		}
		parsed, err := parseInfoLine(name, line)
		if err != nil {
			complete = false
			continue
		}
		lines = append(lines, parsed)
	}
	return lines, complete
}

// afterHeader returns what follows the line "---", as Bundler does.
func afterHeader(text string) string {
	if rest, ok := strings.CutPrefix(text, "---\n"); ok {
		return rest
	}
	if _, rest, ok := strings.Cut(text, "\n---\n"); ok {
		return rest
	}
	return text
}

var errInfoLine = errors.New("it is not a line of the compact index")

func parseInfoLine(name, line string) (InfoLine, error) {
	number, rest, ok := strings.Cut(line, " ")
	before, after, ok2 := strings.Cut(rest, "|")
	if !ok || !ok2 {
		return InfoLine{}, errInfoLine
	}
	l := InfoLine{Gem: Gem{Name: name, Platform: AnyPlatform}}
	g := &l.Gem
	version, platform, hasPlatform := strings.Cut(number, "-")
	if g.Version = version; hasPlatform {
		g.Platform = platform
	}
	for text := range strings.SplitSeq(strings.TrimSpace(before), ",") {
		if text == "" {
			continue
		}
		dep, constraints, _ := strings.Cut(text, ":")
		r, err := parseConstraints(constraints)
		if err != nil {
			return InfoLine{}, err
		}
		g.Dependencies = append(g.Dependencies, Dependency{Name: dep, Requirement: r})
	}
	for text := range strings.SplitSeq(after, ",") {
		key, value, _ := strings.Cut(text, ":")
		if err := l.set(strings.TrimSpace(key), value); err != nil {
			return InfoLine{}, err
		}
	}
	if len(g.Dependencies) > maxEntries {
		return InfoLine{}, fmt.Errorf("it has more than %d dependencies", maxEntries)
	}
	return l, g.check()
}

// set takes what the line says after the bar. Keys that are not known are passed over.
func (l *InfoLine) set(key, value string) (err error) {
	switch key {
	case "checksum":
		if raw, err := hex.DecodeString(value); err == nil && len(raw) == 32 {
			l.SHA256 = strings.ToLower(value)
		}
	case "ruby":
		l.Gem.Ruby, err = parseConstraints(value)
	case "rubygems":
		l.Gem.RubyGems, err = parseConstraints(value)
	case "created_at":
		if t, err := time.Parse(time.RFC3339, value); err == nil && t.Year() >= 1 && t.Year() <= 9999 {
			l.Created = t.UTC()
		}
	}
	return err
}

// parseConstraints reads constraints such as ">= 1&< 3".
func parseConstraints(text string) (Requirement, error) {
	var all Requirement
	for part := range strings.SplitSeq(text, "&") {
		operator, version, _ := strings.Cut(strings.TrimSpace(part), " ")
		version = strings.TrimSpace(version)
		if !slices.Contains(operators, operator) || len(version) > MaxName || !constraintPattern.MatchString(version) || len(all) == maxVersions {
			return nil, fmt.Errorf("%.120q is not an operator and a version", part)
		}
		all = append(all, Constraint{operator, version})
	}
	return all, nil
}

// A VersionsLine is a line of the list of all gems: a name, its new and its yanked
// versions with their platforms, and the MD5 of the document about the name.
type VersionsLine struct {
	Name    string
	Numbers string // separated by commas; a yanked one begins with "-"
	MD5     string
}

// ParseVersionsLine reads a line, which may end with a line break. ok is false if clients
// cannot use it. It is called for each of hundreds of thousands of lines.
func ParseVersionsLine(line string) (l VersionsLine, ok bool) {
	line = strings.TrimRight(line, "\r\n")
	l.Name, line, ok = strings.Cut(line, " ")
	if !ok {
		return l, false
	}
	l.Numbers, l.MD5, ok = strings.Cut(line, " ")
	return l, ok && len(l.MD5) == 32 && l.Numbers != "" && len(l.Name) <= MaxName && plain(l.Name, "._-") && l.Name[0] != '.' && l.Name[0] != '-' && l.Name[0] != '_' &&
		plain(l.Numbers, "._-,") && plain(l.MD5, "")
}

// plain reports whether a text has only letters, digits and some further characters.
func plain(s, further string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && strings.IndexByte(further, c) < 0 {
			return false
		}
	}
	return s != ""
}

// Attributes are what is kept of a package that an external registry has.
type Attributes struct {
	// Info is the registry's document about the gems of the name, as it came.
	Info string `json:"info,omitempty"`
}
