package authtoken_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
	"golang.org/x/oauth2"

	"github.com/gatehouse-registry/gatehouse/authtoken"
)

// exampleConfig stands for config.LoadDefaultConfig(ctx): its requests are
// answered here, so that the examples run without AWS.
func exampleConfig() aws.Config {
	return aws.Config{Region: "us-east-1", Credentials: fixed("AKIAEXAMPLE", "secret"), HTTPClient: exampleService{}}
}

type exampleService struct{}

// Do implements aws.HTTPClient.
func (exampleService) Do(r *http.Request) (*http.Response, error) {
	switch {
	case r.URL.Query().Get("domain") == "unknown":
		res := answered(`{"message":"Domain not found"}`)
		res.StatusCode = http.StatusNotFound
		res.Header = http.Header{"X-Amzn-Errortype": {"ResourceNotFoundException"}}
		return res, nil
	case r.URL.Path == "/v1/authorization-token":
		return answered(`{"authorizationToken":"a-token","expiration":4102444800}`), nil
	}
	return answered(`{"authorizationData":[{"authorizationToken":"QVdTOnNlY3JldA==","expiresAt":4102444800,"proxyEndpoint":"https://111122223333.dkr.ecr.us-east-1.amazonaws.com"}]}`), nil
}

// Put a CodeArtifact token on a request. Ask the source each time: it caches the
// token and renews it.
func ExampleCodeArtifact() {
	cfg := exampleConfig() // config.LoadDefaultConfig(ctx)
	tokens := authtoken.CodeArtifact(cfg, "acme", authtoken.DomainOwner("111122223333"), authtoken.InMemory())

	token, err := tokens.Token(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodGet, "https://acme-111122223333.d.codeartifact.us-east-1.amazonaws.com/npm/lib/left-pad", nil)
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Authorization", token.Authorization())
	fmt.Println(request.Header.Get("Authorization"))
	fmt.Println(token.Expires.UTC().Format(time.DateOnly))
	// Output:
	// Bearer a-token
	// 2100-01-01
}

// Errors are the SDK's own types.
func ExampleSource_Token() {
	tokens := authtoken.CodeArtifact(exampleConfig(), "unknown", authtoken.InMemory())

	_, err := tokens.Token(context.Background())
	if notFound := (*types.ResourceNotFoundException)(nil); errors.As(err, &notFound) {
		fmt.Println(notFound.ErrorMessage())
	}
	// Output: Domain not found
}

// Let an http.Client put the token on every request.
func ExampleSource_OAuth2() {
	cfg := exampleConfig() // config.LoadDefaultConfig(ctx)
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: exampleTransport{}})
	client := oauth2.NewClient(ctx, authtoken.ECR(cfg, authtoken.InMemory()).OAuth2(ctx))

	response, err := client.Get("https://registry.example/v2/")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	fmt.Println(response.Status, response.Request.Header.Get("Authorization"))
	// Output: 200 OK Basic QVdTOnNlY3JldA==
}

// exampleTransport stands for the registry.
type exampleTransport struct{}

// RoundTrip implements http.RoundTripper.
func (exampleTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	res := answered("")
	res.Status, res.Request = "200 OK", r
	return res, nil
}
