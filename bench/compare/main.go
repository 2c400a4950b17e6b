// Command compare compares three ways for a container client to get an ECR token:
// Gatehouse's helper, amazon-ecr-credential-helper, and the AWS CLI.
//
//	scripts/install-clients
//	go run ./bench/compare
//
// All pull the same image from one Gatehouse server under AWS's host names, since
// amazon-ecr-credential-helper knows no others. A proxy inside this program routes
// these names to the server, and the clients are configured to trust the server's
// certificate authority. The machine's own configuration does not change, and
// nothing is sent to AWS.
//
// # What is measured
//
//   - A pull with an empty cache (cold) and the next pull (warm): seconds, including
//     a login if one is needed. The median of the rounds, with the smallest and the
//     largest.
//   - Twenty concurrent processes with an empty cache: calls of
//     GetAuthorizationToken, from the server's audit records.
//   - A build of 24 hours that pulls every 5 minutes: calls, and pulls that the
//     server refuses. Gatehouse's helper and the server use a clock that is moved
//     (the build tag e2e). amazon-ecr-credential-helper has no such clock: the times
//     in its cache file are moved back instead. The AWS CLI has no cache, so a
//     person logs in once, or before every pull.
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

// options are the command line's flags.
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
	flag.IntVar(&o.rounds, "rounds", 5, "how many times each candidate pulls")
	flag.IntVar(&o.steps, "pulls", 288, "how many pulls, 5 minutes apart, the long build has")
	flag.StringVar(&o.tools, "tools", ".tools", "`folder` into which scripts/install-clients installed the clients")
	flag.StringVar(&o.cli2, "aws2", "/usr/bin/aws", "the AWS CLI, version 2")
	flag.Parse()
	if flag.NArg() > 0 || o.rounds < 1 || o.steps < 1 {
		fmt.Fprintln(os.Stderr, "compare: only flags are allowed, and -rounds and -pulls must be above 0")
		os.Exit(2)
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	tools, err := filepath.Abs(o.tools)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gatehouse-compare-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	w := &setup{dir: dir, tools: tools}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.open(ctx); err != nil {
		return err
	}
	all := []candidate{
		&helper{setup: w, name: "gatehouse", suffix: "gatehouse", program: w.plain, cache: ".cache/gatehouse"},
		&helper{setup: w, name: "amazon-ecr-credential-helper", suffix: "ecr-login", program: filepath.Join(tools, "bin/docker-credential-ecr-login"), cache: ".ecr"},
		&cli{setup: w, name: "AWS CLI 1", argv: []string{filepath.Join(tools, "python/bin/aws")}},
		// Debian's version does not read endpoint_url from profiles.
		&cli{setup: w, name: "AWS CLI 2", argv: []string{o.cli2, "--endpoint-url", w.server.url}},
	}
	results := make([]result, len(all))
	for i, c := range all {
		results[i].name = c.Name()
	}
	if err := pulls(ctx, all, results, o.rounds); err != nil {
		return err
	}
	for i, c := range all {
		fmt.Fprintf(os.Stderr, "%s: 20 concurrent calls, and a long build …\n", c.Name())
		if results[i].concurrentCalls, err = concurrentCalls(ctx, w, c); err != nil {
			return fmt.Errorf("%s: 20 concurrent calls: %w", c.Name(), err)
		}
		if results[i].sessions, err = c.LongBuild(ctx, o.steps); err != nil {
			return fmt.Errorf("%s: the long build: %w", c.Name(), err)
		}
	}
	return report(os.Stdout, results, o)
}
