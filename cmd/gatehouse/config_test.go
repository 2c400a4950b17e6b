package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfig_ExamplePassesCheck(t *testing.T) {
	code, example, stderr := execute(t, "config", "example")
	if code != 0 {
		t.Fatal(stderr)
	}
	path := filepath.Join(t.TempDir(), "gatehouse.yaml")
	if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, stderr := execute(t, "config", "check", path); code != 0 || out != path+": no problems\n" {
		t.Errorf("%d\n%s%s", code, out, stderr)
	}
}

func TestConfigCheck_Problems(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.yaml")
	for text, want := range map[string]string{
		"listen_on: x\nlog: {levl: info}\n": path + ":1: unknown field \"listen_on\"\n" + path + ":2: unknown field \"levl\"\n",
		"listen_on: x\nregion: mars\nlog:\n  levl: info\n  format: xml\niam:\n  users:\n    alice: {grup: [a]}\nlimits: {idle: 5}\n": path + ":1: unknown field \"listen_on\"\n" +
			path + ":2: region: \"mars\" does not look like a region, such as us-east-1\n" + path + ":4: unknown field \"levl\"\n" + path + ":5: log.format: \"xml\" is not text or json\n" +
			path + ":8: unknown field \"grup\"\n" + path + ":9: \"5\" is not a duration, such as 30s, 5m or 24h\n",
		"region: us-east-1\nlog:\n  format: xml\n  level: loud\n": path + ":3: log.format: \"xml\" is not text or json\n" + path + ":4: log.level: \"loud\" is not debug, info, warn or error\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, out, stderr := execute(t, "config", "check", path); code != 1 || out != want || stderr != "" {
			t.Errorf("%d\n%s%s", code, out, stderr)
		}
		var report configReport
		code, out, _ := execute(t, "config", "check", "--output", "json", path)
		if err := json.Unmarshal([]byte(out), &report); err != nil || code != 1 || len(report.Problems) != strings.Count(want, "\n") {
			t.Errorf("%d, %v\n%s", code, err, out)
		}
	}
	if code, _, stderr := execute(t, "config", "check", path+".none"); code != 2 || !strings.Contains(stderr, "no such file") {
		t.Errorf("%d\n%s", code, stderr)
	}
}
