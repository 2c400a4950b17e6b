package retentionrule

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// The bounds of a document.
const (
	MaxDocument  = 64 << 10 // bytes
	maxRules     = 50
	maxProtected = 1000
	maxPattern   = 255 // bytes
	maxAge       = 100 * 365 * day

	// DefaultUndoWindow is how long a removal can be undone unless the document says
	// otherwise.
	DefaultUndoWindow = 7 * day
	minUndoWindow     = day
	maxUndoWindow     = 365 * day
	// DefaultMaxShare is the largest share of a repository's versions that one run
	// removes unless the document says otherwise.
	DefaultMaxShare = 0.25
)

const day = 24 * time.Hour

// A Document is the retention rules of a repository, as its owner writes them in YAML or
// JSON.
type Document struct {
	// Rules are tried in their order. The first that selects a version gives the reason
	// for its removal.
	Rules []Rule `yaml:"rules"`
	// Protect are references of versions that are never removed; see [ParseReference].
	Protect []string `yaml:"protect"`
	// UndoWindow is how long a removal can be undone.
	UndoWindow Age `yaml:"undo_window"`
	// MaxShare is the largest share of the versions that one run removes. A run that
	// would remove more removes nothing.
	MaxShare float64 `yaml:"max_share"`
}

// A Rule selects versions that may be removed: those of the packages that it names for
// which all its conditions hold. Patterns have "*" for any text; an empty one matches
// every text.
type Rule struct {
	Name      string   `yaml:"name"`
	Formats   []string `yaml:"formats"` // empty means all
	Namespace string   `yaml:"namespace"`
	Package   string   `yaml:"package"`
	Version   string   `yaml:"version"`
	// Prereleases selects prereleases only.
	Prereleases bool `yaml:"prereleases"`

	// KeepNewest is how many versions of each package the rule leaves, counting those
	// that its patterns match. If it is nil, the number does not matter.
	KeepNewest *int `yaml:"keep_newest"`
	// OlderThan is the time since the version came into the repository. If it is 0, the
	// time does not matter.
	OlderThan Age `yaml:"older_than"`
	// NotDownloadedFor is the time since the last download or, if there was none, since
	// the version came into the repository. If it is 0, the time does not matter.
	NotDownloadedFor Age `yaml:"not_downloaded_for"`
}

// An Age is a time that is written as a whole number of hours, days, weeks or years of
// 365 days: 12h, 30d, 2w, 1y.
type Age time.Duration

var agePattern = regexp.MustCompile(`^([0-9]{1,6})(h|d|w|y)$`)

var ageUnits = map[string]time.Duration{"h": time.Hour, "d": day, "w": 7 * day, "y": 365 * day}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (a *Age) UnmarshalYAML(node *yaml.Node) error {
	text := node.Value
	m := agePattern.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("line %d: %q is not an age: write a whole number with h, d, w or y, such as 30d", node.Line, text)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return err
	}
	unit := ageUnits[m[2]]
	if n == 0 || time.Duration(n) > maxAge/unit {
		return fmt.Errorf("line %d: %q is not an age from 1h to 100y", node.Line, text)
	}
	*a = Age(time.Duration(n) * unit)
	return nil
}

func (a Age) String() string {
	d := time.Duration(a)
	if d%day != 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/day)
}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ValidName reports whether a text can name a rule or a lock list.
func ValidName(name string) bool { return namePattern.MatchString(name) }

// Parse reads and checks a document. Unknown and repeated members are errors. The errors
// say what is wrong, and where.
func Parse(document []byte) (*Document, error) {
	if len(document) > MaxDocument {
		return nil, fmt.Errorf("the document has more than %d bytes", MaxDocument)
	}
	d := &Document{UndoWindow: Age(DefaultUndoWindow), MaxShare: DefaultMaxShare}
	decoder := yaml.NewDecoder(bytes.NewReader(document))
	decoder.KnownFields(true)
	if err := decoder.Decode(d); err != nil && !errors.Is(err, io.EOF) { // an empty document has no rules
		return nil, explain(err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there must be one YAML document only")
	}
	return d, d.check()
}

// explain puts errors of the YAML library into the words of the document.
func explain(err error) error {
	var mismatch *yaml.TypeError
	if !errors.As(err, &mismatch) {
		return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var lines []error
	for _, line := range mismatch.Errors {
		for _, r := range libraryWords {
			line = r.pattern.ReplaceAllString(line, r.words)
		}
		lines = append(lines, errors.New(line))
	}
	return errors.Join(lines...)
}

// libraryWords replaces what the YAML library says about types of Go.
var libraryWords = []struct {
	pattern *regexp.Regexp
	words   string
}{
	{regexp.MustCompile("field (.*) not found in type .*"), `unknown member "$1"`},
	{regexp.MustCompile("cannot unmarshal !!\\w+( `.*`)? into int$"), "$1 is not a whole number"},
	{regexp.MustCompile("cannot unmarshal !!\\w+( `.*`)? into float64$"), "$1 is not a number"},
	{regexp.MustCompile("cannot unmarshal !!\\w+( `.*`)? into bool$"), "$1 is neither true nor false"},
	{regexp.MustCompile("cannot unmarshal !!\\w+( `.*`)? into string$"), "$1 is not a text"},
	{regexp.MustCompile("cannot unmarshal !!\\w+( `.*`)? into \\[\\].*$"), "$1 is not a list"},
	{regexp.MustCompile("cannot unmarshal !!\\w+( `.*`)? into \\w+\\.\\w+$"), "$1 is not a mapping"},
	{regexp.MustCompile(":  "), ": "},
}

func (d *Document) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(d.Rules) == 0 || len(d.Rules) > maxRules {
		bad("the document must have 1 to %d rules", maxRules)
	}
	if w := time.Duration(d.UndoWindow); w < minUndoWindow || w > maxUndoWindow {
		bad("undo_window is %s: it must be from %s to %s", d.UndoWindow, Age(minUndoWindow), Age(maxUndoWindow))
	}
	if !(d.MaxShare > 0 && d.MaxShare <= 1) {
		bad("max_share is %v: it must be more than 0 and at most 1", d.MaxShare)
	}
	if len(d.Protect) > maxProtected {
		bad("protect has more than %d references: put them into a lock list", maxProtected)
	}
	seen := map[string]bool{}
	for i := range d.Rules {
		r := &d.Rules[i]
		if !ValidName(r.Name) {
			bad("rule %d: the name %q must have 1 to 64 letters, digits, '.', '_' and '-'", i+1, r.Name)
			continue
		}
		if seen[r.Name] {
			bad("two rules have the name %s", r.Name)
		}
		seen[r.Name] = true
		if err := r.check(); err != nil {
			bad("rule %s: %w", r.Name, err)
		}
	}
	return errors.Join(errs...)
}

func (r *Rule) check() error {
	if r.KeepNewest == nil && r.OlderThan == 0 && r.NotDownloadedFor == 0 {
		return errors.New("it needs at least one of keep_newest, older_than and not_downloaded_for")
	}
	if r.KeepNewest != nil && *r.KeepNewest < 1 {
		return fmt.Errorf("keep_newest is %d: it must be 1 or more", *r.KeepNewest)
	}
	if a := time.Duration(r.NotDownloadedFor); a != 0 && a < day {
		return fmt.Errorf("not_downloaded_for is %s: it must be 1d or more", r.NotDownloadedFor)
	}
	for member, pattern := range map[string]string{"namespace": r.Namespace, "package": r.Package, "version": r.Version} {
		if len(pattern) > maxPattern {
			return fmt.Errorf("%s has more than %d bytes", member, maxPattern)
		}
	}
	return nil
}
