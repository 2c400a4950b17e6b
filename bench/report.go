package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// A unit is the unit of a job's values.
type unit string

const (
	perSecond unit = "requests/s"
	megabytes unit = "MB/s"
	seconds   unit = "s"
	size      unit = "bytes"
)

// ratio returns how close a comes to the baseline. 1 is as good; more is better.
func (u unit) ratio(a, baseline float64) float64 {
	switch u {
	case seconds, size: // less is better
		return baseline / a
	default:
		return a / baseline
	}
}

func (u unit) format(v float64) string {
	switch u {
	case seconds:
		return formatDuration(time.Duration(v * float64(time.Second)))
	case size:
		return fmt.Sprintf("%.1f MiB", v/(1<<20))
	case megabytes:
		return thousands(v) + " MB/s"
	default:
		return thousands(v) + "/s"
	}
}

// thousands formats a non-negative number without decimals, in groups of three
// digits.
func thousands(v float64) string {
	s := strconv.FormatInt(int64(math.Round(v)), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// formatDuration formats a duration with three digits, and zero as nothing.
func formatDuration(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d.Nanoseconds())
	case d < time.Millisecond:
		return fmt.Sprintf("%.3g µs", float64(d)/float64(time.Microsecond))
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", float64(d)/float64(time.Millisecond))
	default:
		return fmt.Sprintf("%.3g s", d.Seconds())
	}
}

func (s distribution) String() string {
	if math.IsNaN(s.median) {
		return ""
	}
	return fmt.Sprintf("%.2f", s.median)
}

func (s distribution) extremes() string {
	if math.IsNaN(s.median) {
		return ""
	}
	return fmt.Sprintf("%.2f–%.2f", s.min, s.max)
}

// MarshalJSON writes an object, or null if there is nothing to compare.
func (s distribution) MarshalJSON() ([]byte, error) {
	if math.IsNaN(s.median) {
		return []byte("null"), nil
	}
	return json.Marshal(map[string]float64{"median": s.median, "min": s.min, "max": s.max})
}

// A report collects the outcomes and prints them at the end.
type report struct {
	outcomes []outcome
	write    func(io.Writer, []outcome) error
	to       io.Writer
}

func newReport(to io.Writer, asJSON bool) *report {
	if asJSON {
		return &report{to: to, write: writeJSON}
	}
	return &report{to: to, write: writeTable}
}

func (r *report) add(o []outcome) { r.outcomes = append(r.outcomes, o...) }
func (r *report) print() error    { return r.write(r.to, r.outcomes) }

func writeJSON(to io.Writer, outcomes []outcome) error {
	e := json.NewEncoder(to)
	e.SetIndent("", "  ")
	return e.Encode(outcomes)
}

func writeTable(to io.Writer, outcomes []outcome) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "job\tgatehouse\tp50\tp99\tcpu\tbaseline\t\tratio\tspread\tcpu ratio")
	last := ""
	for _, o := range outcomes {
		g, y := medians(o.Gatehouse), medians(o.Measured)
		ours := []string{o.Job, o.Unit.format(g.Value), formatDuration(g.P50), formatDuration(g.P99), formatDuration(g.CPU)}
		if o.Job == last { // compared with its second baseline
			ours = make([]string, len(ours))
		}
		last = o.Job
		theirs := []string{o.Baseline, o.Unit.format(y.Value), o.Ratio.String(), o.Ratio.extremes(), o.CPURatio.String()}
		fmt.Fprintln(w, strings.Join(append(ours, theirs...), "\t"))
	}
	fmt.Fprintln(w, "\n1.00 is as good as the baseline; more is better. Ratios are medians of the rounds.")
	return w.Flush()
}

// medians returns the median of each figure.
func medians(samples []sample) sample {
	middle := func(figure func(sample) float64) float64 {
		var values []float64
		for _, s := range samples {
			values = append(values, figure(s))
		}
		return median(values)
	}
	return sample{
		Value: middle(func(s sample) float64 { return s.Value }),
		P50:   time.Duration(middle(func(s sample) float64 { return float64(s.P50) })),
		P99:   time.Duration(middle(func(s sample) float64 { return float64(s.P99) })),
		CPU:   time.Duration(middle(func(s sample) float64 { return float64(s.CPU) })),
	}
}
