package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// gatehouse is the program that the tests measure.
var gatehouse string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "gatehouse-bench-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	gatehouse = filepath.Join(dir, "gatehouse")
	if err := build(context.Background(), gatehouse, "cmd/gatehouse"); err != nil {
		panic(err)
	}
	return m.Run()
}

func quick(t *testing.T, run string) *options {
	t.Helper()
	return &options{run: regexp.MustCompile(run), rounds: 1, duration: 200 * time.Millisecond, json: true, dir: t.TempDir(), binary: gatehouse}
}

// TestMeasureAll runs one job of each kind that needs little data.
func TestMeasureAll(t *testing.T) {
	o := quick(t, `^(ECR token|CodeArtifact token|token mint|manifest GET|blob GET 1 KiB|push of 50|start to first answer, new|idle memory, new)`)
	var out bytes.Buffer
	if err := measureAll(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Job, Baseline string
		Rounds        []sample `json:"gatehouse_rounds"`
		Measured      []sample `json:"baseline_rounds"`
	}
	if err := json.Unmarshal(out.Bytes(), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 10 { // eight jobs, two of which have two baselines
		t.Errorf("%d rows, want 10", len(rows))
	}
	for _, r := range rows {
		if len(r.Rounds) != 1 || len(r.Measured) != 1 || r.Rounds[0].Value <= 0 || r.Measured[0].Value <= 0 {
			t.Errorf("%s against %s: %v and %v, want a value above 0 on either side", r.Job, r.Baseline, r.Rounds, r.Measured)
		}
	}
	if left, err := os.ReadDir(o.dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestMeasureAll_UnknownJob(t *testing.T) {
	o := quick(t, "coffee")
	err := measureAll(t.Context(), o, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "npm document") {
		t.Errorf("error %v, want one that names the jobs", err)
	}
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"-run", "npm", "-rounds", "9", "-duration", "2s", "-json"})
	if err != nil || !o.run.MatchString("npm tarball") || o.rounds != 9 || o.duration != 2*time.Second || !o.json {
		t.Errorf("options %+v, error %v", o, err)
	}
	for _, bad := range []string{"-rounds=0", "-duration=0s", "-run=(", "npm", "-no-such-flag"} {
		if _, err := parse([]string{bad}); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}
