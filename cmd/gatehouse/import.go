package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/gatehouse-registry/gatehouse/internal/client/registryimport"
	"github.com/gatehouse-registry/gatehouse/internal/client/retryafter"
	"github.com/gatehouse-registry/gatehouse/internal/server/progress"
)

type importCommand struct {
	Packages importPackagesCommand `cmd:"" help:"Copy the packages of a repository of AWS CodeArtifact or of another Gatehouse into one of this server."`
	Images   importImagesCommand   `cmd:"" help:"Copy the images of ECR, of another Gatehouse or of any registry into the registry of this server."`
}

// importFlags are what both commands have. The other AWS flags are of the destination.
type importFlags struct {
	FromProfile  string `placeholder:"NAME" help:"Profile of the AWS configuration for the source (AWS_PROFILE)."`
	FromRegion   string `placeholder:"REGION" help:"AWS region of the source (AWS_REGION, or the profile's)."`
	FromEndpoint string `placeholder:"URL" help:"Endpoint of the API of the source (AWS_ENDPOINT_URL, the profile's, or AWS's own)."`
	Parallel     int    `default:"4" placeholder:"N" help:"How many packages, or parts of repositories, are worked on at a time (4)."`
	DryRun       bool   `help:"Only compare both sides, and show what would be sent."`
	// Output is not outputFlag, whose older name is --format.
	Output string `short:"o" enum:"text,json" default:"text" placeholder:"FORM" help:"Form of the report: text or json."`
	awsFlags
}

func (f *importFlags) check() error {
	if f.Parallel < 1 || f.Parallel > 64 {
		return usageError{errors.New("--parallel is 1 to 64")}
	}
	return nil
}

func (f *importFlags) source() awsFlags {
	return awsFlags{Profile: f.FromProfile, Region: f.FromRegion, EndpointURL: f.FromEndpoint}
}

// patient makes the clients of a configuration wait when a server asks for it.
func patient(cfg aws.Config) (aws.Config, http.RoundTripper) {
	base := http.DefaultTransport.(*http.Transport).Clone()
	if c, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		base = c.GetTransport()
	}
	base.MaxIdleConnsPerHost = 64
	t := &retryafter.Transport{Base: base}
	cfg.HTTPClient = &http.Client{Transport: t}
	return cfg, t
}

// validPattern checks a pattern of a flag.
func validPattern(flag, pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil {
		return usageError{fmt.Errorf("%s %q is not a pattern such as acme-*", flag, pattern)}
	}
	return nil
}

// report returns a report that shows progress: bars on a terminal, and else a line for
// everything that was not there already.
func (f *importFlags) report(stderr messages, what string) (r *registryimport.Report, end func()) {
	reporter, stop := newProgress(stderr)
	phase := reporter.Begin(what, 0, progress.Items)
	var mu sync.Mutex
	r = registryimport.NewReport(func(name string, state registryimport.State) {
		phase.Add(1)
		if reporter == progress.Silent && state != registryimport.Held {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintln(stderr, state, name)
		}
	})
	return r, func() { phase.End(); stop() }
}

// finish prints the report, and fails if something was not imported. interrupted is why the
// run ended early, if it did.
func (f *importFlags) finish(stdout io.Writer, r *registryimport.Report, interrupted error) error {
	counts, entries := r.Counts(), r.Entries()
	if f.Output == outputJSON {
		answer := map[string]any{"counts": counts, "entries": append([]registryimport.Entry{}, entries...), "complete": interrupted == nil && r.Complete(), "dryRun": f.DryRun}
		if interrupted != nil {
			answer["error"] = interrupted.Error()
		}
		if err := printJSON(stdout, answer); err != nil {
			return err
		}
	} else if err := printImport(stdout, counts, entries); err != nil {
		return err
	}
	switch {
	case interrupted != nil:
		return interrupted
	case !r.Complete():
		return errReported
	case len(counts) == 0 && f.Output != outputJSON:
		_, err := fmt.Fprintln(stdout, "the source has nothing that the filters match")
		return err
	}
	return nil
}

func printImport(stdout io.Writer, counts map[string]registryimport.Counts, entries []registryimport.Entry) error {
	for _, e := range entries {
		if _, err := fmt.Fprintf(stdout, "%s %s: %s\n", e.State, e.Name, e.Message); err != nil {
			return err
		}
	}
	formats := make([]string, 0, len(counts))
	for format := range counts {
		formats = append(formats, format)
	}
	slices.Sort(formats)
	for _, format := range formats {
		c := counts[format]
		var words []string
		for _, part := range []struct {
			n    int
			word string
		}{{c.Planned, "to import"}, {c.Imported, "imported"}, {c.Held, "there already"}, {c.Skipped, "skipped"}, {c.Different, "different"}, {c.Failed, "failed"}} {
			if part.n > 0 {
				words = append(words, fmt.Sprintf("%d %s", part.n, part.word))
			}
		}
		if _, err := fmt.Fprintf(stdout, "%s: %s, %s\n", format, strings.Join(words, ", "), size(c.Bytes)); err != nil {
			return err
		}
	}
	return nil
}

// temporary is where files are while they are imported.
func temporary() string { return os.TempDir() }
