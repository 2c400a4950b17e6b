package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// module is whose commands are built.
const module = "github.com/gatehouse-registry/gatehouse/"

// yardstickSecret signs what is sent to the yardstick. It opens nothing.
const yardstickSecret = "the yardstick has no secrets, and checks signatures all the same"

// A testbed has the two servers, and what they were filled with.
type testbed struct {
	duration time.Duration
	// dir is what everything below is in; files is served by the yardstick, and
	// data is Gatehouse's.
	dir, files, data string
	// gatehouse and yardstick are the programs.
	gatehousePath, yardstickPath string
	gatehouse, yardstick         *process
	// identities is the database of the jobs of many identities, once it is filled.
	identities *db.DB
	// credentials and addresses of Gatehouse, as its profile has them.
	aws aws.Config

	// What the jobs share is filled once, by the first of them that asks.
	domain   func(context.Context) (*codeartifact.Client, error)
	registry func(context.Context) (*registry, error)
	images   func(context.Context) (*storedImage, error)
	tags     func(context.Context) (*registry, error)
	npm      func(context.Context) (*npmRepository, error)
	many     func(context.Context) (*manyIdentities, error)
}

func newTestbed(o *options) *testbed {
	b := &testbed{duration: o.duration}
	b.domain, b.npm = once(b.openDomain), once(b.fillNPM)
	b.many = once(b.fillIdentities)
	b.registry, b.images, b.tags = once(b.openRegistry), once(b.fillImages), once(b.fillTags)
	return b
}

// open builds both servers and starts them. The caller closes the testbed, also
// after an error.
func (b *testbed) open(ctx context.Context, o *options) error {
	var err error
	if b.dir, err = os.MkdirTemp(o.dir, "gatehouse-bench-"); err != nil {
		return err
	}
	b.files, b.data = filepath.Join(b.dir, "files"), filepath.Join(b.dir, "data")
	if err := os.Mkdir(b.files, 0o700); err != nil {
		return err
	}
	b.yardstickPath, b.gatehousePath = filepath.Join(b.dir, "yardstick"), o.binary
	if err := build(ctx, b.yardstickPath, "bench/yardstick"); err != nil {
		return err
	}
	if b.gatehousePath == "" {
		b.gatehousePath = filepath.Join(b.dir, "gatehouse")
		if err := build(ctx, b.gatehousePath, "cmd/gatehouse"); err != nil {
			return err
		}
	}
	if b.yardstick, err = b.startYardstick(ctx); err != nil {
		return err
	}
	if b.gatehouse, err = b.startGatehouse(ctx, b.data); err != nil {
		return err
	}
	b.aws, err = profile(ctx, b.data)
	return err
}

func (b *testbed) startYardstick(ctx context.Context) (*process, error) {
	return start(ctx, b.yardstickPath, "-files", b.files, "-secret", yardstickSecret)
}

// startGatehouse runs the server as an operator would, but for the log of each
// request, for which the yardsticks have no counterpart; the audit record, which
// nobody goes without, is written.
func (b *testbed) startGatehouse(ctx context.Context, data string) (*process, error) {
	return start(ctx, b.gatehousePath, "serve", "--data", data, "--listen", "127.0.0.1:0", "--log-level", "warn")
}

// close stops the servers and removes what they kept.
func (b *testbed) close() error {
	var errs []error
	for _, p := range []*process{b.gatehouse, b.yardstick} {
		if p != nil {
			errs = append(errs, p.stop())
		}
	}
	if b.identities != nil {
		errs = append(errs, b.identities.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

func build(ctx context.Context, path, command string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, module+command)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", command, err, out)
	}
	return nil
}

// profile reads what Gatehouse wrote for AWS tools into its data folder.
func profile(ctx context.Context, data string) (aws.Config, error) {
	return config.LoadDefaultConfig(ctx,
		config.WithSharedConfigFiles([]string{filepath.Join(data, "aws", "config")}),
		config.WithSharedCredentialsFiles([]string{filepath.Join(data, "aws", "credentials")}),
		config.WithSharedConfigProfile("gatehouse"))
}

// once is [sync.OnceValues] for what takes a context: that of the first call.
func once[T any](f func(context.Context) (T, error)) func(context.Context) (T, error) {
	var (
		do    sync.Once
		value T
		err   error
	)
	return func(ctx context.Context) (T, error) {
		do.Do(func() { value, err = f(ctx) })
		return value, err
	}
}

// serveFile makes the yardstick serve the content, and returns the path.
func (b *testbed) serveFile(name string, content []byte) (string, error) {
	return "/files/" + name, os.WriteFile(filepath.Join(b.files, name), content, 0o600)
}

// jobs are all of them, in the order of the table. Those of the life of the
// process come last: they stop the server.
func (b *testbed) jobs() []job {
	var all []job
	for _, group := range [][]job{b.tokenJobs(), b.sealJobs(), b.decisionJobs(), b.pullJobs(), b.pushJobs(), b.npmJobs(), b.lifeJobs()} {
		all = append(all, group...)
	}
	return all
}
