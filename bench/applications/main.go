// Command applications measures how fast real applications are installed through an
// external connection:
//
//	scripts/install-clients
//	go run ./bench/applications
//	go run ./bench/applications -run npm -rounds 5
//
// Each application has a few hundred packages: a React application (npm), a set of Python
// wheels for data science (pip), a Spring Boot application (Maven) and a Cargo workspace.
//
// # What is measured
//
// The packages are real. The clients fetch them once, with the settings of this machine,
// and a stand-in serves them on loopback as the public registries do: with validators,
// ranges, compressed documents, the abbreviated documents of npm, and files on another
// host than the index. Then each round has, in turns and each time with empty caches of the
// client:
//
//   - straight: the client with the stand-in as its registry;
//   - cold: through Gatehouse, a new server with an empty store;
//   - warm: again, with everything kept;
//   - cut off: again, while the stand-in breaks every connection.
//
// Every run must install the same files as the straight one. The table has the median
// of the rounds, the smallest and the largest, and the median compared with straight's.
//
// The folders of the clients are in memory if the machine has /dev/shm: most of what a client
// does is to write thousands of small files, and a server's syncs would write those of a client
// on the same disk, too. The servers' data are in the folder for temporary files.
//
// The server, the stand-in and the client share the processors of the machine. So the
// ratio is larger than with machines of their own, and a busy machine widens the spread.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
)

// options are the command line's flags.
type options struct {
	run     *regexp.Regexp
	rounds  int
	tools   string
	verbose bool
	homes   string // the folder of the clients; empty for a new one
	debug   string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	run := flag.String("run", "", "measure only applications that match this regular `expression`: npm, pip, maven, cargo")
	flag.IntVar(&o.rounds, "rounds", 3, "how many times each is installed")
	flag.StringVar(&o.tools, "tools", ".tools", "`folder` into which scripts/install-clients installed the clients")
	flag.BoolVar(&o.verbose, "v", false, "print each time")
	flag.StringVar(&o.homes, "clients", "", "`folder` for what the clients write (default: a new one in /dev/shm, or in the folder for temporary files)")
	flag.StringVar(&o.debug, "debug", "", "an `address` for the server's debug_listen")
	flag.Parse()
	if flag.NArg() > 0 || o.rounds < 1 {
		fmt.Fprintln(os.Stderr, "applications: only flags are allowed, and -rounds must be above 0")
		os.Exit(2)
	}
	var err error
	if o.run, err = regexp.Compile(*run); err == nil {
		o.tools, err = filepath.Abs(o.tools)
	}
	if err == nil {
		err = measure(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "applications:", err)
		os.Exit(1)
	}
}

// measure measures the applications and prints a table for each.
func measure(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "gatehouse-applications-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if o.homes == "" {
		if o.homes, err = makeHomes(dir); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.homes)) }()
	}
	program := filepath.Join(dir, "bin/gatehouse")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/gatehouse-registry/gatehouse/cmd/gatehouse").CombinedOutput(); err != nil {
		return fmt.Errorf("build gatehouse: %w\n%s", err, out)
	}
	for _, a := range applications(o.tools) {
		if !o.run.MatchString(a.name) {
			continue
		}
		b := &bench{options: o, application: a, dir: filepath.Join(dir, a.name), program: program}
		if err := b.measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
	}
	return nil
}

// makeHomes makes a folder for the clients, in memory if that is possible.
func makeHomes(dir string) (string, error) {
	const memory = "/dev/shm"
	if info, err := os.Stat(memory); err == nil && info.IsDir() {
		dir = memory
	}
	return os.MkdirTemp(dir, "gatehouse-clients-")
}
