package main

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"
)

// fixed is a measure that notes its turns and comes to the values given.
func fixed(turns *[]string, name string, values ...float64) measure {
	round := 0
	return func(context.Context) (sample, error) {
		*turns = append(*turns, name)
		round++
		return sample{Value: values[round-1], CPU: time.Duration(10 * values[round-1])}, nil
	}
}

func TestMeasureComparesRoundByRound(t *testing.T) {
	var turns []string
	j := job{"a job", perSecond, func(context.Context) (*contest, error) {
		return &contest{
			gatehouse: fixed(&turns, "gatehouse", 1e9, 50, 200, 30),
			yardsticks: []yardstick{
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
		t.Fatalf("%d outcomes, want one for each yardstick", len(outcomes))
	}
	for i, want := range []spread{{0.5, 0.3, 2}, {0.5, 0.1, 1}} {
		if got := outcomes[i].Ratio; got != want {
			t.Errorf("ratio to yardstick %d is %v, want %v: of the counted rounds alone", i, got, want)
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

func TestMeasureEndsWithTheFirstError(t *testing.T) {
	failure := errors.New("the server is gone")
	broken := func(context.Context) (sample, error) { return sample{}, failure }
	for name, prepare := range map[string]func(context.Context) (*contest, error){
		"measure": func(context.Context) (*contest, error) {
			return &contest{broken, []yardstick{{"broken", broken}}}, nil
		},
		"prepare": func(context.Context) (*contest, error) { return nil, failure },
	} {
		if _, err := (&job{"a job", seconds, prepare}).measure(t.Context(), 2); !errors.Is(err, failure) {
			t.Errorf("%s: error %v, want %v", name, err, failure)
		}
	}
}

func TestRatioIsBetterWhenItIsMore(t *testing.T) {
	for _, c := range []struct {
		unit            unit
		gatehouse, want float64
	}{{perSecond, 5, 0.5}, {megabytes, 20, 2}, {seconds, 20, 0.5}, {size, 5, 2}} {
		if got := c.unit.ratio(c.gatehouse, 10); got != c.want {
			t.Errorf("%v %s against 10: ratio %v, want %v", c.gatehouse, c.unit, got, c.want)
		}
	}
}
