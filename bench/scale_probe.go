package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/gatehouse-registry/gatehouse/bench/load"
)

// Names of what is measured at each stage. The server keeps in memory what was asked for
// last. "Not cached" is the first request for something after a start, for which it reads
// the database.
const (
	startName        = "start to first answer"
	tokenName        = "ECR token"
	pullName         = "pull by tag"
	pullColdName     = "pull by tag, not cached"
	pushName         = "push of a manifest"
	tagsName         = "tags page of 100"
	tagsColdName     = "tags page of 100, not cached"
	describeName     = "DescribeImages page of 100"
	documentName     = "npm document, 100 versions"
	documentColdName = "npm document, not cached"
	publishName      = "npm publish"
	createName       = "CreateUser"
)

func scaleOperations() []string {
	return []string{
		tokenName, pullName, pullColdName, pushName, tagsName, tagsColdName, describeName,
		documentName, documentColdName, publishName, createName, startName,
	}
}

// coldOperations are measured after each start, and lastingOperations after the last.
func coldOperations() []string { return []string{pullColdName, tagsColdName, documentColdName} }

func lastingOperations() []string {
	return slices.DeleteFunc(scaleOperations(), func(name string) bool {
		return name == startName || slices.Contains(coldOperations(), name)
	})
}

// probeStart starts the server anew and asks for what it has not in memory.
func (f *filler) probeStart(ctx context.Context) (latencies, error) {
	taken, err := f.restart(ctx)
	if err != nil {
		return nil, err
	}
	measured := latencies{startName: taken}
	for _, name := range coldOperations() {
		requests, err := f.requests(ctx, name)
		if err != nil {
			return nil, err
		}
		result, err := load.Run(ctx, load.Plan{
			Address: f.bed.gatehouse.address(), Requests: requests, Connections: 1,
			Duration: time.Minute, Limit: len(requests), Status: http.StatusOK,
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		measured[name] = result.P50
	}
	return measured, nil
}

// writesEach is how many writes one side does in a round.
const writesEach = 25

// probe measures an operation for one round: its median latency with one client.
func (f *filler) probe(ctx context.Context, name string) (latencies, error) {
	var taken time.Duration
	var err error
	switch name {
	case pushName:
		taken, err = f.timeWrites(func(n int) error { return f.pushTag(ctx, "probe", n) })
	case publishName:
		taken, err = f.timeWrites(func(n int) error {
			// A package of its own for each round, so that its length stays the same.
			name := fmt.Sprintf("probe-%d", (n-1)/writesEach)
			body, err := npmPublicationOf(name, f.npm.url, n, 64)
			if err != nil {
				return err
			}
			return f.npm.send(ctx, npmPut(name, body))
		})
	case createName:
		taken, err = f.timeWrites(func(n int) error {
			_, err := f.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String(fmt.Sprintf("probe-%d", n))})
			return err
		})
	default:
		taken, err = f.timeReads(ctx, name)
	}
	return latencies{name: taken}, err
}

func (f *filler) timeReads(ctx context.Context, name string) (time.Duration, error) {
	requests, err := f.requests(ctx, name)
	if err != nil {
		return 0, err
	}
	result, err := load.Run(ctx, load.Plan{Address: f.bed.gatehouse.address(), Requests: requests, Connections: 1, Duration: f.bed.duration, Status: http.StatusOK})
	return result.P50, err
}

// timeWrites returns the median of some writes, each of which gets a new number.
func (f *filler) timeWrites(write func(n int) error) (time.Duration, error) {
	var taken []float64
	for range writesEach {
		f.pushed++
		s, err := timed(func() error { return write(f.pushed) })
		if err != nil {
			return 0, err
		}
		taken = append(taken, s.Value)
	}
	return time.Duration(median(taken) * float64(time.Second)), nil
}

// requests returns the requests of an operation that reads. Those for what is not cached
// are all different.
func (f *filler) requests(ctx context.Context, name string) ([][]byte, error) {
	image := func(n int) string { return "/v2/" + scaleRepository(n) + "/manifests/" + tagName(rand.IntN(tagsEach)) }
	tags := func(n int) string { return fmt.Sprintf("/v2/%s/tags/list?n=%d", scaleRepository(n), tagsEach) }
	document := func(n int) string {
		return strings.TrimPrefix(f.npm.url, f.bed.gatehouse.url) + "/" + scalePackage(n)
	}
	npm := []string{"Authorization", f.npm.authorization, "Accept", abbreviated, "Accept-Encoding", "gzip"}
	one, some := []int{0}, smallInstallation()
	switch name {
	case pullName:
		return f.gets(ctx, f.registry.header(), image, one)
	case pullColdName:
		return f.gets(ctx, f.registry.header(), image, choice(some.repositories, f.stored.repositories))
	case tagsName:
		return f.gets(ctx, f.registry.header(), tags, one)
	case tagsColdName:
		return f.gets(ctx, f.registry.header(), tags, choice(some.repositories, f.stored.repositories))
	case documentName:
		return f.gets(ctx, npm, document, one)
	case documentColdName:
		return f.gets(ctx, npm, document, choice(some.packages, f.stored.packages))
	case describeName:
		return f.calls(ctx, "DescribeImages", func() string {
			return fmt.Sprintf(`{"repositoryName":%q,"maxResults":%d}`, scaleRepository(rand.IntN(f.stored.repositories)), tagsEach)
		})
	default:
		return f.calls(ctx, "GetAuthorizationToken", func() string { return "{}" })
	}
}

// choice returns n different numbers below end, or as many as there are.
func choice(n, end int) []int {
	all := rand.Perm(end)
	return all[:min(n, end)]
}

func (f *filler) gets(ctx context.Context, header []string, path func(n int) string, numbers []int) ([][]byte, error) {
	requests := make([][]byte, len(numbers))
	for i, n := range numbers {
		var err error
		if requests[i], err = writtenGet(ctx, f.bed.gatehouse.url+path(n), header); err != nil {
			return nil, err
		}
	}
	return requests, nil
}

func (f *filler) calls(ctx context.Context, operation string, body func() string) ([][]byte, error) {
	credentials, err := f.bed.aws.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	c := &call{method: http.MethodPost, path: "/", service: "ecr", body: body, header: http.Header{
		"Content-Type": {"application/x-amz-json-1.1"},
		"X-Amz-Target": {"AmazonEC2ContainerRegistry_V20150921." + operation},
	}}
	return c.signed(ctx, f.bed.gatehouse, credentials, f.bed.aws.Region)
}
