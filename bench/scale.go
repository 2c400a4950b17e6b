package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"
)

// stages are the parts of the whole installation at which everything is measured.
func stages(scale float64) []float64 { return []float64{0, scale / 100, scale / 10, scale} }

// A stage is what was measured while a part of the installation was stored.
type stage struct {
	stored  installation
	filling time.Duration // since the stage before
	probes  map[string]probe
	// memory is resident after the start, and used after everything was measured.
	memory, used int64
	database     int64 // bytes
}

// A probe is one operation on a small installation and on the one that grows. They take
// turns, so that a disturbance of the machine affects both.
type probe struct {
	small, large time.Duration // medians of the rounds
	ratio        distribution  // of the rounds
}

// installations are the small installation, which stays as it is, and the one that
// grows. Each has a server of its own, and both servers run all the time.
type installations struct {
	small, large *filler
	rounds       int
}

// measureScale fills an installation step by step. At each step it measures the same
// requests to it and to the small one.
func measureScale(ctx context.Context, o *options, to io.Writer) (err error) {
	i := &installations{rounds: o.rounds}
	defer func() { err = errors.Join(err, i.close()) }()
	if err := i.open(ctx, o); err != nil {
		return err
	}
	if err := i.small.copyRows(ctx, smallInstallation()); err != nil {
		return err
	}
	var measured []stage
	for _, part := range stages(o.scale) {
		want := wholeInstallation().share(part)
		describe := fmt.Sprintf("%d tags, %d package versions, %d identities", want.repositories*tagsEach, want.packages*versionsEach, want.users)
		fmt.Fprintf(os.Stderr, "filling: %s …\n", describe)
		begin := time.Now()
		if err := i.large.copyRows(ctx, want); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
		filling := time.Since(begin)
		fmt.Fprintf(os.Stderr, "measuring: %s …\n", describe)
		s, err := i.measure(ctx)
		if err != nil {
			return err
		}
		s.stored, s.filling = want, filling
		measured = append(measured, s)
		if err := writeScale(os.Stderr, measured); err != nil {
			return err
		}
	}
	if o.plot != "" {
		if err := os.WriteFile(o.plot, []byte(plotScale(measured)), 0o644); err != nil {
			return err
		}
	}
	return writeScale(to, measured)
}

// open starts both servers and stores one of each in both, with the same images.
func (i *installations) open(ctx context.Context, o *options) error {
	shared, err := newImage(kib)
	if err != nil {
		return err
	}
	options := *o
	for _, f := range []**filler{&i.small, &i.large} {
		*f = &filler{bed: newTestbed(&options)}
		if err := (*f).bed.open(ctx, &options); err != nil {
			return err
		}
		options.binary = (*f).bed.gatehousePath // built once
		if err := (*f).fillFirst(ctx, shared); err != nil {
			return err
		}
	}
	return nil
}

func (i *installations) close() error {
	var errs []error
	for _, f := range []*filler{i.large, i.small} { // the program is in the folder of the small one
		if f != nil {
			errs = append(errs, f.bed.close())
		}
	}
	return errors.Join(errs...)
}

// measure starts both servers anew, and measures everything.
func (i *installations) measure(ctx context.Context) (s stage, err error) {
	s.probes = map[string]probe{}
	if err := i.compare(ctx, s.probes, func(f *filler) (latencies, error) { return f.probeStart(ctx) }); err != nil {
		return s, fmt.Errorf("start: %w", err)
	}
	if s.memory, err = i.large.bed.gatehouse.memory(); err != nil {
		return s, err
	}
	for _, name := range lastingOperations() {
		if err := i.compare(ctx, s.probes, func(f *filler) (latencies, error) { return f.probe(ctx, name) }); err != nil {
			return s, fmt.Errorf("%s: %w", name, err)
		}
	}
	if s.used, err = i.large.bed.gatehouse.memory(); err != nil {
		return s, err
	}
	s.database, err = i.large.databaseSize(ctx)
	return s, err
}

// latencies are those of operations, by name.
type latencies map[string]time.Duration

// compare measures both installations in turns, after a round that does not count.
func (i *installations) compare(ctx context.Context, probes map[string]probe, take func(*filler) (latencies, error)) error {
	var small, large []latencies
	into := func(f *filler, all *[]latencies) measure {
		return func(context.Context) (sample, error) {
			l, err := take(f)
			*all = append(*all, l)
			return sample{}, err
		}
	}
	for round := range i.rounds + 1 {
		if _, err := takeTurns(ctx, []measure{into(i.small, &small), into(i.large, &large)}, round); err != nil {
			return err
		}
	}
	for name := range small[0] {
		probes[name] = newProbe(name, small[1:], large[1:])
	}
	return nil
}

func newProbe(name string, small, large []latencies) probe {
	var smalls, larges, ratios []float64
	for round := range small {
		s, l := small[round][name].Seconds(), large[round][name].Seconds()
		smalls, larges, ratios = append(smalls, s), append(larges, l), append(ratios, l/s)
	}
	of := func(values []float64) time.Duration { return time.Duration(median(values) * float64(time.Second)) }
	return probe{of(smalls), of(larges), distributionOf(ratios)}
}

// restart starts the server on the same data and at the same address, and returns how
// long it took to the first answer. It stops the server before, if it runs.
func (f *filler) restart(ctx context.Context) (time.Duration, error) {
	b := f.bed
	address := b.gatehouse.address()
	if err := b.gatehouse.stop(); err != nil {
		return 0, err
	}
	begin := time.Now()
	var err error
	if b.gatehouse, err = b.startGatehouse(ctx, b.data, "--listen", address); err != nil {
		return 0, err
	}
	r, err := newGet(ctx, b.gatehouse.url+"/readyz", nil)
	if err != nil {
		return 0, err
	}
	_, err = send(f.registry.client, r, 200)
	return time.Since(begin), err
}

func (f *filler) databaseSize(ctx context.Context) (int64, error) {
	if s := f.bed.stores; s != nil {
		return s.size(ctx, f.bed.data)
	}
	return fileSizes(f.bed.data, "gatehouse.db*"), nil
}

func fileSizes(dir, pattern string) (size int64) {
	names, _ := filepath.Glob(filepath.Join(dir, pattern)) // the pattern is valid
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			size += info.Size()
		}
	}
	return size
}

func writeScale(to io.Writer, stages []stage) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	row := func(name string, cell func(stage) string) {
		fmt.Fprint(w, name)
		for _, s := range stages {
			fmt.Fprint(w, "\t", cell(s))
		}
		fmt.Fprintln(w)
	}
	compared := func(p probe) string {
		return fmt.Sprintf("%s %s (%s)", formatDuration(p.large), p.ratio, p.ratio.extremes())
	}
	row("tags", func(s stage) string { return thousands(float64(s.stored.repositories * tagsEach)) })
	row("package versions", func(s stage) string { return thousands(float64(s.stored.packages * versionsEach)) })
	row("identities", func(s stage) string { return thousands(float64(s.stored.users)) })
	for _, name := range scaleOperations() {
		row(name, func(s stage) string { return compared(s.probes[name]) })
	}
	row("memory after the start", func(s stage) string { return size.format(float64(s.memory)) })
	row("memory after all this", func(s stage) string { return size.format(float64(s.used)) })
	row("database", func(s stage) string { return size.format(float64(s.database)) })
	row("time to fill", func(s stage) string { return formatDuration(s.filling) })
	fmt.Fprintln(w, "\nMedian latencies of one client, how many times those of a nearly empty server measured in turns, and the spread of the rounds.")
	return w.Flush()
}
