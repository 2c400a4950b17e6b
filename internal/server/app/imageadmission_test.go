package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/signer"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const signedOnly = `{"Version":"2012-10-17","Statement":{"Sid":"SignedOnly","Effect":"Deny","Principal":"*","Action":"ecr:BatchGetImage",
	"Resource":"arn:aws:ecr:us-east-1:000000000001:repository/prod/*","Condition":{"ForAllValues:StringNotEquals":{"gatehouse:SignedBy":"PROFILE"}}}}`

// An image without the signature that a rule wants is not pulled, and the message says why.
func TestImageAdmission_SignedBy(t *testing.T) {
	g := start(t)
	admin := g.admin(victim)
	client, profiles := ecr.NewFromConfig(admin), signer.NewFromConfig(admin)
	arn := *must(profiles.PutSigningProfile(t.Context(), &signer.PutSigningProfileInput{ProfileName: aws.String("releases"), PlatformId: aws.String("Notation-OCI-SHA384-ECDSA")}))(t).Arn
	must(client.PutSigningConfiguration(t.Context(), &ecr.PutSigningConfigurationInput{SigningConfiguration: &types.SigningConfiguration{Rules: []types.SigningRule{{SigningProfileArn: &arn}}}}))(t)
	must(client.PutRegistryPolicy(t.Context(), &ecr.PutRegistryPolicyInput{PolicyText: aws.String(strings.ReplaceAll(signedOnly, "PROFILE", arn))}))(t)
	for _, name := range []string{"prod/app", "dev/app"} {
		must(client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &name}))(t)
	}
	pusher := g.user(victim, "pusher", allow("ecr:*", "*"))
	unsigned := must(random.Image(1000, 1))(t)
	g.pushAs(pusher, "prod/app:unsigned", unsigned)
	g.pushAs(pusher, "dev/app:unsigned", unsigned)
	denied := func(image string) {
		t.Helper()
		_, err := g.pullImage(pusher, image)
		if err == nil || !strings.Contains(err.Error(), "DENIED") || !strings.Contains(err.Error(), "the rule SignedOnly of the resource-based policy") || !strings.Contains(err.Error(), "gatehouse:SignedBy is missing") {
			t.Errorf("%s: %v", image, err)
		}
	}
	denied("prod/app:unsigned")
	g.wantPull(pusher, "dev/app:unsigned", unsigned)
	_, err := client.BatchGetImage(t.Context(), &ecr.BatchGetImageInput{RepositoryName: aws.String("prod/app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("unsigned")}}})
	wantAPICode(t, err, "AccessDeniedException")

	signed := must(random.Image(1000, 1))(t)
	g.pushAs(admin, "prod/app:signed", signed)
	signingStatus(t, client, "prod/app", "signed")
	g.wantPull(pusher, "prod/app:signed", signed)
	d := must(signed.Digest())(t).String()
	referrers := must(client.ListImageReferrers(t.Context(), &ecr.ListImageReferrersInput{RepositoryName: aws.String("prod/app"), SubjectId: &types.SubjectIdentifier{ImageDigest: &d}}))(t).Referrers
	if len(referrers) != 1 {
		t.Fatalf("%+v", referrers)
	}
	if _, err := g.pullImage(pusher, "prod/app@"+*referrers[0].Digest); err != nil {
		t.Error("the signature itself:", err)
	}
	// A copy of the signature is verified where it is pushed.
	user, password := credentials(t, g.imageToken(admin))
	auth := remote.WithAuth(&authn.Basic{Username: user, Password: password})
	at := func(ref string) name.Reference {
		return must(name.ParseReference(strings.TrimPrefix(g.url, "http://")+"/"+ref, name.Insecure))(t)
	}
	must(client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("prod/copy")}))(t)
	must(client.DeleteSigningConfiguration(t.Context(), &ecr.DeleteSigningConfigurationInput{}))(t)
	g.pushAs(pusher, "prod/copy:v1", signed)
	denied("prod/copy:v1")
	signature := must(remote.Image(at("prod/app@"+*referrers[0].Digest), auth))(t)
	if err := remote.Write(at("prod/copy@"+*referrers[0].Digest), signature, auth); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for tries := 0; ; tries++ {
		if _, err := g.pullImage(pusher, "prod/copy:v1"); err == nil {
			break
		} else if tries == 1000 {
			t.Fatal(err)
		}
		<-tick.C
	}
	// Without the signature it is denied again, at once.
	if _, err := client.BatchDeleteImage(t.Context(), &ecr.BatchDeleteImageInput{RepositoryName: aws.String("prod/copy"), ImageIds: []types.ImageIdentifier{{ImageDigest: referrers[0].Digest}}}); err != nil {
		t.Fatal(err)
	}
	denied("prod/copy:v1")

	// The images of a signed index may be pulled.
	must(client.PutSigningConfiguration(t.Context(), &ecr.PutSigningConfigurationInput{SigningConfiguration: &types.SigningConfiguration{Rules: []types.SigningRule{{SigningProfileArn: &arn}}}}))(t)
	child := must(random.Image(1000, 1))(t)
	g.pushAs(pusher, "prod/app:child", child) // may not sign
	denied("prod/app:child")
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: child, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
	if err := remote.WriteIndex(at("prod/app:index"), index, auth); err != nil {
		t.Fatal(err)
	}
	signingStatus(t, client, "prod/app", "index")
	g.wantPull(pusher, "prod/app:index", index)

	// The simulator knows the key.
	for by, want := range map[string]iamtypes.PolicyEvaluationDecisionType{arn: iamtypes.PolicyEvaluationDecisionTypeAllowed, arn + "x": iamtypes.PolicyEvaluationDecisionTypeExplicitDeny} {
		policy := strings.ReplaceAll(signedOnly, "PROFILE", arn)
		out := must(iam.NewFromConfig(admin).SimulatePrincipalPolicy(t.Context(), &iam.SimulatePrincipalPolicyInput{
			PolicySourceArn: aws.String("arn:aws:iam::" + victim + ":user/pusher"), ActionNames: []string{"ecr:BatchGetImage"}, ResourcePolicy: &policy, ResourceArns: []string{"arn:aws:ecr:us-east-1:" + victim + ":repository/prod/app"},
			CallerArn:      aws.String("arn:aws:iam::" + victim + ":user/pusher"),
			ContextEntries: []iamtypes.ContextEntry{{ContextKeyName: aws.String("gatehouse:SignedBy"), ContextKeyType: iamtypes.ContextKeyTypeEnumStringList, ContextKeyValues: []string{by}}},
		}))(t)
		if got := out.EvaluationResults[0].EvalDecision; got != want {
			t.Errorf("signed by %s: %s, want %s", by, got, want)
		}
	}
	g.stop()
}
