// Command sidebyside compares the ways in which a container client gets a token
// of ECR: Gatehouse's helper, amazon-ecr-credential-helper, and the AWS CLI.
//
//	scripts/install-clients
//	go run ./bench/sidebyside
//
// All of them pull the same image from one Gatehouse, which has AWS's host names,
// since amazon-ecr-credential-helper knows no others: a proxy of the program's own
// leads these names to the server, whose own authority the clients are told to
// trust. Nothing of this machine is changed, and AWS is not asked.
//
// # What is measured
//
//   - A pull with nothing kept (cold), and one after it (warm): seconds, with what
//     else a person types in between. The median of the rounds, in which all take
//     turns, with the smallest and the largest.
//   - Twenty processes at once with nothing kept: calls of GetAuthorizationToken,
//     from the server's audit records.
//   - A build of 24 hours that pulls every 5 minutes: calls, and pulls that the
//     server refuses. Ours goes by a clock that is moved, which its build with the
//     tag e2e has, as does the server. amazon-ecr-credential-helper has no such
//     clock: the times in its cache file are moved back instead. The AWS CLI keeps
//     nothing, so that somebody logs in once, or before every pull.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// options are what the command line says.
type options struct {
	rounds int
	steps  int
	tools  string
	cli2   string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "how many times each pulls")
	flag.IntVar(&o.steps, "pulls", 288, "how many pulls, 5 minutes apart, the long build has")
	flag.StringVar(&o.tools, "tools", ".tools", "`folder` where scripts/install-clients has put the clients")
	flag.StringVar(&o.cli2, "aws2", "/usr/bin/aws", "the AWS CLI, version 2")
	flag.Parse()
	if flag.NArg() > 0 || o.rounds < 1 || o.steps < 1 {
		fmt.Fprintln(os.Stderr, "sidebyside: want no arguments but flags, and -rounds and -pulls above 0")
		os.Exit(2)
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "sidebyside:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	tools, err := filepath.Abs(o.tools)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gatehouse-sidebyside-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	w := &world{dir: dir, tools: tools}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.open(ctx); err != nil {
		return err
	}
	all := []contestant{
		&helper{world: w, name: "gatehouse", suffix: "gatehouse", program: w.plain, cache: ".cache/gatehouse"},
		&helper{world: w, name: "amazon-ecr-credential-helper", suffix: "ecr-login", program: filepath.Join(tools, "bin/docker-credential-ecr-login"), cache: ".ecr"},
		&cli{world: w, name: "AWS CLI 1", argv: []string{filepath.Join(tools, "python/bin/aws")}},
		// Debian's is older than endpoint_url in profiles.
		&cli{world: w, name: "AWS CLI 2", argv: []string{o.cli2, "--endpoint-url", w.server.url}},
	}
	results := make([]result, len(all))
	for i, c := range all {
		results[i].name = c.Name()
	}
	if err := pulls(ctx, all, results, o.rounds); err != nil {
		return err
	}
	for i, c := range all {
		fmt.Fprintf(os.Stderr, "%s: twenty at once, and a day …\n", c.Name())
		if results[i].atOnce, err = atOnce(ctx, w, c); err != nil {
			return fmt.Errorf("%s: twenty at once: %w", c.Name(), err)
		}
		if results[i].days, err = c.Day(ctx, o.steps); err != nil {
			return fmt.Errorf("%s: the long build: %w", c.Name(), err)
		}
	}
	return report(os.Stdout, results, o)
}
