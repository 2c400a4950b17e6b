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

// An installation is how much is stored.
type installation struct {
	repositories, packages, users int
}

const (
	// tagsEach is how many images, each with one tag, every repository has.
	tagsEach = 100
	// versionsEach is how many versions every package has.
	versionsEach = 100
)

// wholeInstallation has a million tags, a million package versions and 100,000
// identities.
func wholeInstallation() installation { return installation{10_000, 10_000, 100_000} }

// share returns a part of the installation, at least one of each.
func (i installation) share(part float64) installation {
	of := func(n int) int { return max(1, int(float64(n)*part)) }
	return installation{of(i.repositories), of(i.packages), of(i.users)}
}

// stages are the parts of the installation at which everything is measured. The
// first one is nearly empty, and the others are compared with it.
func stages(scale float64) []float64 {
	return []float64{0, scale / 100, scale / 10, scale}
}

// A stage is what was measured while a part of the installation was stored.
type stage struct {
	stored   installation
	filling  time.Duration // since the stage before
	latency  map[string]time.Duration
	start    time.Duration // from the start of the process to the first answer
	memory   int64         // resident, right after the start
	database int64         // bytes
}

// measureScale fills an installation step by step, and measures the same requests at
// each step.
func measureScale(ctx context.Context, o *options, to io.Writer) (err error) {
	bed := newTestbed(o)
	if err := bed.open(ctx, o); err != nil {
		return errors.Join(err, bed.close())
	}
	defer func() { err = errors.Join(err, bed.close()) }()
	f, err := newFiller(ctx, bed)
	if err != nil {
		return err
	}
	var measured []stage
	for _, part := range stages(o.scale) {
		want := wholeInstallation().share(part)
		fmt.Fprintf(os.Stderr, "%d tags, %d package versions, %d identities …\n", want.repositories*tagsEach, want.packages*versionsEach, want.users)
		s, err := f.stage(ctx, want)
		if err != nil {
			return err
		}
		measured = append(measured, s)
	}
	if o.plot != "" {
		if err := os.WriteFile(o.plot, []byte(plotScale(measured)), 0o644); err != nil {
			return err
		}
	}
	return writeScale(to, measured)
}

// stage fills the installation up to want, starts the server anew and measures.
func (f *filler) stage(ctx context.Context, want installation) (s stage, err error) {
	begin := time.Now()
	if err := f.fill(ctx, want); err != nil {
		return s, fmt.Errorf("fill: %w", err)
	}
	s.stored, s.filling = want, time.Since(begin)
	if s.start, s.memory, err = f.restart(ctx); err != nil {
		return s, fmt.Errorf("start: %w", err)
	}
	if s.latency, err = f.latencies(ctx); err != nil {
		return s, err
	}
	s.database, err = f.databaseSize(ctx)
	return s, err
}

// restart stops the server and starts it on the same data and at the same address.
func (f *filler) restart(ctx context.Context) (time.Duration, int64, error) {
	b := f.bed
	address := b.gatehouse.address()
	if err := b.gatehouse.stop(); err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	var err error
	if b.gatehouse, err = b.startGatehouse(ctx, b.data, "--listen", address); err != nil {
		return 0, 0, err
	}
	r, err := newGet(ctx, b.gatehouse.url+"/healthz", nil)
	if err != nil {
		return 0, 0, err
	}
	if _, err := send(f.registry.client, r, 200); err != nil {
		return 0, 0, err
	}
	taken := time.Since(begin)
	memory, err := b.gatehouse.memory()
	return taken, memory, err
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
	row("tags", func(s stage) string { return thousands(float64(s.stored.repositories * tagsEach)) })
	row("package versions", func(s stage) string { return thousands(float64(s.stored.packages * versionsEach)) })
	row("identities", func(s stage) string { return thousands(float64(s.stored.users)) })
	first := stages[0]
	for _, name := range scaleOperations() {
		row(name, func(s stage) string {
			return fmt.Sprintf("%s (%.2f)", formatDuration(s.latency[name]), float64(s.latency[name])/float64(first.latency[name]))
		})
	}
	row("start to first answer", func(s stage) string { return formatDuration(s.start) })
	row("memory after the start", func(s stage) string { return size.format(float64(s.memory)) })
	row("database", func(s stage) string { return size.format(float64(s.database)) })
	row("time to fill", func(s stage) string { return formatDuration(s.filling) })
	fmt.Fprintln(w, "\nMedian latencies of one client; in brackets how many times those of the first column.")
	return w.Flush()
}
