package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// A job is one operation, measured on Gatehouse and on its baselines.
type job struct {
	name string
	unit unit
	// prepare stores the data the job needs and returns its two sides.
	prepare func(context.Context) (*comparison, error)
}

// A comparison is the two sides of a job.
type comparison struct {
	gatehouse measure
	baselines []baseline
}

type baseline struct {
	name string
	measure
}

// A measure does the job for one round.
type measure func(context.Context) (sample, error)

// A sample is the result of one round of one side.
type sample struct {
	// Value is in the job's unit.
	Value float64 `json:"value"`
	// P50 and P99 are latencies, and CPU is the server's processor time a
	// request, in nanoseconds. Zero means not measured.
	P50 time.Duration `json:"p50,omitzero"`
	P99 time.Duration `json:"p99,omitzero"`
	CPU time.Duration `json:"cpu,omitzero"`
}

// An outcome is one row: a job against one of its baselines.
type outcome struct {
	Job       string       `json:"job"`
	Unit      unit         `json:"unit"`
	Baseline  string       `json:"baseline"`
	Gatehouse []sample     `json:"gatehouse_rounds"`
	Measured  []sample     `json:"baseline_rounds"`
	Ratio     distribution `json:"ratio"`
	CPURatio  distribution `json:"cpu_ratio"`
}

// A distribution is the median of the rounds with the extremes. All are NaN if
// there is nothing to compare.
type distribution struct{ median, min, max float64 }

// measure runs the job in rounds, after a warm-up round that does not count.
func (j *job) measure(ctx context.Context, rounds int) ([]outcome, error) {
	c, err := j.prepare(ctx)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	outcomes := make([]outcome, len(c.baselines))
	sides := []measure{c.gatehouse}
	for i, y := range c.baselines {
		outcomes[i] = outcome{Job: j.name, Unit: j.unit, Baseline: y.name}
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

// takeTurns runs each side once. The order alternates between rounds, so a machine
// that becomes slower or faster favours neither side.
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

// compare computes the ratios round by round: a disturbance in a round affects
// both of its sides.
func (o *outcome) compare() {
	var ratios, cpu []float64
	for i, g := range o.Gatehouse {
		y := o.Measured[i]
		ratios = append(ratios, o.Unit.ratio(g.Value, y.Value))
		cpu = append(cpu, cpuRatio(y.CPU, g.CPU))
	}
	o.Ratio, o.CPURatio = distributionOf(ratios), distributionOf(cpu)
}

// cpuRatio is NaN if a side has no figure: it is not a server, or not ours.
func cpuRatio(baseline, gatehouse time.Duration) float64 {
	if baseline == 0 || gatehouse == 0 {
		return math.NaN()
	}
	return float64(baseline) / float64(gatehouse)
}

func distributionOf(values []float64) distribution {
	if slices.ContainsFunc(values, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }) {
		return distribution{math.NaN(), math.NaN(), math.NaN()}
	}
	return distribution{median(values), slices.Min(values), slices.Max(values)}
}

// median returns the median of at least one value.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
