package main

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"
)

// fixed returns a measure that records its turns and returns these values.
func fixed(turns *[]string, name string, values ...float64) measure {
	round := 0
	return func(context.Context) (sample, error) {
		*turns = append(*turns, name)
		round++
		return sample{Value: values[round-1], CPU: time.Duration(10 * values[round-1])}, nil
	}
}

func TestMeasure_ComparesEachRound(t *testing.T) {
	var turns []string
	j := job{"a job", perSecond, func(context.Context) (*comparison, error) {
		return &comparison{
			gatehouse: fixed(&turns, "gatehouse", 1e9, 50, 200, 30),
			baselines: []baseline{
				{"one", fixed(&turns, "one", 1, 100, 100, 100)},
				{"two", fixed(&turns, "two", 1, 50, 400, 300)},
			},
		}, nil
	}}
	outcomes, err := j.measure(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	if len(outcomes) != 2 {
		t.Fatalf("%d outcomes, want one for each baseline", len(outcomes))
	}
	for i, want := range []distribution{{0.5, 0.3, 2}, {0.5, 0.1, 1}} {
		if got := outcomes[i].Ratio; got != want {
			t.Errorf("ratio to baseline %d is %v, want %v, from the counted rounds only", i, got, want)
		}
	}
	// Less processor time is better.
	if got, want := outcomes[0].CPURatio.max, 100.0/30; math.Abs(got-want) > 0.01 {
		t.Errorf("best ratio of processor time is %v, want %v", got, want)
	}
	want := []string{"two", "one", "gatehouse", "gatehouse", "one", "two", "two", "one", "gatehouse", "gatehouse", "one", "two"}
	if !slices.Equal(turns, want) {
		t.Errorf("turns %v, want %v", turns, want)
	}
}

func TestMeasure_StopsAtFirstError(t *testing.T) {
	failure := errors.New("the server is gone")
	broken := func(context.Context) (sample, error) { return sample{}, failure }
	for name, prepare := range map[string]func(context.Context) (*comparison, error){
		"measure": func(context.Context) (*comparison, error) {
			return &comparison{broken, []baseline{{"broken", broken}}}, nil
		},
		"prepare": func(context.Context) (*comparison, error) { return nil, failure },
	} {
		if _, err := (&job{"a job", seconds, prepare}).measure(t.Context(), 2); !errors.Is(err, failure) {
			t.Errorf("%s: error %v, want %v", name, err, failure)
		}
	}
}

func TestUnitRatio(t *testing.T) {
	for _, c := range []struct {
		unit            unit
		gatehouse, want float64
	}{{perSecond, 5, 0.5}, {megabytes, 20, 2}, {seconds, 20, 0.5}, {size, 5, 2}} {
		if got := c.unit.ratio(c.gatehouse, 10); got != c.want {
			t.Errorf("%v %s against 10: ratio %v, want %v", c.gatehouse, c.unit, got, c.want)
		}
	}
}
