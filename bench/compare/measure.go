package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// A result has the measurements of one candidate.
type result struct {
	name            string
	cold, warm      []time.Duration
	concurrentCalls int
	sessions        []session
}

// pulls lets each candidate pull with an empty cache and then again, in rounds.
// The order rotates, so a machine that becomes slower or faster favours none. A
// warm-up round comes first and does not count.
func pulls(ctx context.Context, all []candidate, results []result, rounds int) error {
	for round := range rounds + 1 {
		fmt.Fprintf(os.Stderr, "round %d of %d …\n", round, rounds)
		for i := range all {
			i = (i + round) % len(all)
			if err := all[i].Forget(); err != nil {
				return err
			}
			cold, err := pull(ctx, all[i], true)
			if err != nil {
				return fmt.Errorf("%s: %w", all[i].Name(), err)
			}
			warm, err := pull(ctx, all[i], false)
			if err != nil {
				return fmt.Errorf("%s: %w", all[i].Name(), err)
			}
			if round > 0 {
				results[i].cold, results[i].warm = append(results[i].cold, cold), append(results[i].warm, warm)
			}
		}
	}
	return nil
}

// A puller runs commands with a home directory.
type puller interface {
	crane() string
	command(ctx context.Context, home string, stdin []byte, argv ...string) ([]byte, error)
}

// pull measures the time until the image is pulled.
func pull(ctx context.Context, c candidate, first bool) (time.Duration, error) {
	p := c.(puller)
	to := filepath.Join(c.Home(), "image.tar")
	begin := time.Now()
	if err := c.Prepare(ctx, first); err != nil {
		return 0, err
	}
	if _, err := p.command(ctx, c.Home(), nil, p.crane(), "pull", image, to); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	return took, os.Remove(to)
}

// parallelCalls is the number of concurrent processes.
const parallelCalls = 20

// concurrentCalls counts the calls that concurrent processes make with an empty
// cache.
func concurrentCalls(ctx context.Context, w *setup, c candidate) (int, error) {
	if err := c.Forget(); err != nil {
		return 0, err
	}
	before, err := w.server.calls()
	if err != nil {
		return 0, err
	}
	group, ctx := errgroup.WithContext(ctx)
	for range parallelCalls {
		group.Go(func() error { return c.Token(ctx) })
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	after, err := w.server.calls()
	return after - before, err
}

// report writes the table.
func report(to io.Writer, results []result, o options) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%s, %d processors; %d rounds; median (smallest to largest), in seconds\n\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), o.rounds)
	fmt.Fprintf(&b, "| | first pull, empty cache | the next pull | calls, %d processes at once | calls in %.0f hours, a pull every %.0f minutes | pulls refused |\n|---|---|---|---|---|---|\n",
		parallelCalls, (time.Duration(o.steps) * interval).Hours(), interval.Minutes())
	var notes []string
	for _, r := range results {
		for i, d := range r.sessions {
			name := r.name
			if d.way != "" {
				name += ", " + d.way
			}
			if d.note != "" {
				notes = append(notes, name+": "+d.note)
			}
			cells := []string{formatTimes(r.cold), formatTimes(r.warm), fmt.Sprint(r.concurrentCalls)}
			if i > 0 {
				cells = []string{"", "", ""}
			}
			fmt.Fprintf(&b, "| %s | %s | %d | %d |\n", name, strings.Join(cells, " | "), d.calls, d.refused)
		}
	}
	for _, n := range notes {
		fmt.Fprintf(&b, "\n%s.\n", n)
	}
	_, err := io.WriteString(to, b.String())
	return err
}

// formatTimes returns the median with the extremes, in seconds.
func formatTimes(all []time.Duration) string {
	slices.Sort(all)
	middle := all[len(all)/2]
	if len(all)%2 == 0 {
		middle = (middle + all[len(all)/2-1]) / 2
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", middle.Seconds(), all[0].Seconds(), all[len(all)-1].Seconds())
}
