package identity

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

// A Question says what the caller wants to know.
type Question struct {
	AWS credential.AWS
	// Domains are the CodeArtifact domains to request tokens for; none means all that
	// the caller can list. Owner is their 12-digit account; "" is the caller's own.
	Domains []string
	Owner   string
	// RegistryID is the 12-digit account of the registry; "" is the caller's own.
	RegistryID string
	// Options are given to every source of tokens.
	Options []authtoken.Option
}

// A Report is the answer.
type Report struct {
	Caller
	Profile     string      `json:"profile"`
	Region      string      `json:"region"`
	Endpoints   Endpoints   `json:"endpoints"`
	Credentials Credentials `json:"credentials"`
	// Tokens say for ECR, and for each domain, whether the caller gets a token.
	Tokens []Permission `json:"tokens"`
	// Unlisted says why the domains could not be listed; "" if they were listed or
	// named.
	Unlisted string `json:"unlisted,omitempty"`
}

// parallel is how many tokens are requested at once: few enough for the quotas.
const parallel = 4

// Answer finds out everything. The error says why the caller is not known; it is as
// with [credential.Explain].
func Answer(ctx context.Context, q Question) (*Report, error) {
	cfg, err := q.AWS.Load(ctx, "")
	if err != nil {
		return nil, credential.Explain(err, credential.Request{Profile: q.AWS.Profile})
	}
	r := &Report{Profile: Profile(q.AWS), Region: cfg.Region, Endpoints: Resolve(ctx, cfg)}
	if r.Credentials, err = Find(ctx, cfg); err != nil {
		return nil, err
	}
	if r.Caller, err = Ask(ctx, cfg); err != nil {
		return nil, err
	}
	r.Tokens, r.Unlisted = q.tokens(ctx, Prober{Config: cfg, Caller: r.Caller, Options: q.Options})
	return r, nil
}

// tokens requests one token of each kind.
func (q Question) tokens(ctx context.Context, p Prober) (found []Permission, unlisted string) {
	var (
		wait sync.WaitGroup
		ecr  Permission
	)
	wait.Go(func() { ecr = p.ECR(ctx, q.RegistryID) })
	var domains []Domain
	for _, name := range q.Domains {
		domains = append(domains, Domain{name, q.Owner})
	}
	if len(domains) == 0 {
		var err error
		if domains, err = p.Domains(ctx); err != nil {
			unlisted = p.Brief(err)
		}
	}
	found = make([]Permission, len(domains))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, d := range domains {
		group.Go(func() error {
			found[i] = p.CodeArtifact(ctx, d.Name, d.Owner)
			return nil
		})
	}
	_ = group.Wait() // the functions return no error
	wait.Wait()
	return append([]Permission{ecr}, found...), unlisted
}

// Profile is the name of the profile that is used: from the command line, from the
// environment, or "default".
func Profile(a credential.AWS) string {
	name := a.Profile
	if env, err := config.NewEnvConfig(); name == "" && err == nil {
		name = env.SharedConfigProfile
	}
	return cmp.Or(name, config.DefaultSharedConfigProfile)
}

// Refused reports whether the caller does not get a token of the kind.
func (r *Report) Refused(service string) bool {
	for _, p := range r.Tokens {
		if p.Service == service && !p.Allowed {
			return true
		}
	}
	return false
}

// WriteText writes the report for people, in lines of a name and a value.
func (r *Report) WriteText(w io.Writer, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, value string) { fmt.Fprintf(table, "%s\t%s\n", name, value) }
	line("account", r.Account)
	line("arn", r.ARN)
	line("user id", r.UserID)
	line("profile", r.Profile)
	line("region", r.Region)
	for _, e := range r.Endpoints.distinct() {
		line(e[0], e[1])
	}
	line("credentials", r.Credentials.describe(now))
	for _, p := range r.Tokens {
		line("token of "+p.String(), p.describe())
		if p.Fix != "" {
			line("", p.Fix)
		}
	}
	switch {
	case r.Unlisted != "":
		line("token of codeartifact", "name a --domain; they cannot be listed: "+r.Unlisted)
	case len(r.Tokens) == 1:
		line("token of codeartifact", "there is no domain in this region")
	}
	return table.Flush()
}

// distinct are the names and addresses to show: one if all are the same.
func (e Endpoints) distinct() [][2]string {
	if e.STS == e.ECR && e.ECR == e.CodeArtifact {
		return [][2]string{{"endpoint", e.STS}}
	}
	return [][2]string{{"endpoint of sts", e.STS}, {"endpoint of ecr", e.ECR}, {"endpoint of codeartifact", e.CodeArtifact}}
}

func (c Credentials) describe(now time.Time) string {
	text := c.Kind + ", " + c.AccessKeyID
	if _, file, ok := strings.Cut(c.Source, ": "); ok {
		text += " from " + file
	}
	switch {
	case c.Expires != nil:
		return text + ", until " + Until(*c.Expires, now)
	case c.Temporary:
		return text + ", temporary, and does not say until when"
	}
	return text + ", does not expire"
}

// Until says when something ends, and how far from now that is.
func Until(end, now time.Time) string {
	text := end.UTC().Format("2006-01-02 15:04 MST")
	switch left := end.Sub(now); {
	case left <= 0:
		return text + ", which is over"
	case left < time.Minute:
		return text + ", in less than a minute"
	default:
		return text + ", in " + strings.TrimSuffix(left.Round(time.Minute).String(), "0s")
	}
}

func (p Permission) describe() string {
	switch {
	case p.Allowed && p.Registry != "":
		return "yes, for " + p.Registry
	case p.Allowed:
		return "yes"
	case p.Advice == "":
		return "no: " + p.Problem
	}
	return "no: " + p.Problem + ": " + p.Advice
}
