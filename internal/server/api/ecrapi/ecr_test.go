package ecrapi_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/smithy-go"
	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/server/advisories"
	edge "github.com/gatehouse-registry/gatehouse/internal/server/api/ecrapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal/removaltest"
	"github.com/gatehouse-registry/gatehouse/internal/server/endpoint"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/images/scantest"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

const (
	account = iamtest.Account
	other   = iamtest.Other
	region  = iamtest.Region
	host    = "registry.example:4283"
)

// A fixture is the API on real stores, with the SDK's client of a user who is allowed
// everything.
type fixture struct {
	*iamtest.Fixture
	t      testing.TB
	images *images.Service
	client *ecr.Client
	work   *work.Queue
	// known are the advisories that images are compared with.
	known *advisories.Service
}

// anyOperator may do everything.
type anyOperator struct{}

func (anyOperator) Authorize(context.Context, string, string) error { return nil }

func serve(t testing.TB) *fixture {
	t.Helper()
	w := iamtest.New(t)
	blobs := blobtest.Open(t)
	removals, queue := removaltest.Open(t, w.DB, blobs, w.Now)
	known, err := advisories.New(t.Context(), advisories.Config{DB: w.DB, Operators: anyOperator{}, Now: w.Now})
	if err != nil {
		t.Fatal(err)
	}
	store, err := images.New(t.Context(), images.Config{
		Scanning: images.Scanning{Reader: scantest.Reader{}, Advisories: known},
		DB:       w.DB, Blobs: blobs, Removals: removals, Work: queue, Authz: new(authz.PolicyAuthorizer), Principals: w.IAM, Roles: w.IAM, Now: w.Now,
		Serves: func(id images.RegistryID) bool { return id.Region != "eu-nowhere-1" },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := queue.Handle(slices.Concat(store.LifecycleWork(), store.ReplicationWork(), store.StorageClassWork(), store.ScanWork(), store.SigningWork())...); err != nil {
		t.Fatal(err)
	}
	addresses, err := endpoint.New("http://"+host, "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := wire.New("ecr", w.Options("ecr", edge.MapError))
	if err != nil {
		t.Fatal(err)
	}
	edge.Register(s, edge.New(edge.Config{
		Images: store, Tokens: w.Keyring, Authz: new(authz.PolicyAuthorizer), Addresses: addresses, LayerURLs: layerURLs{}, Now: w.Now,
	}))
	return &fixture{w, t, store, ecr.NewFromConfig(w.Serve(s)), queue, known}
}

// layerURLs makes URLs that show what they were made for.
type layerURLs struct{}

func (layerURLs) LayerURL(id images.RepositoryID, d digest.Digest) (string, error) {
	return "http://" + host + "/" + id.Account + "/" + id.Region + "/" + id.Name + "/" + string(d), nil
}

// user creates a user with a statement as inline policy, unless it is empty, and
// returns its credentials.
func (f *fixture) user(name, statement string) func(*ecr.Options) {
	f.t.Helper()
	if _, err := f.IAM.CreateUser(f.AsAdmin(), iam.NewEntity{Name: name}); err != nil {
		f.t.Fatal(err)
	}
	if statement != "" {
		if err := f.IAM.PutInlinePolicy(f.AsAdmin(), iam.KindUser, name, "p", `{"Version":"2012-10-17","Statement":`+statement+`}`); err != nil {
			f.t.Fatal(err)
		}
	}
	_, key, secret, err := f.IAM.CreateAccessKey(f.AsAdmin(), name)
	if err != nil {
		f.t.Fatal(err)
	}
	return static(key.ID, secret)
}

func static(id, secret string) func(*ecr.Options) {
	return func(o *ecr.Options) { o.Credentials = iamtest.Static(id, secret, "") }
}

func (f *fixture) otherAccount() func(*ecr.Options) {
	return static(f.OtherAdmin.AccessKeyID, f.OtherAdmin.Secret)
}

// create creates a repository with default settings.
func (f *fixture) create(name string) {
	f.t.Helper()
	if _, err := f.client.CreateRepository(f.t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &name}); err != nil {
		f.t.Fatal(err)
	}
}

// wantCode fails the test unless err is an error of the API with the code and status
// 400, which ECR has for every client error.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	wantError(t, err, code, http.StatusBadRequest)
}

func wantError(t *testing.T, err error, code string, status int) {
	t.Helper()
	var api smithy.APIError
	var response *awshttp.ResponseError
	if !errors.As(err, &api) || api.ErrorCode() != code || !errors.As(err, &response) || response.HTTPStatusCode() != status || api.ErrorMessage() == "" {
		t.Errorf("err = %v, want %s with %d", err, code, status)
	}
}

// wantException fails the test unless err is of the SDK's type E.
func wantException[E error](t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[E](err); !ok {
		t.Errorf("err = %v, want %T", err, *new(E))
	}
}

func TestAPI_Signatures(t *testing.T) {
	f := serve(t)
	call := func(as func(*ecr.Options)) error {
		_, err := f.client.DescribeRegistry(t.Context(), &ecr.DescribeRegistryInput{}, as)
		return err
	}
	wantCode(t, call(static("AKIAIOSFODNN7EXAMPLE", "secret")), "UnrecognizedClientException")
	wantCode(t, call(static(f.Admin.AccessKeyID, "wrong")), "InvalidSignatureException")
	wantCode(t, call(f.user("nobody", "")), "AccessDeniedException")
	wantCode(t, call(func(o *ecr.Options) { o.Region = "mars-1" }), "InvalidSignatureException")
	response, err := http.Post(aws.ToString(f.client.Options().BaseEndpoint), "application/x-amz-json-1.1", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode/100 != 4 {
		t.Errorf("an unsigned request: %s", response.Status)
	}
}

func TestDescribeRegistry(t *testing.T) {
	f := serve(t)
	out, err := f.client.DescribeRegistry(t.Context(), &ecr.DescribeRegistryInput{})
	if err != nil || *out.RegistryId != account || len(out.ReplicationConfiguration.Rules) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
}
