package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// results are the times of an application, in the order in which they were measured first.
type results struct {
	names    []string
	times    map[string][]time.Duration
	requests map[string]int64
}

func (r *results) add(name string, took time.Duration, requests int64) {
	if r.times == nil {
		r.times, r.requests = map[string][]time.Duration{}, map[string]int64{}
	}
	if r.times[name] == nil {
		r.names = append(r.names, name)
	}
	r.times[name] = append(r.times[name], took)
	r.requests[name] = requests
}

// print prints the table. Ratios compare with the first line.
func (r *results) print(w io.Writer, title string) {
	fmt.Fprintf(w, "\n%s\n", title)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\tmedian\tspread\tratio\trequests to the upstream")
	var first time.Duration
	for _, name := range r.names {
		times := slices.Sorted(slices.Values(r.times[name]))
		median := times[len(times)/2]
		if len(times)%2 == 0 {
			median = (median + times[len(times)/2-1]) / 2
		}
		if first == 0 {
			first = median
		}
		fmt.Fprintf(t, "%s\t%.2f s\t%.2f to %.2f s\t%.2f\t%d\n", name, median.Seconds(), times[0].Seconds(), times[len(times)-1].Seconds(), float64(median)/float64(first), r.requests[name])
	}
	_ = t.Flush()
}
