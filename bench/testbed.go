package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// module is the path of the module whose commands are built.
const module = "github.com/gatehouse-registry/gatehouse/"

// baselineSecret signs requests to the baseline server.
const baselineSecret = "a fixed secret: the baseline server protects nothing"

// A testbed has the two servers and the data stored in them.
type testbed struct {
	duration time.Duration
	// dir contains everything below. The baseline server serves files; data is
	// Gatehouse's data folder.
	dir, files, data string
	// gatehouse and baseline are the programs.
	gatehousePath, baselinePath string
	gatehouse, baseline         *process
	// upstream is the registry behind Gatehouse's external connections.
	upstream *upstreamRegistry
	// identities is the database of the jobs with many identities, once it is filled.
	identities *db.DB
	// stores is nil if the server keeps its data in files.
	stores *stores
	// aws has Gatehouse's credentials and endpoint, from the profile it wrote.
	aws aws.Config

	// Data that several jobs share is stored once, by the first job that needs it.
	domain   func(context.Context) (*codeartifact.Client, error)
	registry func(context.Context) (*registry, error)
	images   func(context.Context) (*storedImage, error)
	tags     func(context.Context) (*registry, error)
	packages map[types.PackageFormat]func(context.Context) (*packageRepository, error)
	generic  func(context.Context) (*genericPackage, error)
	many     func(context.Context) (*manyIdentities, error)
}

func newTestbed(o *options) *testbed {
	b := &testbed{duration: o.duration}
	b.domain = once(b.openDomain)
	b.packages = map[types.PackageFormat]func(context.Context) (*packageRepository, error){}
	for _, f := range packageFormats() {
		b.packages[f.format] = once(func(ctx context.Context) (*packageRepository, error) { return b.fillPackages(ctx, f) })
	}
	b.generic, b.many = once(b.fillGeneric), once(b.fillIdentities)
	b.registry, b.images, b.tags = once(b.openRegistry), once(b.fillImages), once(b.fillTags)
	return b
}

// open builds and starts both servers. The caller must close the testbed, also
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
	b.baselinePath, b.gatehousePath = filepath.Join(b.dir, "baseline"), o.binary
	if err := build(ctx, b.baselinePath, "bench/baseline"); err != nil {
		return err
	}
	if b.gatehousePath == "" {
		b.gatehousePath = filepath.Join(b.dir, "gatehouse")
		if err := build(ctx, b.gatehousePath, "cmd/gatehouse"); err != nil {
			return err
		}
	}
	if b.baseline, err = b.startBaseline(ctx); err != nil {
		return err
	}
	if b.upstream, err = startUpstream(); err != nil {
		return err
	}
	if b.stores, err = openStores(ctx, o); err != nil {
		return err
	}
	if b.gatehouse, err = b.startGatehouse(ctx, b.data); err != nil {
		return err
	}
	b.aws, err = profile(ctx, b.data)
	return err
}

func (b *testbed) startBaseline(ctx context.Context) (*process, error) {
	return start(ctx, b.baselinePath, "-files", b.files, "-secret", baselineSecret)
}

// startGatehouse runs the server as an operator would, with two exceptions: it does
// not log each request, since the baselines do not either, and it does not limit how
// many actions a second its only principal performs. It writes audit records.
func (b *testbed) startGatehouse(ctx context.Context, data string, flags ...string) (*process, error) {
	stores, err := b.stores.flags(ctx, data)
	if err != nil {
		return nil, err
	}
	config := data + ".yaml"
	text := "limits: {principal_rate: 0}\ndownloads: stream\n"
	if b.upstream != nil {
		text += upstreamConfig(b.upstream.url)
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	args := []string{"serve", "--config", config, "--data", data, "--listen", "127.0.0.1:0", "--log-level", "warn"}
	return start(ctx, b.gatehousePath, slices.Concat(args, stores, flags)...)
}

// close stops the servers and removes their data.
func (b *testbed) close() error {
	var errs []error
	for _, p := range []*process{b.gatehouse, b.baseline} {
		if p != nil {
			errs = append(errs, p.stop())
		}
	}
	if b.identities != nil {
		errs = append(errs, b.identities.Close())
	}
	return errors.Join(append(errs, b.stores.close(), b.upstream.close(), os.RemoveAll(b.dir))...)
}

func build(ctx context.Context, path, command string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, module+command)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", command, err, out)
	}
	return nil
}

// profile reads the AWS profile that Gatehouse wrote into its data folder.
func profile(ctx context.Context, data string) (aws.Config, error) {
	return config.LoadDefaultConfig(ctx,
		config.WithSharedConfigFiles([]string{filepath.Join(data, "aws", "config")}),
		config.WithSharedCredentialsFiles([]string{filepath.Join(data, "aws", "credentials")}),
		config.WithSharedConfigProfile("gatehouse"))
}

// once is [sync.OnceValues] for functions with a context. The first call's counts.
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

// serveFile makes the baseline server serve the content and returns its URL path.
func (b *testbed) serveFile(name string, content []byte) (string, error) {
	return "/files/" + name, os.WriteFile(filepath.Join(b.files, name), content, 0o600)
}

// jobs returns all jobs, in the order of the table. The start-up jobs come last
// because they stop the server.
func (b *testbed) jobs() []job {
	var all []job
	for _, group := range [][]job{b.tokenJobs(), b.tokenCryptoJobs(), b.decisionJobs(), b.pullJobs(), b.pushJobs()} {
		all = append(all, group...)
	}
	for _, f := range packageFormats() {
		all = append(all, b.packageJobs(f)...)
	}
	all = append(all, b.genericJobs()...)
	all = append(all, b.upstreamJobs()...)
	return append(all, b.startupJobs()...)
}
