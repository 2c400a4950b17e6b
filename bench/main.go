// Command bench measures Gatehouse:
//
//	go run ./bench
//	go run ./bench -run 'token|npm' -rounds 9
//
// It builds the server, runs it as a process of its own on an empty data folder,
// fills it over its public APIs, and runs each job in rounds: first the baseline,
// then Gatehouse, in the next round the other way round, and so on. A baseline is
// the least work the same machine can do for the same bytes at the same moment:
// Go's file server for a download, hash + write + fsync for an upload. Its server
// is a separate process too (bench/baseline).
//
// # How to read the table
//
// Look at the ratio. It says how close Gatehouse comes to the baseline: 1.00 is
// as good as the baseline, 0.50 is half as fast (or, for memory, twice as large),
// and more is always better. It is the median of the rounds; the spread beside
// it is the smallest and the largest. The absolute figures, requests a second or
// milliseconds, depend on the machine and on its load that day. Do not compare
// them between runs.
//
// "p50" and "p99" are latencies, and "cpu" is the server's processor time, for
// one request to Gatehouse; "cpu ratio" compares that with the baseline's. If
// client and server share few processors, it says more than the rate does.
//
// With -postgres and -s3 the server runs on these stores, and a baseline more says what
// their own round trips cost: a presigned GET for a download, and PutObject and a
// commit for an upload. scripts/with-stores starts both.
//
// Two ratios of one job from different versions can be compared when their
// spreads are narrow. If they are wide, the machine was busy: use more -rounds.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// options are the command line's flags.
type options struct {
	run      *regexp.Regexp
	rounds   int
	duration time.Duration
	json     bool
	binary   string
	dir      string
	// scale is the part of a large installation that measureScale fills; 0 runs the
	// jobs instead.
	scale float64
	plot  string
	// postgres and s3 are the stores of the servers; see [stores].
	postgres, s3 string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v; see go run ./bench -h\n", err)
		os.Exit(2)
	}
	measure := measureAll
	if o.scale > 0 {
		measure = measureScale
	}
	if err := measure(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	run := f.String("run", "", "run only the jobs whose name matches the `regexp`; . also runs the jobs with many identities, which take a minute")
	f.IntVar(&o.rounds, "rounds", 5, "how many times each job runs on either side")
	f.DurationVar(&o.duration, "duration", 400*time.Millisecond, "how long one side is under load in one round")
	f.BoolVar(&o.json, "json", false, "print every round as JSON instead of the table")
	f.StringVar(&o.binary, "gatehouse", "", "measure the program at `path` instead of building it")
	f.StringVar(&o.dir, "dir", "", "`folder` for the servers' data, on the disk to measure (default: the system's temporary folder)")
	f.Float64Var(&o.scale, "scale", 0, "instead of the jobs, fill this `part` of an installation with 1,000,000 tags, 1,000,000 package versions and 100,000 identities, and measure on the way")
	f.StringVar(&o.plot, "plot", "", "with -scale: write a plot to the SVG `file`")
	f.StringVar(&o.postgres, "postgres", "", "measure on PostgreSQL: the `URL` of a database in which schemas may be created; needs -s3")
	f.StringVar(&o.s3, "s3", "", "measure on S3: the `URL` of a bucket, as --blobs of gatehouse serve has it")
	f.SetOutput(io.Discard) // main prints the error
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			f.SetOutput(os.Stdout)
			f.PrintDefaults()
		}
		return nil, err
	}
	if f.NArg() > 0 || o.rounds < 1 || o.duration <= 0 || o.scale < 0 || o.scale > 1 {
		return nil, errors.New("only flags are allowed; -rounds and -duration must be above 0, and -scale from 0 to 1")
	}
	if (o.postgres == "") != (o.s3 == "") {
		return nil, errors.New("-postgres and -s3 belong together")
	}
	var err error
	o.run, err = regexp.Compile(*run)
	return o, err
}

// measureAll runs the chosen jobs and writes the report.
func measureAll(ctx context.Context, o *options, to io.Writer) (err error) {
	bed := newTestbed(o)
	all := bed.jobs()
	if o.run.String() != "" {
		all = append(all, bed.longJobs()...)
	}
	jobs, err := choose(all, o.run)
	if err != nil {
		return err
	}
	if err := bed.open(ctx, o); err != nil {
		return errors.Join(err, bed.close())
	}
	defer func() { err = errors.Join(err, bed.close()) }()
	report := newReport(to, o.json)
	// Print what was measured even after an error.
	defer func() { err = errors.Join(err, report.print()) }()
	for _, j := range jobs {
		fmt.Fprintf(os.Stderr, "%s …\n", j.name)
		outcomes, err := j.measure(ctx, o.rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", j.name, err)
		}
		report.add(outcomes)
	}
	return nil
}

// choose returns the jobs whose name the expression matches.
func choose(all []job, run *regexp.Regexp) ([]job, error) {
	var chosen []job
	var names strings.Builder
	for _, j := range all {
		fmt.Fprintf(&names, "\n  %s", j.name)
		if run.MatchString(j.name) {
			chosen = append(chosen, j)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no job matches -run %q; the jobs are:%s", run, &names)
	}
	return chosen, nil
}
