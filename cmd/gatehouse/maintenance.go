package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/progress"
)

// dataFlags name the installation of a command that works on its files.
type dataFlags struct {
	Config     string `placeholder:"FILE" env:"GATEHOUSE_CONFIG" help:"The configuration file of the server."`
	Data       string `placeholder:"DIR" env:"GATEHOUSE_DATA" help:"The data folder of the server (${default_data})."`
	storeFlags `embed:""`
}

// storeFlags are settings that a server often has from its environment, because they
// can have a password. The commands beside a server must see the same.
type storeFlags struct {
	Database string `placeholder:"URL" env:"GATEHOUSE_DATABASE" help:"The database of the server, if it is PostgreSQL and the configuration file does not name it."`
	Blobs    string `placeholder:"URL" env:"GATEHOUSE_BLOBS" help:"The bucket of the server, if it has one and the configuration file does not name it."`
}

func (f storeFlags) apply(c *config.Config) {
	c.Database = cmp.Or(f.Database, c.Database)
	c.Blobs = cmp.Or(f.Blobs, c.Blobs)
}

func (f dataFlags) config() (*config.Config, error) {
	cfg := config.Default()
	if f.Config != "" {
		if err := cfg.Read(f.Config); err != nil {
			return nil, usageError{err}
		}
	}
	cfg.Data = cmp.Or(f.Data, cfg.Data)
	f.apply(cfg)
	cfg.WrappingKeys = wrappingKeys()
	return cfg, nil
}

// bars draws the progress of a command on a terminal.
type bars struct{ *mpb.Progress }

// newProgress draws bars on w if that is a terminal. close ends them, and must be called
// before anything else is written to the terminal.
func newProgress(w io.Writer) (r progress.Reporter, end func()) {
	if m, ok := w.(messages); ok {
		w = m.Writer
	}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return progress.Silent, func() {}
	}
	p := mpb.New(mpb.WithOutput(f), mpb.WithWidth(40))
	return bars{p}, sync.OnceFunc(p.Wait)
}

// Begin implements [progress.Reporter].
func (b bars) Begin(name string, total int64, unit progress.Unit) progress.Phase {
	counters := decor.CountersNoUnit("%d / %d", decor.WCSyncSpace)
	if unit == progress.Bytes {
		counters = decor.CountersKibiByte("% .1f / % .1f", decor.WCSyncSpace)
	}
	options := []mpb.BarOption{mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR), counters)}
	if total > 0 {
		options = append(options, mpb.AppendDecorators(decor.Percentage(decor.WCSyncSpace), decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace)))
	} else {
		options = append(options, mpb.AppendDecorators(decor.Elapsed(decor.ET_STYLE_GO, decor.WCSyncSpace)))
	}
	return bar{b.AddBar(total, options...)}
}

// A bar is one phase.
type bar struct{ *mpb.Bar }

// Add implements [progress.Phase].
func (b bar) Add(n int64) { b.IncrInt64(n) }

// End implements [progress.Phase]. What is not done is not drawn as done.
func (b bar) End() { b.SetTotal(-1, true) }

// size is a number of bytes for people.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d bytes", n)
	}
	value, prefix := float64(n)/unit, 0
	for value >= unit && prefix < 4 {
		value /= unit
		prefix++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[prefix])
}

// count is a number with its noun.
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
