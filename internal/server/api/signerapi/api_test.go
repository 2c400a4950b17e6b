package signerapi_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/signer"
	"github.com/aws/aws-sdk-go-v2/service/signer/types"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	edge "github.com/gatehouse-registry/gatehouse/internal/server/api/signerapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/signing"
)

// A fixture is the API on a real store, with the SDK's client of a user who is allowed
// everything.
type fixture struct {
	*iamtest.Fixture
	t      *testing.T
	client *signer.Client
}

func serve(t *testing.T) *fixture {
	t.Helper()
	w := iamtest.New(t)
	store, err := signing.New(t.Context(), signing.Config{DB: w.DB, Authz: new(authz.PolicyAuthorizer), Sealer: w.Keyring, Now: w.Now})
	if err != nil {
		t.Fatal(err)
	}
	s, err := wire.New("signer", w.Options("signer", edge.MapError))
	if err != nil {
		t.Fatal(err)
	}
	edge.Register(s, edge.New(edge.Config{Signing: store}))
	return &fixture{w, t, signer.NewFromConfig(w.Serve(s))}
}

func (f *fixture) put(name string) *signer.PutSigningProfileOutput {
	f.t.Helper()
	out, err := f.client.PutSigningProfile(f.t.Context(), &signer.PutSigningProfileInput{ProfileName: &name, PlatformId: aws.String(signing.Platform), Tags: map[string]string{"team": "a"}})
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

func TestSigningProfiles(t *testing.T) {
	f := serve(t)
	first := f.put("releases")
	if want := "arn:aws:signer:" + iamtest.Region + ":" + iamtest.Account + ":/signing-profiles/releases"; *first.Arn != want || *first.ProfileVersionArn != want+"/"+*first.ProfileVersion || len(*first.ProfileVersion) != 10 {
		t.Errorf("%s %s %s", *first.Arn, *first.ProfileVersion, *first.ProfileVersionArn)
	}
	got, err := f.client.GetSigningProfile(t.Context(), &signer.GetSigningProfileInput{ProfileName: aws.String("releases")})
	if err != nil || *got.ProfileVersion != *first.ProfileVersion || got.Status != types.SigningProfileStatusActive || got.SignatureValidityPeriod.Value != 135 || got.Tags["team"] != "a" || *got.PlatformId != signing.Platform {
		t.Fatalf("%+v, %v", got, err)
	}
	if again := f.put("releases"); *again.ProfileVersion == *first.ProfileVersion {
		t.Error("a profile that was put again has the old version")
	}
	for _, name := range []string{"alpha", "zeta"} {
		f.put(name)
	}
	if _, err := f.client.CancelSigningProfile(t.Context(), &signer.CancelSigningProfileInput{ProfileName: aws.String("alpha")}); err != nil {
		t.Fatal(err)
	}
	for want, in := range map[string]*signer.ListSigningProfilesInput{
		"releases zeta":       {},
		"alpha releases zeta": {IncludeCanceled: true},
		"alpha":               {Statuses: []types.SigningProfileStatus{types.SigningProfileStatusCanceled}},
	} {
		in.MaxResults = aws.Int32(1)
		var names []string
		pages := signer.NewListSigningProfilesPaginator(f.client, in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range page.Profiles {
				names = append(names, *p.ProfileName)
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if _, err := f.client.GetSigningProfile(t.Context(), &signer.GetSigningProfileInput{ProfileName: aws.String("none")}); !is[*types.ResourceNotFoundException](err) {
		t.Error(err)
	}
	for _, in := range []*signer.PutSigningProfileInput{
		{ProfileName: aws.String("x1"), PlatformId: aws.String("AWSLambda-SHA384-ECDSA")},
		{ProfileName: aws.String("x1"), PlatformId: aws.String(signing.Platform), SigningMaterial: &types.SigningMaterial{CertificateArn: aws.String("arn:aws:acm:us-east-1:1:x")}},
		{ProfileName: aws.String("x1"), PlatformId: aws.String(signing.Platform), SignatureValidityPeriod: &types.SignatureValidityPeriod{Type: types.ValidityTypeYears, Value: 12}},
		{ProfileName: aws.String("x-1"), PlatformId: aws.String(signing.Platform)},
	} {
		if _, err := f.client.PutSigningProfile(t.Context(), in); !is[*types.ValidationException](err) {
			t.Errorf("%s: %v", *in.ProfileName, err)
		}
	}
	if _, err := f.client.SignPayload(t.Context(), &signer.SignPayloadInput{ProfileName: aws.String("releases"), Payload: []byte("x"), PayloadFormat: aws.String("x")}); err == nil {
		t.Error("SignPayload is not built")
	}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func TestSigningProfiles_Permissions(t *testing.T) {
	f := serve(t)
	f.put("releases")
	if _, err := f.IAM.CreateUser(f.AsAdmin(), iam.NewEntity{Name: "reader"}); err != nil {
		t.Fatal(err)
	}
	statement := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"signer:GetSigningProfile","Resource":"arn:aws:signer:*:*:/signing-profiles/releases"}}`
	if err := f.IAM.PutInlinePolicy(f.AsAdmin(), iam.KindUser, "reader", "p", statement); err != nil {
		t.Fatal(err)
	}
	_, key, secret, err := f.IAM.CreateAccessKey(f.AsAdmin(), "reader")
	if err != nil {
		t.Fatal(err)
	}
	as := func(o *signer.Options) { o.Credentials = iamtest.Static(key.ID, secret, "") }
	if _, err := f.client.GetSigningProfile(t.Context(), &signer.GetSigningProfileInput{ProfileName: aws.String("releases")}, as); err != nil {
		t.Error(err)
	}
	_, errGet := f.client.GetSigningProfile(t.Context(), &signer.GetSigningProfileInput{ProfileName: aws.String("other")}, as)
	_, errPut := f.client.PutSigningProfile(t.Context(), &signer.PutSigningProfileInput{ProfileName: aws.String("releases"), PlatformId: aws.String(signing.Platform)}, as)
	_, errList := f.client.ListSigningProfiles(t.Context(), &signer.ListSigningProfilesInput{}, as)
	_, errCancel := f.client.CancelSigningProfile(t.Context(), &signer.CancelSigningProfileInput{ProfileName: aws.String("releases")}, as)
	for i, err := range []error{errGet, errPut, errList, errCancel} {
		if !is[*types.AccessDeniedException](err) {
			t.Errorf("%d: %v", i, err)
		}
	}
}
