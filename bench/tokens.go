package main

import (
	"context"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
)

// benchDomain is the CodeArtifact domain that the jobs use.
const benchDomain = "bench"

// tokenConnections is how many callers ask at a time.
const tokenConnections = 32

// tokenJobs go from a signed request to its token.
func (b *testbed) tokenJobs() []job {
	return []job{
		{"ECR token, c=32", perSecond, func(ctx context.Context) (*contest, error) {
			return b.tokenContest(ctx, &call{
				method: http.MethodPost, path: "/", service: "ecr", body: "{}",
				header: http.Header{
					"Content-Type": {"application/x-amz-json-1.1"},
					"X-Amz-Target": {"AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"},
				},
			})
		}},
		{"CodeArtifact token, c=32", perSecond, func(ctx context.Context) (*contest, error) {
			if _, err := b.domain(ctx); err != nil {
				return nil, err
			}
			return b.tokenContest(ctx, &call{
				method: http.MethodPost, path: "/v1/authorization-token?domain=" + benchDomain, service: "codeartifact",
				header: http.Header{},
			})
		}},
	}
}

// tokenContest has two yardsticks: the server that does nothing with the same
// request, and the one that does what no token service can go without.
func (b *testbed) tokenContest(ctx context.Context, c *call) (*contest, error) {
	credentials, err := b.aws.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	requests, err := c.signed(ctx, b.gatehouse, credentials, b.aws.Region)
	if err != nil {
		return nil, err
	}
	result := &contest{gatehouse: b.askForTokens(b.gatehouse, requests)}
	for _, y := range []struct{ name, path string }{{"verify + HMAC", "/token"}, {"bare handler", "/hello"}} {
		same := *c
		same.path = y.path
		requests, err := same.signed(ctx, b.yardstick, aws.Credentials{AccessKeyID: credentials.AccessKeyID, SecretAccessKey: yardstickSecret}, b.aws.Region)
		if err != nil {
			return nil, err
		}
		result.yardsticks = append(result.yardsticks, yardstick{y.name, b.askForTokens(b.yardstick, requests)})
	}
	return result, nil
}

func (b *testbed) askForTokens(server *process, requests [][]byte) measure {
	return (&pressure{server, requests, tokenConnections, b.duration, perSecond}).measure
}

// openDomain creates the domain that all the jobs use.
func (b *testbed) openDomain(ctx context.Context) (*codeartifact.Client, error) {
	client := codeartifact.NewFromConfig(b.aws)
	_, err := client.CreateDomain(ctx, &codeartifact.CreateDomainInput{Domain: aws.String(benchDomain)})
	return client, err
}
