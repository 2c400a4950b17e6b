package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// A job is one thing that is measured, on Gatehouse and on its yardsticks.
type job struct {
	name string
	unit unit
	// prepare fills what the job needs, and returns what does it.
	prepare func(context.Context) (*contest, error)
}

// A contest is the two sides of a job.
type contest struct {
	gatehouse  measure
	yardsticks []yardstick
}

type yardstick struct {
	name string
	measure
}

// A measure does the job for one round.
type measure func(context.Context) (sample, error)

// A sample is what one round of one side came to.
type sample struct {
	// Value is in the job's unit.
	Value float64 `json:"value"`
	// P50 and P99 are latencies, and CPU is the server's processor time a
	// request, in nanoseconds; zero where there are none.
	P50 time.Duration `json:"p50,omitzero"`
	P99 time.Duration `json:"p99,omitzero"`
	CPU time.Duration `json:"cpu,omitzero"`
}

// An outcome is one row: a job against one of its yardsticks.
type outcome struct {
	Job       string   `json:"job"`
	Unit      unit     `json:"unit"`
	Yardstick string   `json:"yardstick"`
	Gatehouse []sample `json:"gatehouse_rounds"`
	Measured  []sample `json:"yardstick_rounds"`
	Ratio     spread   `json:"ratio"`
	CPURatio  spread   `json:"cpu_ratio"`
}

// A spread is the median of the rounds with the extremes; all NaN where there is
// nothing to compare.
type spread struct{ median, min, max float64 }

// measure runs the job in rounds. One more goes before them uncounted, in which
// caches fill and heaps grow.
func (j *job) measure(ctx context.Context, rounds int) ([]outcome, error) {
	c, err := j.prepare(ctx)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	outcomes := make([]outcome, len(c.yardsticks))
	sides := []measure{c.gatehouse}
	for i, y := range c.yardsticks {
		outcomes[i] = outcome{Job: j.name, Unit: j.unit, Yardstick: y.name}
		sides = append(sides, y.measure)
	}
	for round := range rounds + 1 {
		samples, err := takeTurns(ctx, sides, round)
		if err != nil {
			return nil, err
		}
		if round == 0 {
			continue
		}
		for i := range outcomes {
			outcomes[i].Gatehouse = append(outcomes[i].Gatehouse, samples[0])
			outcomes[i].Measured = append(outcomes[i].Measured, samples[i+1])
		}
	}
	for i := range outcomes {
		outcomes[i].compare()
	}
	return outcomes, nil
}

// takeTurns lets each side go once, in an order that turns with the round, so
// that a machine that becomes slower or faster favours none of them.
func takeTurns(ctx context.Context, sides []measure, round int) ([]sample, error) {
	samples := make([]sample, len(sides))
	for i := range sides {
		if round%2 == 0 {
			i = len(sides) - 1 - i
		}
		s, err := sides[i](ctx)
		if err != nil {
			return nil, err
		}
		samples[i] = s
	}
	return samples, nil
}

// compare fills in the ratios, round by round: what disturbs a round disturbs
// both of its sides.
func (o *outcome) compare() {
	var ratios, cpu []float64
	for i, g := range o.Gatehouse {
		y := o.Measured[i]
		ratios = append(ratios, o.Unit.ratio(g.Value, y.Value))
		cpu = append(cpu, float64(y.CPU)/float64(g.CPU))
	}
	o.Ratio, o.CPURatio = spreadOf(ratios), spreadOf(cpu)
}

func spreadOf(values []float64) spread {
	if slices.ContainsFunc(values, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }) {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	return spread{median(values), slices.Min(values), slices.Max(values)}
}

// median returns the middle one of the values, of which there is at least one.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
