package lifecycle_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/images/lifecycle"
)

func TestParse(t *testing.T) {
	p := policy(t,
		`{"rulePriority":7,"description":"old","selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":3},"action":{"type":"expire"}}`,
		`{"rulePriority":2,"selection":{"tagStatus":"tagged","tagPrefixList":["v","w"],"storageClass":"standard","countType":"sinceImagePulled","countUnit":"days","countNumber":90},"action":{"type":"transition","targetStorageClass":"archive"}}`,
		`{"rulePriority":9,"selection":{"tagStatus":"any","storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90},"action":{"type":"expire"}}`)
	if len(p.Rules) != 3 || p.Rules[0].Priority != 2 || p.Rules[1].Description != "old" {
		t.Errorf("%+v", p)
	}
	if r := p.Rules[0]; r.Action != lifecycle.Transition || !slices.Equal(r.Selection.Prefixes, []string{"v", "w"}) || r.Selection.Count != 90 || r.Selection.CountType != lifecycle.SinceImagePulled {
		t.Errorf("%+v", r)
	}
}

func TestParse_Invalid(t *testing.T) {
	const expire, count = `"action":{"type":"expire"}`, `"countType":"imageCountMoreThan","countNumber":1`
	sel := func(members string) string {
		return `{"rules":[{"rulePriority":1,"selection":{` + members + `},` + expire + `}]}`
	}
	act := func(action string) string {
		return `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any",` + count + `},"action":` + action + `}]}`
	}
	rules := func(selections ...string) string {
		var all []string
		for i, s := range selections {
			all = append(all, `{"rulePriority":`+string(rune('1'+i))+`,"selection":{`+s+`,`+count+`},`+expire+`}`)
		}
		return `{"rules":[` + strings.Join(all, ",") + `]}`
	}
	const noVariant = "instance failed to match exactly one schema (matched 0 out of 2)"
	for text, want := range map[string]string{
		`nonsense`:      "Could not map policyString into LifecyclePolicy.",
		`[]`:            "Could not map policyString into LifecyclePolicy.",
		`{"rules":[]}x`: "Could not map policyString into LifecyclePolicy.",
		`{}`:            `object has missing required properties (["rules"])`,
		`{"rules":{}}`:  `instance type (object) does not match any allowed primitive type (allowed: ["array"])`,
		`{"rules":[]}`:  "array is too short: must have at least 1 elements but instance has 0 elements",
		`{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any",` + count + `},` + expire + `}],"version":1}`: `object instance has properties which are not allowed by the schema: (["version"])`,
		`{"rules":[{}]}`: `object has missing required properties (["action","rulePriority","selection"])`,
		`{"rules":[{"rulePriority":0,"selection":{},"action":{}}]}`:                                                                "numeric instance is lower than the required minimum (minimum: 1, found: 0)",
		`{"rules":[{"rulePriority":"1","selection":{},"action":{}}]}`:                                                              `instance type (string) does not match any allowed primitive type (allowed: ["integer"])`,
		`{"rules":[{"rulePriority":1.5,"selection":{},"action":{}}]}`:                                                              `instance type (number) does not match any allowed primitive type (allowed: ["integer"])`,
		sel(`"tagStatus":"maybe",` + count):                                                                                        `instance value ("maybe") not found in enum :(possible values: ["any","tagged","untagged"])`,
		sel(`"tagStatus":"any","countType":"imageCountMoreThan","countNumber":0`):                                                  "numeric instance is lower than the required minimum (minimum: 1, found: 0)",
		sel(`"tagStatus":"any","countType":"imageCountMoreThan","countNumber":-99999999999`):                                       "numeric instance is lower than the required minimum (minimum: 1, found: -99999999999)",
		sel(`"tagStatus":"any","countType":"imageCountMoreThan","countNumber":99999999999`):                                        "numeric instance is greater than the required maximum (maximum: 2147483647, found: 99999999999)",
		sel(`"tagStatus":"any","countType":"imageCountMoreThan","countUnit":"days","countNumber":1`):                               noVariant,
		sel(`"tagStatus":"any","countType":"sinceImagePushed","countNumber":1`):                                                    noVariant,
		sel(`"tagStatus":"any","countType":"sinceImagePushed","countUnit":"hours","countNumber":1`):                                `instance value ("hours") not found in enum :(possible values: ["days"])`,
		sel(`"tagStatus":"tagged",` + count):                                                                                       noVariant,
		sel(`"tagStatus":"tagged","tagPrefixList":["a"],"tagPatternList":["a"],` + count):                                          noVariant,
		sel(`"tagStatus":"untagged","tagPrefixList":["a"],` + count):                                                               noVariant,
		sel(`"tagStatus":"tagged","tagPrefixList":[""],` + count):                                                                  `string "" is too short (length: 0, required minimum: 1)`,
		sel(`"tagStatus":"tagged","tagPrefixList":[1],` + count):                                                                   `instance type (integer) does not match any allowed primitive type (allowed: ["string"])`,
		sel(`"tagStatus":"tagged","tagPatternList":["*a*b*c*d*"],` + count):                                                        `tagPatternList: the pattern "*a*b*c*d*" has more than 4 wildcards`,
		sel(`"tagStatus":"any","storageClass":"archive",` + count):                                                                 "rule 1: the storageClass archive and the countType sinceImageTransitioned need each other",
		sel(`"tagStatus":"any","storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":89`): "rule 1: countNumber must be at least 90 with the countType sinceImageTransitioned",
		act(`{"type":"expire","targetStorageClass":"archive"}`):                                                                    noVariant,
		act(`{"type":"transition"}`):                                                                                               noVariant,
		act(`{"type":"delete"}`):                                                                                                   `instance value ("delete") not found in enum :(possible values: ["expire","transition"])`,
		rules(`"tagStatus":"any"`, `"tagStatus":"untagged"`):                                                                       "the rule with tagStatus any must have the highest rulePriority of its storage class, and there can be only one",
		rules(`"tagStatus":"untagged"`, `"tagStatus":"untagged"`):                                                                  "there can be only one rule with tagStatus untagged for a storage class",
		rules(`"tagStatus":"tagged","tagPrefixList":["a","b"]`, `"tagStatus":"tagged","tagPrefixList":["b","a"]`):                  "rule 2: another rule has the same tagPatternList or tagPrefixList",
		`{"rules":[` + strings.Repeat(rule(1, `"tagStatus":"any","countType":"imageCountMoreThan"`, 1)+",", 50) + rule(1, `"tagStatus":"any","countType":"imageCountMoreThan"`, 1) + `]}`: "array is too long: must have at most 50 elements but instance has 51 elements",
		`{"rules":[` + rule(1, patterns("a")+moreThan, 1) + `,` + rule(1, patterns("b")+moreThan, 1) + `]}`:                                                                               "rulePriority 1 is not unique",
	} {
		if _, err := lifecycle.Parse(text); err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"rules":[{"rulePriority":1,"selection":{"tagStatus":"tagged","tagPatternList":["v*"],"countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := lifecycle.Parse(text)
		if (p == nil) == (err == nil) && err == nil || err == nil && len(p.Rules) == 0 {
			t.Errorf("%q: %v, %v", text, p, err)
		}
	})
}
