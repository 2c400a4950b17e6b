package main

import (
	"context"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
)

// benchDomain is the CodeArtifact domain that the jobs use.
const benchDomain = "bench"

// tokenConnections is the number of concurrent callers.
const tokenConnections = 32

// tokenJobs measure GetAuthorizationToken, from the signed request to the token.
func (b *testbed) tokenJobs() []job {
	return []job{
		{"ECR token, c=32", perSecond, func(ctx context.Context) (*comparison, error) {
			return b.tokenComparison(ctx, &call{
				method: http.MethodPost, path: "/", service: "ecr", body: func() string { return "{}" },
				header: http.Header{
					"Content-Type": {"application/x-amz-json-1.1"},
					"X-Amz-Target": {"AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"},
				},
			})
		}},
		{"CodeArtifact token, c=32", perSecond, func(ctx context.Context) (*comparison, error) {
			if _, err := b.domain(ctx); err != nil {
				return nil, err
			}
			return b.tokenComparison(ctx, &call{
				method: http.MethodPost, path: "/v1/authorization-token?domain=" + benchDomain, service: "codeartifact",
				header: http.Header{},
			})
		}},
	}
}

// tokenComparison has two baselines: a handler that verifies the signature and
// answers with an HMAC, which every token service must do, and one that ignores
// the request.
func (b *testbed) tokenComparison(ctx context.Context, c *call) (*comparison, error) {
	credentials, err := b.aws.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	requests, err := c.signed(ctx, b.gatehouse, credentials, b.aws.Region)
	if err != nil {
		return nil, err
	}
	result := &comparison{gatehouse: b.askForTokens(b.gatehouse, requests)}
	for _, y := range []struct{ name, path string }{{"verify + HMAC", "/token"}, {"bare handler", "/hello"}} {
		same := *c
		same.path = y.path
		requests, err := same.signed(ctx, b.baseline, aws.Credentials{AccessKeyID: credentials.AccessKeyID, SecretAccessKey: baselineSecret}, b.aws.Region)
		if err != nil {
			return nil, err
		}
		result.baselines = append(result.baselines, baseline{y.name, b.askForTokens(b.baseline, requests)})
	}
	return result, nil
}

func (b *testbed) askForTokens(server *process, requests [][]byte) measure {
	return (&loadTest{server, requests, tokenConnections, b.duration, perSecond}).measure
}

// openDomain creates the domain that all jobs use.
func (b *testbed) openDomain(ctx context.Context) (*codeartifact.Client, error) {
	client := codeartifact.NewFromConfig(b.aws)
	_, err := client.CreateDomain(ctx, &codeartifact.CreateDomainInput{Domain: aws.String(benchDomain)})
	return client, err
}
