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

// A result is what one contestant came to.
type result struct {
	name       string
	cold, warm []time.Duration
	atOnce     int
	days       []day
}

// pulls lets each contestant pull with nothing kept, and again, in rounds whose
// order turns, so that a machine that becomes slower or faster favours none. One
// round more goes before them uncounted.
func pulls(ctx context.Context, all []contestant, results []result, rounds int) error {
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

// A puller runs commands in a home.
type puller interface {
	crane() string
	command(ctx context.Context, home string, stdin []byte, argv ...string) ([]byte, error)
}

// pull measures all that happens until the image is there.
func pull(ctx context.Context, c contestant, first bool) (time.Duration, error) {
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

// many is how many processes ask at once.
const many = 20

// atOnce counts the calls that many processes make with nothing kept.
func atOnce(ctx context.Context, w *world, c contestant) (int, error) {
	if err := c.Forget(); err != nil {
		return 0, err
	}
	before, err := w.server.calls()
	if err != nil {
		return 0, err
	}
	group, ctx := errgroup.WithContext(ctx)
	for range many {
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
	fmt.Fprintf(&b, "| | first pull, nothing kept | the next pull | calls, %d processes at once | calls in %.0f hours, a pull every %.0f minutes | pulls refused |\n|---|---|---|---|---|---|\n",
		many, (time.Duration(o.steps) * interval).Hours(), interval.Minutes())
	var notes []string
	for _, r := range results {
		for i, d := range r.days {
			name := r.name
			if d.way != "" {
				name += ", " + d.way
			}
			if d.note != "" {
				notes = append(notes, name+": "+d.note)
			}
			cells := []string{spread(r.cold), spread(r.warm), fmt.Sprint(r.atOnce)}
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

// spread is the median with the extremes, in seconds.
func spread(all []time.Duration) string {
	slices.Sort(all)
	middle := all[len(all)/2]
	if len(all)%2 == 0 {
		middle = (middle + all[len(all)/2-1]) / 2
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", middle.Seconds(), all[0].Seconds(), all[len(all)-1].Seconds())
}
