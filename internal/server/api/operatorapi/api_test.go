package operatorapi_test

import (
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"github.com/gatehouse-registry/gatehouse/internal/client/operator"
	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/advisories"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/operatorapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/blobtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
	"github.com/gatehouse-registry/gatehouse/internal/server/installation"
	"github.com/gatehouse-registry/gatehouse/internal/server/keys"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// A fixture is the API on real stores.
type fixture struct {
	*iamtest.Fixture
	t      *testing.T
	config aws.Config // of the first account's admin
	work   *work.Queue
	events *events.Log
	store  *packages.Service
	images *images.Service
}

func serve(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{Fixture: iamtest.New(t), t: t}
	s, err := operatorapi.NewService(f.Options(operatormodel.Service, operatorapi.MapError))
	if err != nil {
		t.Fatal(err)
	}
	if f.work, err = work.New(t.Context(), work.Config{DB: f.DB, Now: f.Now, Log: slog.New(slog.DiscardHandler), Server: "one"}); err != nil {
		t.Fatal(err)
	}
	if f.events, err = events.New(t.Context(), events.Config{DB: f.DB, Work: f.work, Now: f.Now, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	blobs := blobtest.Open(t)
	removals, err := removal.New(f.work, blobs, f.Now)
	if err != nil {
		t.Fatal(err)
	}
	f.store, err = packages.New(t.Context(), packages.Config{DB: f.DB, Blobs: blobs, Removals: removals, Work: f.work, Authz: new(authz.PolicyAuthorizer), Principals: f.IAM, Now: f.Now})
	if err != nil {
		t.Fatal(err)
	}
	f.images, err = images.New(t.Context(), images.Config{DB: f.DB, Blobs: blobs, Removals: removals, Work: f.work, Authz: new(authz.PolicyAuthorizer), Principals: f.IAM, Now: f.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.work.Handle(slices.Concat(f.store.RetentionWork(), f.images.LifecycleWork(), f.images.StorageClassWork())...); err != nil {
		t.Fatal(err)
	}
	operators := installation.Operators{Authz: new(authz.PolicyAuthorizer), Account: iamtest.Account}
	known, err := advisories.New(t.Context(), advisories.Config{DB: f.DB, Operators: operators, Now: f.Now})
	if err != nil {
		t.Fatal(err)
	}
	follower, err := keys.NewFollower(t.Context(), keys.FollowerConfig{
		DB: f.DB, Store: &keys.FileStore{Path: filepath.Join(t.TempDir(), "keyring.json")}, Codec: &keys.Codec{}, Create: true, ID: "one", Host: "host",
		Now: f.Now, Log: slog.New(slog.DiscardHandler), Timing: keys.DefaultTiming,
	})
	if err != nil {
		t.Fatal(err)
	}
	a := operatorapi.New(operatorapi.Config{
		Packages:   f.store,
		Images:     f.images,
		Advisories: known,
		Now:        f.Now,
		Keys: keys.New(keys.Config{Follower: follower, Operators: operators, Now: f.Now, AccessKeys: func(id string) []keys.AccessKey {
			return []keys.AccessKey{{Account: iamtest.Account, User: "admin", ID: "AKIA" + id, Active: true}}
		}}),
		Installation: installation.New(installation.Config{DB: f.DB, Work: f.work, Events: f.events, Operators: operators, Now: f.Now, Server: installation.ServerInfo{
			Version: "1.2.3", ServerID: "one", Started: f.Now().Add(-time.Hour), Account: iamtest.Account, Regions: []string{iamtest.Region}, URL: "http://registry.example", Database: "sqlite",
		}}),
	})
	operatorapi.Register(s, a)
	streams, err := operatorapi.NewStreamService(f.Options(operatormodel.Service, operatorapi.MapError))
	if err != nil {
		t.Fatal(err)
	}
	operatorapi.RegisterStreams(streams, a)
	for _, operation := range s.Operations() {
		if !s.Handled(operation) {
			t.Errorf("%s has no handler", operation)
		}
	}
	f.config = f.Serve(s, streams)
	return f
}

// as returns the client of an access key.
func (f *fixture) as(id, secret string) *operator.Client {
	f.t.Helper()
	cfg := f.config
	cfg.Credentials = iamtest.Static(id, secret, "")
	c, err := operator.New(cfg, f.Now)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func (f *fixture) admin() *operator.Client { return f.as(f.Admin.AccessKeyID, f.Admin.Secret) }

// user returns the client of a new user with a statement as policy.
func (f *fixture) user(name, statement string) *operator.Client {
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
	return f.as(key.ID, secret)
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code || api.ErrorMessage() == "" {
		t.Errorf("err = %v, want %s", err, code)
	}
}

func TestGetServerInfo(t *testing.T) {
	f := serve(t)
	info, err := f.admin().GetServerInfo(t.Context(), &operatormodel.GetServerInfoInput{})
	if err != nil {
		t.Fatal(err)
	}
	if info.Version != "1.2.3" || info.ServerID != "one" || info.UptimeSeconds < 3600 || time.Since(info.StartedAt).Round(time.Minute) != time.Hour ||
		info.Database != "sqlite" || !slices.Contains(info.SchemaSteps, "db/001-info") || len(info.Regions) != 1 || info.Account != iamtest.Account {
		t.Errorf("%+v", info)
	}
}

// Whoever the policies of the first account allow may operate the installation, and
// no administrator of another account.
func TestAPI_Authorization(t *testing.T) {
	f := serve(t)
	in := &operatormodel.GetServerInfoInput{}
	for name, c := range map[string]struct {
		client *operator.Client
		code   string
	}{
		"a wrong secret":          {f.as(f.Admin.AccessKeyID, "wrong"), "InvalidSignatureException"},
		"an unknown key":          {f.as("AKIAIOSFODNN7EXAMPLE", "secret"), "UnrecognizedClientException"},
		"another account's admin": {f.as(f.OtherAdmin.AccessKeyID, f.OtherAdmin.Secret), "AccessDeniedException"},
		"a user with another action": {
			f.user("reader", `{"Effect":"Allow","Action":"ecr:*","Resource":"*"}`), "AccessDeniedException",
		},
		"a user with another region": {
			f.user("elsewhere", `{"Effect":"Allow","Action":"gatehouse:*","Resource":"arn:aws:gatehouse:us-west-2:`+iamtest.Account+`:*"}`), "AccessDeniedException",
		},
		"an operator": {
			f.user("operator", `{"Effect":"Allow","Action":"gatehouse:Get*","Resource":"arn:aws:gatehouse:`+iamtest.Region+`:`+iamtest.Account+`:server"}`), "",
		},
	} {
		_, err := c.client.GetServerInfo(t.Context(), in)
		if c.code == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.code != "" {
			wantCode(t, err, c.code)
		}
	}
}

// Each operation is denied to whoever has no permission.
func TestAPI_EveryOperationIsAuthorized(t *testing.T) {
	f := serve(t)
	client := reflect.ValueOf(f.user("nobody", `{"Effect":"Deny","Action":"*","Resource":"*"}`))
	asked := 0
	for i := range client.NumMethod() {
		m := client.Type().Method(i)
		if m.Type.NumIn() != 3 || !strings.HasSuffix(m.Type.In(2).String(), "Input") {
			continue
		}
		asked++
		out := client.Method(i).Call([]reflect.Value{reflect.ValueOf(t.Context()), reflect.ValueOf(validInput(m.Type.In(2).Elem()))})
		err, _ := out[1].Interface().(error)
		t.Log(m.Name, err)
		wantCode(t, err, "AccessDeniedException")
	}
	table, err := operatormodel.Table()
	if err != nil || asked != len(table.Operations)+1 { // and GetExportedFile; TestTransfer has the import
		t.Errorf("asked for %d of %d operations: %v", asked, len(table.Operations)+1, err)
	}
}

// libName names the package repository of the tests.
var libName = operatormodel.RepositoryName{Domain: "acme", Repository: "lib"}

// validInput returns an input that passes the constraints of its operation.
func validInput(t reflect.Type) any {
	switch t {
	case reflect.TypeFor[operatormodel.RetryWorkInput]():
		return &operatormodel.RetryWorkInput{Kind: aws.String("k")}
	case reflect.TypeFor[operatormodel.ListPackageStatisticsInput]():
		return &operatormodel.ListPackageStatisticsInput{RepositoryName: libName}
	case reflect.TypeFor[operatormodel.PutRetentionRulesInput]():
		return &operatormodel.PutRetentionRulesInput{RepositoryName: libName}
	case reflect.TypeFor[operatormodel.GetRetentionRulesInput]():
		return &operatormodel.GetRetentionRulesInput{RepositoryName: libName}
	case reflect.TypeFor[operatormodel.DeleteRetentionRulesInput]():
		return &operatormodel.DeleteRetentionRulesInput{RepositoryName: libName}
	case reflect.TypeFor[operatormodel.PreviewRetentionInput]():
		return &operatormodel.PreviewRetentionInput{RepositoryName: libName}
	case reflect.TypeFor[operatormodel.RunRetentionInput]():
		return &operatormodel.RunRetentionInput{RepositoryName: libName}
	case reflect.TypeFor[operatormodel.ListRetentionRunsInput]():
		return &operatormodel.ListRetentionRunsInput{RepositoryName: libName}
	case reflect.TypeFor[operatormodel.UndoRetentionInput]():
		return &operatormodel.UndoRetentionInput{RepositoryName: libName, RunID: "r"}
	case reflect.TypeFor[operatormodel.PutAdmissionExceptionInput]():
		return &operatormodel.PutAdmissionExceptionInput{AdmissionScope: scope(""), Format: "npm", Package: "p", Until: time.Unix(1, 0)}
	case reflect.TypeFor[operatormodel.DeleteAdmissionExceptionInput]():
		return &operatormodel.DeleteAdmissionExceptionInput{AdmissionScope: scope(""), EntryID: "e"}
	case reflect.TypeFor[operatormodel.PutQuarantineInput]():
		return &operatormodel.PutQuarantineInput{AdmissionScope: scope(""), Format: "npm", Package: "p"}
	case reflect.TypeFor[operatormodel.ReleaseQuarantineInput]():
		return &operatormodel.ReleaseQuarantineInput{AdmissionScope: scope(""), EntryID: "e"}
	case reflect.TypeFor[operatormodel.ListAdmissionEntriesInput]():
		return &operatormodel.ListAdmissionEntriesInput{AdmissionScope: scope("")}
	case reflect.TypeFor[operatormodel.ExplainAdmissionInput]():
		return &operatormodel.ExplainAdmissionInput{RepositoryName: libName, Format: "npm", Package: "p"}
	case reflect.TypeFor[operatormodel.ExplainLifecycleInput]():
		return &operatormodel.ExplainLifecycleInput{RepositoryName: "app"}
	case reflect.TypeFor[operatormodel.RunLifecycleInput]():
		return &operatormodel.RunLifecycleInput{RepositoryName: "app"}
	case reflect.TypeFor[operatormodel.ListLifecycleRunsInput]():
		return &operatormodel.ListLifecycleRunsInput{RepositoryName: "app"}
	case reflect.TypeFor[operatormodel.UndoLifecycleInput]():
		return &operatormodel.UndoLifecycleInput{RepositoryName: "app", RunID: "r"}
	case reflect.TypeFor[operatormodel.PutDefaultLifecyclePolicyInput]():
		return &operatormodel.PutDefaultLifecyclePolicyInput{PolicyText: strings.Repeat("x", 100)}
	case reflect.TypeFor[operatormodel.ImportAdvisoriesInput]():
		return &operatormodel.ImportAdvisoriesInput{Documents: []string{"{}"}}
	case reflect.TypeFor[operatormodel.DeleteAdvisoriesInput]():
		return &operatormodel.DeleteAdvisoriesInput{AdvisoryIDs: []string{"a"}}
	case reflect.TypeFor[operatormodel.ListAdvisoriesInput]():
		return &operatormodel.ListAdvisoriesInput{Format: "npm", Package: "p"}
	case reflect.TypeFor[operatormodel.ExportPackageVersionInput]():
		return &operatormodel.ExportPackageVersionInput{RepositoryName: libName, Format: "npm", Package: "p", PackageVersion: "1"}
	case reflect.TypeFor[operatormodel.GetExportedFileInput]():
		return &operatormodel.GetExportedFileInput{Domain: libName.Domain, Repository: libName.Repository, Format: "npm", Package: "p", PackageVersion: "1", File: "f"}
	case reflect.TypeFor[operatormodel.RetireKeyInput]():
		return &operatormodel.RetireKeyInput{KeyID: "0a1b2c3d"}
	}
	return reflect.New(t).Interface()
}

func TestAPI_UnknownOperation(t *testing.T) {
	f := serve(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, aws.ToString(f.config.BaseEndpoint), strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", operatormodel.TargetPrefix+".Explode")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusBadRequest || response.Header.Get("X-Amzn-Errortype") != "UnknownOperationException" {
		t.Errorf("%s %v", response.Status, response.Header)
	}
}
