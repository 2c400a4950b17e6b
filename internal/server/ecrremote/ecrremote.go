// Package ecrremote writes to a container registry of another installation: of Gatehouse, or
// of Amazon ECR. Images go through the registry's endpoint, by package ociremote. What that
// endpoint does not have goes through ECR's API, signed with an access key or a role: tokens,
// new repositories and deletions.
//
// A [Registry] is one registry. All requests go through package egress.
package ecrremote

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/ociremote"
)

// A Config says which registry it is and how it is reached.
type Config struct {
	Account, Region string
	// API has ECR's API, Endpoint the registry's endpoint, and STS the API of that service,
	// which is needed for a role. They may be the same.
	API, Endpoint, STS *egress.Upstream
	Credentials        aws.CredentialsProvider
	// Role is assumed with the credentials if it is not empty.
	Role string
	// Now is the clock of tokens.
	Now func() time.Time
}

// A Registry is a registry of another installation. It is safe for concurrent use.
type Registry struct {
	config Config
	api    *ecr.Client

	mu      sync.Mutex
	current *ociremote.Registry
	until   time.Time // when another token is fetched
}

// roleSession is the name of the session of a role.
const roleSession = "gatehouse-replication"

// New returns a registry. It makes no request.
func New(c Config) *Registry {
	credentials := c.Credentials
	if c.Role != "" {
		client := sts.New(sts.Options{
			Region: c.Region, BaseEndpoint: aws.String(c.STS.Base()), Credentials: credentials,
			HTTPClient: transport{c.STS}, Retryer: aws.NopRetryer{},
		})
		credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(client, c.Role, func(o *stscreds.AssumeRoleOptions) { o.RoleSessionName = roleSession }))
	}
	return &Registry{config: c, api: ecr.New(ecr.Options{
		Region: c.Region, BaseEndpoint: aws.String(c.API.Base()), Credentials: credentials,
		HTTPClient: transport{c.API}, Retryer: aws.NopRetryer{},
	})}
}

// An Error is an answer of the API that is an error.
type Error struct {
	Code    string
	Message string
	Err     error // perhaps an [egress.Error]
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// apiError makes an [*Error] of the SDK's error, or returns the [egress.Error] of a request
// that was not answered.
func apiError(err error) error {
	if failed, ok := errors.AsType[*egress.Error](err); ok {
		return failed
	}
	if answer, ok := errors.AsType[smithy.APIError](err); ok {
		return &Error{answer.ErrorCode(), answer.ErrorMessage(), err}
	}
	return err
}

// Images returns the registry's endpoint, with a token that holds for a while.
func (r *Registry) Images(ctx context.Context) (*ociremote.Registry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.config.Now()
	if r.current != nil && now.Before(r.until) {
		return r.current, nil
	}
	out, err := r.api.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return nil, apiError(err)
	}
	if len(out.AuthorizationData) == 0 || out.AuthorizationData[0].ExpiresAt == nil {
		return nil, &ociremote.BadAnswer{What: "its API answers without an authorization token"}
	}
	data := out.AuthorizationData[0]
	text, err := base64.StdEncoding.DecodeString(aws.ToString(data.AuthorizationToken))
	user, password, ok := strings.Cut(string(text), ":")
	if err != nil || !ok {
		return nil, &ociremote.BadAnswer{What: "its API answers with something that is not an authorization token"}
	}
	r.current = ociremote.New(r.config.Endpoint, ociremote.Credential{Username: user, Password: password}, r.config.Now)
	r.until = now.Add(data.ExpiresAt.Sub(now) / 2)
	return r.current, nil
}

// Forget makes the next request fetch another token: the registry has denied access.
func (r *Registry) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = nil
}

// CreateRepository creates a repository with the default settings, unless it exists.
func (r *Registry) CreateRepository(ctx context.Context, name string) error {
	_, err := r.api.CreateRepository(ctx, &ecr.CreateRepositoryInput{RegistryId: &r.config.Account, RepositoryName: &name})
	if _, exists := errors.AsType[*types.RepositoryAlreadyExistsException](err); exists {
		return nil
	}
	if err != nil {
		return apiError(err)
	}
	return nil
}

// Tags returns the tags of an image. found is false if the registry does not have it.
func (r *Registry) Tags(ctx context.Context, name string, d digest.Digest) (tags []string, found bool, err error) {
	out, err := r.api.DescribeImages(ctx, &ecr.DescribeImagesInput{
		RegistryId: &r.config.Account, RepositoryName: &name, ImageIds: []types.ImageIdentifier{{ImageDigest: aws.String(string(d))}},
	})
	if isGone(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, apiError(err)
	}
	for _, image := range out.ImageDetails {
		if aws.ToString(image.ImageDigest) == string(d) {
			return image.ImageTags, true, nil
		}
	}
	return nil, false, nil
}

// isGone reports whether the API said that there is no such image or repository.
func isGone(err error) bool {
	if _, ok := errors.AsType[*types.ImageNotFoundException](err); ok {
		return true
	}
	_, ok := errors.AsType[*types.RepositoryNotFoundException](err)
	return ok
}

// ErrReferenced is in the chain of the error of [Registry.DeleteImage] for an image that an
// index of the registry lists.
var ErrReferenced = errors.New("an index lists the image")

// DeleteImage deletes an image with all its tags, or a tag, and with its last tag the image.
// Nothing happens if it does not exist.
func (r *Registry) DeleteImage(ctx context.Context, name, tag string, d digest.Digest) error {
	id := types.ImageIdentifier{ImageDigest: aws.String(string(d))}
	if tag != "" {
		id = types.ImageIdentifier{ImageTag: &tag}
	}
	out, err := r.api.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RegistryId: &r.config.Account, RepositoryName: &name, ImageIds: []types.ImageIdentifier{id}})
	if isGone(err) {
		return nil
	}
	if err != nil {
		return apiError(err)
	}
	for _, f := range out.Failures {
		switch f.FailureCode {
		case types.ImageFailureCodeImageNotFound:
		case types.ImageFailureCodeImageReferencedByManifestList:
			return ErrReferenced
		default:
			return &Error{Code: string(f.FailureCode), Message: aws.ToString(f.FailureReason)}
		}
	}
	return nil
}

// A transport sends the SDK's requests through an upstream.
type transport struct{ upstream *egress.Upstream }

// Limits of the API's answers, in bytes.
const (
	maxAnswer = 4 << 20
	maxError  = 64 << 10
)

// Do implements aws.HTTPClient.
func (t transport) Do(r *http.Request) (*http.Response, error) {
	body := []byte{}
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, fmt.Errorf("read the request: %w", err)
		}
	}
	res, err := t.upstream.Do(r.Context(), egress.Request{
		Method: r.Method, URL: r.URL.String(), Header: r.Header, Authorization: r.Header.Get("Authorization"), Body: body,
		MaxBytes: maxAnswer, MaxErrorBytes: maxError,
	})
	if failed, ok := errors.AsType[*egress.Error](err); ok && failed.Kind == egress.Answered && failed.Status < 500 {
		return &http.Response{StatusCode: failed.Status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(failed.Body)), Request: r}, nil
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: res.Status, Header: res.Header, ContentLength: res.Length, Body: res.Body, Request: r}, nil
}
