package app_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/signer"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/notaryproject/notation-core-go/signature/jws"
)

// pushAs pushes an image as a user.
func (g *fixture) pushAs(c aws.Config, image string, img v1.Image) {
	g.t.Helper()
	user, password := credentials(g.t, g.imageToken(c))
	ref := must(name.ParseReference(strings.TrimPrefix(g.url, "http://")+"/"+image, name.Insecure))(g.t)
	if err := remote.Write(ref, img, remote.WithAuth(&authn.Basic{Username: user, Password: password})); err != nil {
		g.t.Fatal(err)
	}
}

// signingStatus waits until no signature of an image is in progress.
func signingStatus(t *testing.T, c *ecr.Client, repository, tag string) []types.ImageSigningStatus {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 3000 {
		out := must(c.DescribeImageSigningStatus(t.Context(), &ecr.DescribeImageSigningStatusInput{RepositoryName: &repository, ImageId: &types.ImageIdentifier{ImageTag: &tag}}))(t)
		busy := false
		for _, s := range out.SigningStatuses {
			busy = busy || s.Status == types.SigningStatusInProgress
		}
		if !busy {
			return out.SigningStatuses
		}
		<-tick.C
	}
	t.Fatal("the image is not signed")
	return nil
}

// An image is signed by each profile whose rule matches and with which the pusher may sign.
func TestSigning(t *testing.T) {
	g := start(t)
	admin := g.admin(victim)
	client, profiles := ecr.NewFromConfig(admin), signer.NewFromConfig(admin)
	var arns []string
	for _, name := range []string{"releases", "audit"} {
		arns = append(arns, *must(profiles.PutSigningProfile(t.Context(), &signer.PutSigningProfileInput{ProfileName: &name, Tags: map[string]string{"use": name}, PlatformId: aws.String("Notation-OCI-SHA384-ECDSA")}))(t).Arn)
	}
	_, err := client.GetSigningConfiguration(t.Context(), &ecr.GetSigningConfigurationInput{})
	wantAPICode(t, err, "SigningConfigurationNotFoundException")
	filter := func(f string) []types.SigningRepositoryFilter {
		return []types.SigningRepositoryFilter{{Filter: &f, FilterType: types.SigningRepositoryFilterTypeWildcardMatch}}
	}
	must(client.PutSigningConfiguration(t.Context(), &ecr.PutSigningConfigurationInput{SigningConfiguration: &types.SigningConfiguration{Rules: []types.SigningRule{
		{SigningProfileArn: &arns[0], RepositoryFilters: filter("prod/*")}, {SigningProfileArn: &arns[1]}, {SigningProfileArn: &arns[0], RepositoryFilters: filter("*/app")},
	}}}))(t)
	if got := must(client.GetSigningConfiguration(t.Context(), &ecr.GetSigningConfigurationInput{}))(t); len(got.SigningConfiguration.Rules) != 3 || *got.SigningConfiguration.Rules[0].RepositoryFilters[0].Filter != "prod/*" {
		t.Errorf("%+v", got)
	}
	elsewhere := strings.Replace(arns[0], region, secondRegion, 1)
	_, err = client.PutSigningConfiguration(t.Context(), &ecr.PutSigningConfigurationInput{SigningConfiguration: &types.SigningConfiguration{Rules: []types.SigningRule{{SigningProfileArn: &elsewhere}}}})
	wantAPICode(t, err, "InvalidParameterException")

	for _, name := range []string{"prod/app", "other"} {
		must(client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &name}))(t)
	}
	img := must(random.Image(1000, 2))(t)
	g.pushAs(admin, "prod/app:v1", img)
	statuses := signingStatus(t, client, "prod/app", "v1")
	if len(statuses) != 2 || statuses[0].Status != types.SigningStatusComplete || statuses[1].Status != types.SigningStatusComplete || *statuses[0].SigningProfileArn != arns[1] {
		t.Fatalf("%+v", statuses)
	}
	digest := must(img.Digest())(t).String()
	referrers := must(client.ListImageReferrers(t.Context(), &ecr.ListImageReferrersInput{RepositoryName: aws.String("prod/app"), SubjectId: &types.SubjectIdentifier{ImageDigest: &digest}}))(t).Referrers
	if len(referrers) != 2 || *referrers[0].ArtifactType != "application/vnd.cncf.notary.signature" {
		t.Fatalf("%+v", referrers)
	}
	// Clients get an envelope that says what is signed.
	user, password := credentials(t, g.imageToken(admin))
	ref := must(name.NewDigest(strings.TrimPrefix(g.url, "http://")+"/prod/app@"+*referrers[0].Digest, name.Insecure))(t)
	signature := must(remote.Image(ref, remote.WithAuth(&authn.Basic{Username: user, Password: password})))(t)
	layer := must(must(signature.Layers())(t)[0].Compressed())(t)
	envelope := must(jws.ParseEnvelope(must(io.ReadAll(layer))(t)))(t)
	if content := must(envelope.Verify())(t); !strings.Contains(string(content.Payload.Content), digest) {
		t.Errorf("%s", content.Payload.Content)
	}
	response := must(http.Get(g.url + "/signing/" + victim + "/root.pem"))(t)
	root, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if response.StatusCode != http.StatusOK || !strings.HasPrefix(string(root), "-----BEGIN CERTIFICATE-----") {
		t.Errorf("%s %s", response.Status, root)
	}
	// Signatures are not signed, and a push of the same image again signs nothing.
	if got := must(client.DescribeImageSigningStatus(t.Context(), &ecr.DescribeImageSigningStatusInput{RepositoryName: aws.String("prod/app"), ImageId: &types.ImageIdentifier{ImageDigest: referrers[0].Digest}}))(t); len(got.SigningStatuses) != 0 {
		t.Errorf("%+v", got.SigningStatuses)
	}
	g.pushAs(admin, "prod/app:v2", img)
	signingStatus(t, client, "prod/app", "v2")
	if again := must(client.ListImageReferrers(t.Context(), &ecr.ListImageReferrersInput{RepositoryName: aws.String("prod/app"), SubjectId: &types.SubjectIdentifier{ImageDigest: &digest}}))(t).Referrers; len(again) != 2 {
		t.Errorf("%d signatures after another push", len(again))
	}

	// The permission of the pusher counts.
	pusher := g.user(victim, "pusher", allow("ecr:*", "*"), allow("signer:SignPayload", arns[0]))
	g.pushAs(pusher, "prod/app:theirs", must(random.Image(1000, 1))(t))
	statuses = signingStatus(t, client, "prod/app", "theirs")
	if len(statuses) != 2 || statuses[0].Status != types.SigningStatusFailed || *statuses[0].FailureCode != "AccessDenied" || !strings.Contains(*statuses[0].FailureReason, "signer:SignPayload") || statuses[1].Status != types.SigningStatusComplete {
		t.Fatalf("%+v", statuses)
	}

	// So do conditions on the tags of a profile.
	tagged := g.user(victim, "tagged", allow("ecr:*", "*"), allow("signer:SignPayload", "*"),
		`{"Effect":"Deny","Action":"signer:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/use":"audit"}}}`)
	g.pushAs(tagged, "prod/app:tagged", must(random.Image(1000, 1))(t))
	statuses = signingStatus(t, client, "prod/app", "tagged")
	if len(statuses) != 2 || statuses[0].Status != types.SigningStatusFailed || statuses[1].Status != types.SigningStatusComplete {
		t.Fatalf("%+v", statuses)
	}

	// A canceled profile fails, also after a restart.
	must(profiles.CancelSigningProfile(t.Context(), &signer.CancelSigningProfileInput{ProfileName: aws.String("audit")}))(t)
	g.stop()
	g.serve()
	client = ecr.NewFromConfig(g.admin(victim))
	g.pushAs(g.admin(victim), "other:v1", must(random.Image(1000, 1))(t))
	statuses = signingStatus(t, client, "other", "v1")
	if len(statuses) != 1 || statuses[0].Status != types.SigningStatusFailed || *statuses[0].FailureCode != "ProfileNotActive" {
		t.Fatalf("%+v", statuses)
	}
	if old := must(client.DeleteSigningConfiguration(t.Context(), &ecr.DeleteSigningConfigurationInput{}))(t); len(old.SigningConfiguration.Rules) != 3 {
		t.Errorf("%+v", old)
	}
	g.pushAs(g.admin(victim), "other:v2", must(random.Image(1000, 1))(t))
	if got := signingStatus(t, client, "other", "v2"); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	g.stop()
}
