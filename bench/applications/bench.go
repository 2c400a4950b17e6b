package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A bench measures one application.
type bench struct {
	options
	*application
	dir     string // for everything that is temporary
	program string // gatehouse

	standIn  *standIn
	upstream string // the address of the registry at the stand-in
	results  results
	// wanted are the files that the first straight run has installed, with their hashes.
	wanted map[string]string
	runs   int
}

func (b *bench) measure(ctx context.Context) (err error) {
	fetched, err := b.fetched(ctx)
	if err != nil {
		return err
	}
	b.standIn = newStandIn()
	defer b.standIn.close()
	if b.upstream, err = b.publish(fetched, b.standIn); err != nil {
		return err
	}
	for round := range b.rounds {
		if err := b.straight(ctx); err != nil {
			return err
		}
		if err := b.gatehouse(ctx, round); err != nil {
			return err
		}
	}
	b.results.print(os.Stdout, fmt.Sprintf("%s (%d files)", b.what, len(b.wanted)))
	return nil
}

// fetched returns the folder with the packages. It is kept below the folder of the tools:
// the registries are asked once for each list of dependencies.
func (b *bench) fetched(ctx context.Context) (string, error) {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(b.inputs)) {
		text, err := inputs.ReadFile("testdata/" + b.inputs[name])
		if err != nil {
			return "", err
		}
		sum.Write(text)
	}
	dir := filepath.Join(b.tools, "applications", b.name+"-"+hex.EncodeToString(sum.Sum(nil)[:6]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	part := dir + ".part" // what an interrupted run has left in the caches is used
	if err := b.write(filepath.Join(part, "app")); err != nil {
		return "", err
	}
	fmt.Fprintf(os.Stderr, "%s: fetching the packages\n", b.name)
	if err := b.fetch(ctx, part); err != nil {
		return "", err
	}
	return dir, os.Rename(part, dir)
}

// straight measures the client at the stand-in.
func (b *bench) straight(ctx context.Context) error {
	c, err := b.newClient()
	if err != nil {
		return err
	}
	if err := b.configure(c, b.upstream); err != nil {
		return err
	}
	return b.time(ctx, "straight", c)
}

// gatehouse measures a new server.
func (b *bench) gatehouse(ctx context.Context, round int) (err error) {
	g, err := b.startGatehouse(ctx, filepath.Join(b.dir, fmt.Sprintf("server-%d", round)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.stop()) }()
	for _, run := range []string{"cold", "warm", "cut off"} {
		b.standIn.cut(run == "cut off")
		c, err := b.newClient()
		if err != nil {
			return err
		}
		if err := g.login(ctx, c, b.tool); err != nil {
			return err
		}
		if err := b.time(ctx, "Gatehouse, "+run, c); err != nil {
			return err
		}
	}
	b.standIn.cut(false)
	return nil
}

// newClient returns a client without anything.
func (b *bench) newClient() (*client, error) {
	b.runs++
	home := filepath.Join(b.homes, b.name, fmt.Sprintf("home-%d", b.runs))
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, err
	}
	path := strings.Join([]string{filepath.Join(home, ".local/bin"), filepath.Dir(b.program), os.Getenv("PATH")}, string(os.PathListSeparator))
	return &client{home: home, env: []string{
		"HOME=" + home, "PATH=" + path, "TMPDIR=" + os.TempDir(), "LANG=C.UTF-8",
		"RUSTUP_HOME=" + cmp.Or(os.Getenv("RUSTUP_HOME"), filepath.Join(os.Getenv("HOME"), ".rustup")),
		"CARGO_TERM_COLOR=never", "npm_config_update_notifier=false",
	}}, nil
}

// time installs the application, notes how long it takes, and compares what was installed.
func (b *bench) time(ctx context.Context, name string, c *client) error {
	app := filepath.Join(c.home, "app")
	if err := b.write(app); err != nil {
		return err
	}
	_ = exec.CommandContext(ctx, "sync").Run() // what the last run has written does not count here
	b.standIn.requests()
	began := time.Now()
	installed, err := b.install(ctx, c, app)
	took := time.Since(began)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	requests := b.standIn.requests()
	if b.verbose {
		fmt.Fprintf(os.Stderr, "%s %s: %.2f s, %d requests at the stand-in\n", b.name, name, took.Seconds(), requests)
	}
	b.results.add(name, took, requests)
	files, err := hashes(installed, b.compared)
	if err != nil {
		return err
	}
	if b.wanted == nil {
		b.wanted = files
	}
	if len(files) == 0 || !maps.Equal(files, b.wanted) {
		return fmt.Errorf("%s: other files were installed than straight: %s", name, difference(b.wanted, files))
	}
	return os.RemoveAll(c.home)
}

// hashes returns the hashes of the files below a folder that count, by the names under
// which they count.
func hashes(dir string, compared func(name string) string) (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if name = compared(filepath.ToSlash(name)); name == "" {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		sum := sha256.New()
		if _, err := io.Copy(sum, f); err != nil {
			return err
		}
		files[name] = hex.EncodeToString(sum.Sum(nil))
		return nil
	})
	return files, err
}

// difference names a few files that differ.
func difference(a, b map[string]string) string {
	var names []string
	for _, pair := range [][2]map[string]string{{a, b}, {b, a}} {
		for name, sum := range pair[0] {
			if pair[1][name] != sum {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names)[:min(len(names), 5)], ", ")
}
