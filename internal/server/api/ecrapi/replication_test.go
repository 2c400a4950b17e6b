package ecrapi_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// replicateTo is a configuration with one rule about repositories that begin with "app".
func replicateTo(region, registry string) *types.ReplicationConfiguration {
	return &types.ReplicationConfiguration{Rules: []types.ReplicationRule{{
		Destinations:      []types.ReplicationDestination{{Region: &region, RegistryId: &registry}},
		RepositoryFilters: []types.RepositoryFilter{{Filter: aws.String("app"), FilterType: types.RepositoryFilterTypePrefixMatch}},
	}}}
}

func TestReplication(t *testing.T) {
	f := serve(t)
	ctx := t.Context()
	put := func(c *types.ReplicationConfiguration) error {
		_, err := f.client.PutReplicationConfiguration(ctx, &ecr.PutReplicationConfigurationInput{ReplicationConfiguration: c})
		return err
	}
	wantException[*types.InvalidParameterException](t, put(replicateTo(region, account)))
	wantException[*types.InvalidParameterException](t, put(replicateTo("eu-nowhere-1", account)))
	if err := put(replicateTo("eu-west-1", account)); err != nil {
		t.Fatal(err)
	}
	got, err := f.client.DescribeRegistry(ctx, &ecr.DescribeRegistryInput{})
	if err != nil || len(got.ReplicationConfiguration.Rules) != 1 {
		t.Fatal(got, err)
	}
	r := got.ReplicationConfiguration.Rules[0]
	if *r.Destinations[0].Region != "eu-west-1" || *r.Destinations[0].RegistryId != account || *r.RepositoryFilters[0].Filter != "app" || r.RepositoryFilters[0].FilterType != types.RepositoryFilterTypePrefixMatch {
		t.Errorf("%+v", r)
	}
	f.create("app")
	f.push("app", "config", "v1")
	if err := f.work.RunDue(ctx); err != nil {
		t.Fatal(err)
	}
	status, err := f.client.DescribeImageReplicationStatus(ctx, &ecr.DescribeImageReplicationStatusInput{RepositoryName: aws.String("app"), ImageId: &types.ImageIdentifier{ImageTag: aws.String("v1")}})
	if err != nil || len(status.ReplicationStatuses) != 1 || *status.RepositoryName != "app" || *status.ImageId.ImageTag != "v1" {
		t.Fatal(status, err)
	}
	if s := status.ReplicationStatuses[0]; s.Status != types.ReplicationStatusComplete || *s.Region != "eu-west-1" || *s.RegistryId != account || s.FailureCode != nil {
		t.Errorf("%+v", s)
	}
	if tags, _, err := f.images.Tags(f.AsAdmin(), images.RepositoryID{Account: account, Region: "eu-west-1", Name: "app"}, "", 10); err != nil || len(tags) != 1 || tags[0] != "v1" {
		t.Error(tags, err)
	}
	_, err = f.client.DescribeImageReplicationStatus(ctx, &ecr.DescribeImageReplicationStatusInput{RepositoryName: aws.String("app"), ImageId: &types.ImageIdentifier{ImageTag: aws.String("none")}})
	wantException[*types.ImageNotFoundException](t, err)
}

// deleteReplication is newer than the SDK: it is read and written as JSON.
func TestReplication_DeleteReplication(t *testing.T) {
	f := serve(t)
	const configuration = `{"rules":[{"destinations":[{"region":"eu-west-1","registryId":"` + account + `"}],"deleteReplication":{"enabled":true}}]}`
	call := func(operation, body string) string {
		t.Helper()
		answer, status := f.post(operation, body)
		if status != http.StatusOK {
			t.Fatal(status, answer)
		}
		var v struct {
			ReplicationConfiguration json.RawMessage `json:"replicationConfiguration"`
		}
		if err := json.Unmarshal([]byte(answer), &v); err != nil {
			t.Fatal(err)
		}
		return string(v.ReplicationConfiguration)
	}
	if got := call("PutReplicationConfiguration", `{"replicationConfiguration":`+configuration+`}`); got != configuration {
		t.Errorf("put %s", got)
	}
	if got := call("DescribeRegistry", `{}`); got != configuration {
		t.Errorf("described %s", got)
	}
	if answer, status := f.post("PutReplicationConfiguration", strings.Replace(`{"replicationConfiguration":`+configuration+`}`, `"enabled":true`, "", 1)); status != http.StatusBadRequest {
		t.Error(status, answer)
	}
}

// post calls an operation with a body that the SDK cannot write, and returns the answer's
// body and status. The request is signed like any other.
func (f *fixture) post(operation, body string) (answer string, status int) {
	f.t.Helper()
	raw := func(o *ecr.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Serialize.Add(middleware.SerializeMiddlewareFunc("raw", func(ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler) (middleware.SerializeOutput, middleware.Metadata, error) {
				r, err := in.Request.(*smithyhttp.Request).SetStream(strings.NewReader(body))
				if err != nil {
					return middleware.SerializeOutput{}, middleware.Metadata{}, err
				}
				in.Request = r
				return next.HandleSerialize(ctx, in)
			}), middleware.After)
		})
		o.HTTPClient = recorder(func(r *http.Request) (*http.Response, error) {
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				return nil, err
			}
			content, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			answer, status = string(content), resp.StatusCode
			resp.Body = io.NopCloser(strings.NewReader(answer))
			return resp, err
		})
	}
	var err error
	if operation == "DescribeRegistry" {
		_, err = f.client.DescribeRegistry(f.t.Context(), &ecr.DescribeRegistryInput{}, raw)
	} else {
		_, err = f.client.PutReplicationConfiguration(f.t.Context(), &ecr.PutReplicationConfigurationInput{ReplicationConfiguration: &types.ReplicationConfiguration{Rules: []types.ReplicationRule{}}}, raw)
	}
	if status == 0 {
		f.t.Fatal(err)
	}
	return answer, status
}

type recorder func(*http.Request) (*http.Response, error)

func (f recorder) Do(r *http.Request) (*http.Response, error) { return f(r) }
