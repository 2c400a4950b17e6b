package secretsmanagerapi_test

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	edge "github.com/gatehouse-registry/gatehouse/internal/server/api/secretsmanagerapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/secrets"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// A fixture is the API on a real store, with the SDK's client of a user who is allowed
// everything.
type fixture struct {
	*iamtest.Fixture
	t       *testing.T
	client  *sm.Client
	secrets *secrets.Service
}

func serve(t *testing.T) *fixture {
	t.Helper()
	w := iamtest.New(t)
	store, err := secrets.New(t.Context(), secrets.Config{DB: w.DB, Authz: new(authz.PolicyAuthorizer), Sealer: w.Keyring, Now: w.Now})
	if err != nil {
		t.Fatal(err)
	}
	s, err := wire.New("secretsmanager", w.Options("secretsmanager", edge.MapError))
	if err != nil {
		t.Fatal(err)
	}
	edge.Register(s, edge.New(edge.Config{Secrets: store}))
	return &fixture{w, t, sm.NewFromConfig(w.Serve(s)), store}
}

// user creates a user with a statement as inline policy, and returns its credentials.
func (f *fixture) user(name, statement string) func(*sm.Options) {
	f.t.Helper()
	if _, err := f.IAM.CreateUser(f.AsAdmin(), iam.NewEntity{Name: name}); err != nil {
		f.t.Fatal(err)
	}
	if err := f.IAM.PutInlinePolicy(f.AsAdmin(), iam.KindUser, name, "p", `{"Version":"2012-10-17","Statement":`+statement+`}`); err != nil {
		f.t.Fatal(err)
	}
	_, key, secret, err := f.IAM.CreateAccessKey(f.AsAdmin(), name)
	if err != nil {
		f.t.Fatal(err)
	}
	return func(o *sm.Options) { o.Credentials = iamtest.Static(key.ID, secret, "") }
}

func (f *fixture) create(name, value string) *sm.CreateSecretOutput {
	f.t.Helper()
	out, err := f.client.CreateSecret(f.t.Context(), &sm.CreateSecretInput{Name: &name, SecretString: &value})
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

// get returns the value of a version, as a text.
func (f *fixture) get(id, version, stage string) string {
	f.t.Helper()
	in := &sm.GetSecretValueInput{SecretId: &id}
	if version != "" {
		in.VersionId = &version
	}
	if stage != "" {
		in.VersionStage = &stage
	}
	out, err := f.client.GetSecretValue(f.t.Context(), in)
	if err != nil {
		f.t.Fatal(err)
	}
	return aws.ToString(out.SecretString) + string(out.SecretBinary)
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code || api.ErrorMessage() == "" {
		t.Errorf("err = %v, want %s", err, code)
	}
}

func TestSecrets_Versions(t *testing.T) {
	f := serve(t)
	ctx := t.Context()
	made := f.create("ecr-pullthroughcache/hub", `{"username":"u","accessToken":"1"}`)
	if !regexp.MustCompile(`^arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:ecr-pullthroughcache/hub-[A-Za-z]{6}$`).MatchString(*made.ARN) || made.VersionId == nil {
		t.Errorf("%+v", made)
	}
	partial := (*made.ARN)[:len(*made.ARN)-7]
	for _, id := range []string{*made.Name, *made.ARN, partial} {
		if got := f.get(id, "", ""); !strings.Contains(got, `"1"`) {
			t.Errorf("%s: %s", id, got)
		}
	}
	put, err := f.client.PutSecretValue(ctx, &sm.PutSecretValueInput{SecretId: made.ARN, SecretBinary: []byte("two")})
	if err != nil || !slices.Equal(put.VersionStages, []string{"AWSCURRENT"}) {
		t.Fatal(put, err)
	}
	if got := f.get(*made.ARN, "", ""); got != "two" {
		t.Errorf("current: %q", got)
	}
	if got := f.get(*made.ARN, "", "AWSPREVIOUS"); !strings.Contains(got, `"1"`) {
		t.Errorf("previous: %q", got)
	}
	if _, err := f.client.PutSecretValue(ctx, &sm.PutSecretValueInput{SecretId: made.ARN, SecretString: aws.String("beta"), VersionStages: []string{"beta"}}); err != nil {
		t.Fatal(err)
	}
	if got := f.get(*made.ARN, "", ""); got != "two" {
		t.Errorf("after a version with a label of its own: %q", got)
	}
	out, err := f.client.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: made.ARN})
	if err != nil || len(out.VersionIdsToStages) != 3 || out.LastAccessedDate == nil || out.DeletedDate != nil {
		t.Errorf("%+v, %v", out, err)
	}
	_, err = f.client.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: made.ARN, VersionStage: aws.String("none")})
	wantCode(t, err, "ResourceNotFoundException")
	_, err = f.client.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: made.ARN, VersionId: put.VersionId, VersionStage: aws.String("beta")})
	wantCode(t, err, "ResourceNotFoundException")
	updated, err := f.client.UpdateSecret(ctx, &sm.UpdateSecretInput{SecretId: made.ARN, Description: aws.String("d"), SecretString: aws.String("three")})
	if err != nil || updated.VersionId == nil || f.get(*made.ARN, "", "") != "three" || f.get(*made.ARN, "", "AWSPREVIOUS") != "two" {
		t.Error(updated, err)
	}
}

func TestSecrets_RequestTokens(t *testing.T) {
	f := serve(t)
	ctx, token := t.Context(), aws.String("0123456789012345678901234567890a")
	create := func(value string) (*sm.CreateSecretOutput, error) {
		return f.client.CreateSecret(ctx, &sm.CreateSecretInput{Name: aws.String("s"), SecretString: &value, ClientRequestToken: token})
	}
	first, err := create("1")
	if err != nil || *first.VersionId != *token {
		t.Fatal(first, err)
	}
	if again, err := create("1"); err != nil || *again.ARN != *first.ARN {
		t.Errorf("the same request again: %v, %v", again, err)
	}
	_, err = create("2")
	wantCode(t, err, "ResourceExistsException")
	put := func(value string) error {
		_, err := f.client.PutSecretValue(ctx, &sm.PutSecretValueInput{SecretId: first.ARN, SecretString: &value, ClientRequestToken: token})
		return err
	}
	if err := put("1"); err != nil {
		t.Error(err)
	}
	wantCode(t, put("2"), "ResourceExistsException")
	if got := f.get("s", "", ""); got != "1" {
		t.Errorf("%q", got)
	}
}

func TestSecrets_Deletion(t *testing.T) {
	f := serve(t)
	ctx := t.Context()
	f.create("s", "1")
	_, err := f.client.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: aws.String("s"), RecoveryWindowInDays: aws.Int64(3)})
	wantCode(t, err, "InvalidParameterException")
	out, err := f.client.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: aws.String("s"), RecoveryWindowInDays: aws.Int64(7)})
	if err != nil || out.DeletionDate.Sub(f.Now()).Round(time.Hour) != 7*24*time.Hour {
		t.Fatal(out, err)
	}
	_, err = f.client.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: aws.String("s")})
	wantCode(t, err, "InvalidRequestException")
	_, err = f.client.CreateSecret(ctx, &sm.CreateSecretInput{Name: aws.String("s")})
	wantCode(t, err, "InvalidRequestException")
	if _, err := f.client.RestoreSecret(ctx, &sm.RestoreSecretInput{SecretId: aws.String("s")}); err != nil || f.get("s", "", "") != "1" {
		t.Error(err)
	}
	if _, err := f.client.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: aws.String("s")}); err != nil {
		t.Fatal(err)
	}
	f.Advance(31 * 24 * time.Hour)
	if err := f.secrets.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if n, err := db.One(ctx, f.DB, db.Scalar[int64], `SELECT count(*) FROM secret_version`); n != 0 || err != nil {
		t.Errorf("%d versions are left, %v", n, err)
	}
	f.Advance(-31 * 24 * time.Hour) // the client signs by the machine's clock
	f.create("s", "2")
	if _, err := f.client.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: aws.String("s"), ForceDeleteWithoutRecovery: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	_, err = f.client.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: aws.String("s")})
	wantCode(t, err, "ResourceNotFoundException")
}

func TestSecrets_Authorization(t *testing.T) {
	f := serve(t)
	ctx := t.Context()
	f.create("app/a", "1")
	f.create("other", "2")
	reader := f.user("reader", `{"Effect":"Allow","Action":"secretsmanager:*","Resource":"arn:aws:secretsmanager:*:*:secret:app/a-??????"}`)
	get := func(id string) error {
		_, err := f.client.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: &id}, reader)
		return err
	}
	if err := get("app/a"); err != nil {
		t.Error(err)
	}
	wantCode(t, get("other"), "AccessDeniedException")
	wantCode(t, get("unknown"), "AccessDeniedException")
	_, err := f.client.ListSecrets(ctx, &sm.ListSecretsInput{}, reader)
	wantCode(t, err, "AccessDeniedException")
	if _, err := f.client.TagResource(ctx, &sm.TagResourceInput{SecretId: aws.String("other"), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("x")}}}); err != nil {
		t.Fatal(err)
	}
	tagged := f.user("tagged", `{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{"StringEquals":{"secretsmanager:ResourceTag/team":"x"}}}`)
	if _, err := f.client.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: aws.String("other")}, tagged); err != nil {
		t.Error(err)
	}
	_, err = f.client.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: aws.String("app/a")}, tagged)
	wantCode(t, err, "AccessDeniedException")
	foreign := func(o *sm.Options) {
		o.Credentials = iamtest.Static(f.OtherAdmin.AccessKeyID, f.OtherAdmin.Secret, "")
	}
	arn := aws.ToString(f.create("mine", "3").ARN)
	_, err = f.client.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: &arn}, foreign)
	wantCode(t, err, "AccessDeniedException")
}

func TestListSecrets(t *testing.T) {
	f := serve(t)
	for _, name := range []string{"a/1", "a/2", "b/1"} {
		f.create(name, "x")
	}
	list := func(in *sm.ListSecretsInput) (names []string) {
		for p := sm.NewListSecretsPaginator(f.client, in); p.HasMorePages(); {
			out, err := p.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range out.SecretList {
				names = append(names, *x.Name)
			}
		}
		return names
	}
	if got := list(&sm.ListSecretsInput{MaxResults: aws.Int32(1), SortBy: types.SortByTypeName, SortOrder: types.SortOrderTypeDesc}); !slices.Equal(got, []string{"b/1", "a/2", "a/1"}) {
		t.Errorf("%q", got)
	}
	if got := list(&sm.ListSecretsInput{Filters: []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{"a/"}}}}); len(got) != 2 {
		t.Errorf("%q", got)
	}
}

// TestReseal checks that values are sealed in the database, and sealed anew after a
// rotation of the keyring.
func TestReseal(t *testing.T) {
	f := serve(t)
	ctx := t.Context()
	made := f.create("s", "plain-text-value")
	sealed := func() (bytes []byte, key string) {
		_, err := db.One(ctx, f.DB, func(r db.Row) (struct{}, error) { return struct{}{}, r.Scan(&bytes, &key) }, `SELECT sealed, sealed_by FROM secret_version`)
		if err != nil {
			t.Fatal(err)
		}
		return bytes, key
	}
	stored, key := sealed()
	if bytes.Contains(stored, []byte("plain")) || key != f.Keyring.ActiveKeyID() {
		t.Errorf("stored by %s: %q", key, stored)
	}
	next, err := f.Keyring.Keys().Stage(time.Now()).Promote(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := token.NewKeyring(next, time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	after, err := secrets.New(ctx, secrets.Config{DB: f.DB, Authz: new(authz.PolicyAuthorizer), Sealer: rotated, Now: f.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := after.Reseal(ctx); err != nil {
		t.Fatal(err)
	}
	if _, now := sealed(); now == key || now != rotated.ActiveKeyID() {
		t.Errorf("sealed by %s", now)
	}
	place := secrets.Place{Account: iamtest.Account, Region: iamtest.Region}
	if got, err := after.ReadForService(ctx, place, *made.ARN); err != nil || string(got) != "plain-text-value" {
		t.Errorf("%q, %v", got, err)
	}
}

// A secret that was deleted and created anew under its name is another one: what may use the
// first does not get the value of the second.
func TestReadForService_OtherSecret(t *testing.T) {
	f := serve(t)
	place := secrets.Place{Account: iamtest.Account, Region: iamtest.Region}
	first := *f.create("ecr-pullthroughcache/hub", "first").ARN
	if _, err := f.client.DeleteSecret(t.Context(), &sm.DeleteSecretInput{SecretId: &first, ForceDeleteWithoutRecovery: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	f.create("ecr-pullthroughcache/hub", "second")
	for _, id := range []string{first, first[:len(first)-len("-AbCdEf")], "ecr-pullthroughcache/hub"} {
		if value, err := f.secrets.ReadForService(t.Context(), place, id); !fault.Is(err, "ResourceNotFound") {
			t.Errorf("%s: %q, %v", id, value, err)
		}
	}
}
