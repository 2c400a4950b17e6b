package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	"golang.org/x/term"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

type eventsCommand struct {
	Follow bool           `short:"f" help:"Wait for further events until the command is interrupted."`
	Since  *time.Duration `placeholder:"DURATION" help:"Begin with the events of this time, such as 30m. The default is 1h, and 0 with --follow."`
	Filter []string       `placeholder:"KEY=VALUE" help:"Only events of this source, detail-type, account, domain or repository. Can be repeated."`
	Output string         `short:"o" enum:",text,json" default:"" placeholder:"FORM" help:"Form of the output: text, or json with one event a line. The default is text on a terminal."`
	awsFlags
}

// Help is what --help shows below the flags.
func (eventsCommand) Help() string {
	return `Events say what was published, changed and deleted, as Amazon EventBridge would. The
server keeps them for a day, or as the setting events.keep says. The caller needs
gatehouse:ListEvents. Filters with the same key allow several values.

Examples:

  gatehouse events --since 12h
  gatehouse events --follow --filter domain=acme --filter repository=releases
  gatehouse events --output json | jq .detail`
}

// eventsWait is how long the server waits for an event, and eventsPause how long a
// command that follows waits if the server does not.
const (
	eventsWait  = 20
	eventsPause = time.Second
)

// Run prints events.
func (c *eventsCommand) Run(ctx context.Context, stdout io.Writer, stderr messages, now clock) error {
	in, err := c.input()
	if err != nil {
		return err
	}
	client, err := c.operator(ctx, now)
	if err != nil {
		return err
	}
	show := c.printer(stdout)
	complained := false
	for {
		began := time.Now()
		page, err := client.ListEvents(ctx, in)
		if err != nil && c.Follow && in.NextToken != nil && isTemporary(err) && ctx.Err() == nil {
			if !complained {
				fmt.Fprintf(stderr, "gatehouse: the server does not answer; still trying: %v\n", client.explain(err))
			}
			complained = true
			pause(ctx, eventsPause)
			continue
		}
		switch {
		case ctx.Err() != nil && c.Follow: // interrupted, which is how it ends
			return nil
		case err != nil:
			return client.explain(err)
		}
		complained = false
		for _, e := range page.Events {
			if err := show(e.Event); err != nil {
				return err
			}
		}
		in.NextToken, in.SinceSeconds = &page.NextToken, nil
		if page.More {
			continue
		}
		if !c.Follow {
			return nil
		}
		in.WaitSeconds = new(int32(eventsWait))
		if len(page.Events) == 0 && time.Since(began) < eventsPause {
			pause(ctx, eventsPause) // a server that is shutting down does not wait
		}
	}
}

// pause returns after a time, or when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// isTemporary reports whether a server that is started again may answer.
func isTemporary(err error) bool {
	var answered smithy.APIError
	return !errors.As(err, &answered) || answered.ErrorFault() == smithy.FaultServer
}

// input returns the first request.
func (c *eventsCommand) input() (*operatormodel.ListEventsInput, error) {
	since := time.Hour
	switch {
	case c.Since != nil:
		since = *c.Since
	case c.Follow:
		since = 0
	}
	if since < 0 {
		return nil, usageError{errors.New("--since must not be negative")}
	}
	in := &operatormodel.ListEventsInput{SinceSeconds: new(int64(since / time.Second))}
	lists := map[string]*[]string{
		"source": &in.Sources, "detail-type": &in.DetailTypes, "account": &in.Accounts, "domain": &in.Domains, "repository": &in.Repositories,
	}
	for _, f := range c.Filter {
		key, value, ok := strings.Cut(f, "=")
		list := lists[key]
		if !ok || list == nil {
			return nil, usageError{fmt.Errorf("--filter %s: want source=, detail-type=, account=, domain= or repository= and a value", f)}
		}
		*list = append(*list, value)
	}
	return in, nil
}

// printer returns what writes an event.
func (c *eventsCommand) printer(stdout io.Writer) func(event string) error {
	f, isFile := stdout.(*os.File)
	if c.Output == outputText || c.Output == "" && isFile && term.IsTerminal(int(f.Fd())) {
		return func(event string) error {
			line, err := eventLine(event)
			if err == nil {
				_, err = fmt.Fprintln(stdout, line)
			}
			return err
		}
	}
	return func(event string) error {
		_, err := fmt.Fprintln(stdout, event)
		return err
	}
}

// eventLine describes an event for a person.
func eventLine(event string) (string, error) {
	var e struct {
		DetailType string    `json:"detail-type"`
		Time       time.Time `json:"time"`
		Account    string    `json:"account"`
		Resources  []string  `json:"resources"`
		Detail     struct {
			// of CodeArtifact
			DomainName, RepositoryName, PackageFormat, PackageNamespace, PackageName string
			PackageVersion, PackageVersionState, OperationType                       string
			// of ECR
			Repository string `json:"repository-name"`
			Digest     string `json:"image-digest"`
			Tag        string `json:"image-tag"`
			Action     string `json:"action-type"`
			Result     string `json:"result"`
		} `json:"detail"`
	}
	if err := json.Unmarshal([]byte(event), &e); err != nil {
		return "", fmt.Errorf("the server sent an event that cannot be read: %w", err)
	}
	d := &e.Detail
	var what string
	switch {
	case d.PackageVersion != "":
		name := d.PackageName
		if d.PackageNamespace != "" {
			name = d.PackageNamespace + "/" + name
		}
		what = fmt.Sprintf("%s/%s %s %s %s: %s, %s", d.DomainName, d.RepositoryName, d.PackageFormat, name, d.PackageVersion, d.OperationType, d.PackageVersionState)
	case d.Repository != "":
		image := d.Repository
		if d.Tag != "" {
			image += ":" + d.Tag
		}
		what = fmt.Sprintf("%s@%s: %s %s", image, d.Digest, d.Action, d.Result)
	default:
		what = e.DetailType + " " + strings.Join(e.Resources, " ")
	}
	return e.Time.UTC().Format("2006-01-02 15:04:05Z") + "  " + e.Account + "  " + printable(what), nil
}

// printable replaces characters that could change what a terminal shows.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
