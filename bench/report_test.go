package main

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

// outcomes is one job against two baselines, and one without processor times.
func outcomes() []outcome {
	ours := []sample{{Value: 12345, P50: 1500 * time.Microsecond, P99: 2 * time.Millisecond, CPU: 40 * time.Microsecond}}
	some := distribution{0.5, 0.25, 0.75}
	none := distribution{math.NaN(), math.NaN(), math.NaN()}
	return []outcome{
		{"a rate", perSecond, "one", ours, []sample{{Value: 24690}}, some, some},
		{"a rate", perSecond, "two", ours, []sample{{Value: 999}}, some, some},
		{"memory", size, "three", []sample{{Value: 3 << 20}}, []sample{{Value: 1 << 20}}, some, none},
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	r := newReport(&out, false)
	r.add(outcomes())
	if err := r.print(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"job gatehouse p50 p99 cpu baseline ratio spread cpu ratio",
		"a rate 12,345/s 1.5 ms 2 ms 40 µs one 24,690/s 0.50 0.25–0.75 0.50",
		"two 999/s 0.50 0.25–0.75 0.50",
		"memory 3.0 MiB three 1.0 MiB 0.50 0.25–0.75",
		"",
		"1.00 is as good as the baseline; more is better. Ratios are medians of the rounds.",
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(want), &out)
	}
	for i, line := range lines {
		if got := strings.Join(strings.Fields(line), " "); got != want[i] {
			t.Errorf("line %d is %q, want %q", i, got, want[i])
		}
	}
}

func TestJSONHasEveryRound(t *testing.T) {
	var out bytes.Buffer
	r := newReport(&out, true)
	r.add(outcomes())
	if err := r.print(); err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Job, Unit, Baseline string
		Rounds              []struct{ Value, P50 float64 } `json:"gatehouse_rounds"`
		Ratio               struct{ Median, Min, Max float64 }
		CPURatio            *struct{} `json:"cpu_ratio"`
	}
	if err := json.Unmarshal(out.Bytes(), &rows); err != nil {
		t.Fatal(err)
	}
	first, last := rows[0], rows[2]
	if first.Job != "a rate" || first.Unit != "requests/s" || first.Baseline != "one" ||
		first.Rounds[0].Value != 12345 || first.Rounds[0].P50 != 1.5e6 || first.Ratio.Max != 0.75 || first.CPURatio == nil {
		t.Errorf("first row is %+v", first)
	}
	if last.CPURatio != nil {
		t.Error("the row has a ratio of processor times, which were not measured")
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "", 999: "999 ns", 1234: "1.23 µs", 45678 * time.Microsecond: "45.7 ms", 90 * time.Second: "90 s",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("%d is %q, want %q", d, got, want)
		}
	}
}
