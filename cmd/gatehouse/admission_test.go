package main

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// Every rule that the command prints is a policy of a resource about which lint has nothing
// to say.
func TestAdmissionPolicy(t *testing.T) {
	for line, want := range map[string][]string{
		"":                          {`"Sid": "NothingYoungerThan7Days"`, `"gatehouse:VersionAge": "7"`, `"gatehouse:PackageOrigin": "external"`},
		"--min-age 3 --report-only": {`"Sid": "ReportYoungerThan3Days"`, `"gatehouse:ReportOnly": "true"`},
		"--no-malware":              {`"Sid": "NoMalware"`, `"gatehouse:Malware": "true"`},
		"--max-severity moderate":   {`"Sid": "NoAdvisories"`, `"unknown"`, `"high"`, `"critical"`},
		"--max-severity none":       {`"low"`, `"moderate"`},
		"--license MIT,Apache-2.0 --no-scripts --attested --no-look-alike": {
			`"ForAllValues:StringNotEquals"`, `"Apache-2.0"`, `"gatehouse:InstallScripts": "true"`, `"gatehouse:Attested": "false"`, `"gatehouse:SimilarToInternal": "true"`,
		},
	} {
		code, stdout, stderr := execute(t, append([]string{"admission", "policy"}, strings.Fields(line)...)...)
		if code != 0 || stderr != "" {
			t.Errorf("%s: %d, %s", line, code, stderr)
			continue
		}
		for _, text := range want {
			if !strings.Contains(stdout, text) {
				t.Errorf("%s: there is no %s in %s", line, text, stdout)
			}
		}
		if line != "" && !strings.Contains(line, "min-age") && strings.Contains(stdout, "VersionAge") {
			t.Errorf("%s: there is a rule about the age", line)
		}
		p, err := policy.Parse(stdout, policy.Resource)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if warnings := p.Warnings(); len(warnings) > 0 {
			t.Errorf("%s: %q", line, warnings)
		}
	}
	if code, _, _ := execute(t, "admission", "policy", "--min-age", "0"); code != exitUsage {
		t.Errorf("--min-age 0: %d", code)
	}
}

func TestDaysDuration(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"48h": 48 * time.Hour, "30d": 30 * day, "1d12h": 36 * time.Hour, "366d": 366 * day, "90m": 90 * time.Minute,
		"": 0, "d": 0, "0d": 0, "-1d": 0, "1d-1h": 0, "1.5d": 0, "367d": 0, "30": 0, "1d2d": 0, "-3h": 0, "99999999999999999999d": 0,
	} {
		var got daysDuration
		if err := got.UnmarshalText([]byte(text)); (err != nil) != (want == 0) || err == nil && time.Duration(got) != want {
			t.Errorf("%q is %v, %v", text, time.Duration(got), err)
		}
	}
	if code, _, stderr := execute(t, "admission", "except", "acme", "npm/x", "--for", "soon"); code == 0 || !strings.Contains(stderr, "30d") {
		t.Errorf("%d, %s", code, stderr)
	}
}
