package retentionrule_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages/retentionrule"
)

func TestParse(t *testing.T) {
	yaml := parse(t, `
# keeps what is in use
undo_window: 14d
max_share: 0.5
protect: [npm/react@18.2.0]
rules:
  - name: prereleases
    formats: [npm]
    namespace: acme
    package: "ui-*"
    prereleases: true
    keep_newest: 3
    older_than: 2w
    not_downloaded_for: 1y
`)
	json := parse(t, `{"undo_window": "14d", "max_share": 0.5, "protect": ["npm/react@18.2.0"], "rules": [{"name": "prereleases", "formats": ["npm"],
		"namespace": "acme", "package": "ui-*", "prereleases": true, "keep_newest": 3, "older_than": "336h", "not_downloaded_for": "365d"}]}`)
	for _, d := range []*retentionrule.Document{yaml, json} {
		r := d.Rules[0]
		if time.Duration(d.UndoWindow) != 14*day || d.MaxShare != 0.5 || len(d.Protect) != 1 || r.Name != "prereleases" || *r.KeepNewest != 3 ||
			time.Duration(r.OlderThan) != 14*day || time.Duration(r.NotDownloadedFor) != 365*day || !r.Prereleases || r.Formats[0] != "npm" {
			t.Errorf("%+v", d)
		}
	}
	if d := parse(t, `rules: [{name: r, keep_newest: 1}]`); time.Duration(d.UndoWindow) != retentionrule.DefaultUndoWindow || d.MaxShare != retentionrule.DefaultMaxShare {
		t.Errorf("%+v", d)
	}
}

func TestParse_Refuses(t *testing.T) {
	for document, want := range map[string]string{
		``:                                                 "1 to 50 rules",
		`rules: []`:                                        "1 to 50 rules",
		`rules: [{name: r}]`:                               "at least one of keep_newest",
		"rules:\n  - name: r\n    keep_last: 3":            `line 3: unknown member "keep_last"`,
		"rules:\n  - name: r\n    name: s":                 "name",
		`rules: [{name: r, older_than: 30}]`:               "is not an age",
		`rules: [{name: r, older_than: 1.5d}]`:             "is not an age",
		`rules: [{name: r, older_than: 0d}]`:               "is not an age",
		`rules: [{name: r, older_than: 999999y}]`:          "is not an age",
		`rules: [{name: r, keep_newest: 0}]`:               "1 or more",
		`rules: [{name: r, keep_newest: ten}]`:             "line 1: `ten` is not a whole number",
		`rules: [{name: r, formats: npm, keep_newest: 1}]`: "`npm` is not a list",
		`rules: 7`: "`7` is not a list",
		`rules: [{name: r, not_downloaded_for: 1h}]`:                    "1d or more",
		`rules: [{name: "a b", keep_newest: 1}]`:                        "the name",
		`rules: [{name: a, keep_newest: 1}, {name: a, keep_newest: 2}]`: "two rules have the name a",
		"rules: [{name: a, keep_newest: 1}]\nmax_share: 0":              "max_share",
		"rules: [{name: a, keep_newest: 1}]\nmax_share: 1.5":            "max_share",
		"rules: [{name: a, keep_newest: 1}]\nmax_share: .nan":           "max_share",
		"rules: [{name: a, keep_newest: 1}]\nundo_window: 1h":           "undo_window",
		"rules: [{name: a, keep_newest: 1}":                             "line 1",
		"- a":                                                           "line 1",
		strings.Repeat("#", retentionrule.MaxDocument+1):                "more than",
	} {
		if _, err := retentionrule.Parse([]byte(document)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v, want %q", document, err, want)
		}
	}
}

func TestParseReference(t *testing.T) {
	for text, want := range map[string]retentionrule.Reference{
		"npm/react@18.2.0":        {Package: retentionrule.Package{Format: "npm", Name: "react"}, Version: "18.2.0"},
		"npm//react@18.2.0":       {Package: retentionrule.Package{Format: "npm", Name: "react"}, Version: "18.2.0"},
		"npm/@acme/ui@1.0.0":      {Package: retentionrule.Package{Format: "npm", Namespace: "acme", Name: "ui"}, Version: "1.0.0"},
		"npm/acme/ui@1.0.0":       {Package: retentionrule.Package{Format: "npm", Namespace: "acme", Name: "ui"}, Version: "1.0.0"},
		"maven/com.acme/core@1.0": {Package: retentionrule.Package{Format: "maven", Namespace: "com.acme", Name: "core"}, Version: "1.0"},
	} {
		if got, err := retentionrule.ParseReference(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "react@1", "npm/react", "npm/react@", "npm/@1", "/react@1", "npm/a/b/c@1"} {
		if got, err := retentionrule.ParseReference(text); err == nil {
			t.Errorf("%s: %+v", text, got)
		}
	}
	list, err := retentionrule.ParseList("# app\n\nnpm/a@1\n npm/b@2\r\n")
	if err != nil || len(list) != 2 || list[1].Version != "2" {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := retentionrule.ParseList("npm/a@1\nnpm/b"); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("%v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("rules: [{name: a, keep_newest: 1, older_than: 3d}]\nprotect: [npm/a@1]"))
	f.Add([]byte("rules: &a [*a]"))
	f.Fuzz(func(t *testing.T, document []byte) {
		d, err := retentionrule.Parse(document)
		if err == nil && len(d.Rules) == 0 {
			t.Errorf("accepted without a rule: %q", document)
		}
	})
}
