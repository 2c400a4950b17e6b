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

// A unit is what a job's values are.
type unit string

const (
	perSecond unit = "requests/s"
	megabytes unit = "MB/s"
	seconds   unit = "s"
	size      unit = "bytes"
)

// ratio is how close a comes to the yardstick, 1 being as good as it.
func (u unit) ratio(a, yardstick float64) float64 {
	switch u {
	case seconds, size: // the less the better
		return yardstick / a
	default:
		return a / yardstick
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

// thousands writes a number that is not negative in whole, in groups of three
// digits.
func thousands(v float64) string {
	s := strconv.FormatInt(int64(math.Round(v)), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// formatDuration writes a duration with three digits; nothing for none.
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

func (s spread) String() string {
	if math.IsNaN(s.median) {
		return ""
	}
	return fmt.Sprintf("%.2f", s.median)
}

func (s spread) extremes() string {
	if math.IsNaN(s.median) {
		return ""
	}
	return fmt.Sprintf("%.2f–%.2f", s.min, s.max)
}

// MarshalJSON makes an object, or null where there is nothing to compare.
func (s spread) MarshalJSON() ([]byte, error) {
	if math.IsNaN(s.median) {
		return []byte("null"), nil
	}
	return json.Marshal(map[string]float64{"median": s.median, "min": s.min, "max": s.max})
}

// A report gathers the outcomes and prints them in the end.
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
	fmt.Fprintln(w, "job\tgatehouse\tp50\tp99\tcpu\tyardstick\t\tratio\tspread\tcpu ratio")
	last := ""
	for _, o := range outcomes {
		g, y := medians(o.Gatehouse), medians(o.Measured)
		ours := []string{o.Job, o.Unit.format(g.Value), formatDuration(g.P50), formatDuration(g.P99), formatDuration(g.CPU)}
		if o.Job == last { // against its second yardstick
			ours = make([]string, len(ours))
		}
		last = o.Job
		theirs := []string{o.Yardstick, o.Unit.format(y.Value), o.Ratio.String(), o.Ratio.extremes(), o.CPURatio.String()}
		fmt.Fprintln(w, strings.Join(append(ours, theirs...), "\t"))
	}
	fmt.Fprintln(w, "\n1.00 is the yardstick itself; more is better. Ratios are medians of the rounds.")
	return w.Flush()
}

// medians is the middle of each figure.
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
