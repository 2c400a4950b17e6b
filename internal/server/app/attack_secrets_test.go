package app_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Whatever clients do with their secrets, none is in the log at its most
// talkative, in the audit records, in the metrics or in an answer to somebody
// else's question.
func TestAttack_SecretsInLogs(t *testing.T) {
	g := start(t)
	g.repositories(victim, "first")
	ctx, admin := t.Context(), g.admin(victim)
	key := must(iam.NewFromConfig(g.admin(victim)).CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("admin")}))(t).AccessKey
	role := g.role("builder", allow("*", "*"))
	assumed := must(sts.NewFromConfig(admin).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("session")}))(t).Credentials
	session := g.with(*assumed.AccessKeyId, *assumed.SecretAccessKey, *assumed.SessionToken)
	image := g.imageToken(session)
	password := strings.TrimPrefix(string(must(base64.StdEncoding.DecodeString(image))(t)), "AWS:")
	packages := g.packageToken(session, "first")
	layer := g.push("Basic "+image, "app", "layer")
	address := *must(ecr.NewFromConfig(admin).GetDownloadUrlForLayer(ctx, &ecr.GetDownloadUrlForLayerInput{RepositoryName: aws.String("app"), LayerDigest: aws.String(layer.String())}))(t).DownloadUrl
	signature := must(url.Parse(address))(t).Query().Get("signature")
	secrets := map[string]string{
		"the admin's secret": g.keys(admin).SecretAccessKey, "a new key's secret": *key.SecretAccessKey, "the session's secret": *assumed.SecretAccessKey,
		"the session token": *assumed.SessionToken, "the ECR token": image, "the ECR password": password, "the CodeArtifact token": packages, "the signature of an address": signature,
	}

	for _, secret := range []string{*assumed.SessionToken, image, password, packages} {
		for _, path := range []string{
			"/" + secret, "/v2/" + secret, "/v2/" + secret + "/tags/list", "/v2/app/manifests/" + secret, "/v2/app/blobs/uploads/" + secret, "/codeartifact/" + secret,
			"/codeartifact/us-east-1/" + victim + "/first/npm/lib/" + secret, "/codeartifact/us-east-1/" + victim + "/first/pypi/lib/simple/" + secret + "/", "/codeartifact/us-east-1/" + victim + "/first/" + secret + "/lib/",
			"/?token=" + secret, "/v2/app/tags/list?n=" + secret, "/v2/app/tags/list?last=" + secret, "/v1/" + secret, "/v1/domain?domain=" + secret, "/?Action=" + secret, "/healthz?" + secret,
		} {
			for _, header := range []string{"Basic " + image, "Bearer " + packages, "Bearer x" + secret, "Digest " + secret, basic(secret, "x"), basic("AWS", secret+"x"), "AWS4-HMAC-SHA256 " + secret, "AWS4-HMAC-SHA256 Credential=" + secret + "/20260101/us-east-1/sts/aws4_request, SignedHeaders=host, Signature=" + secret} {
				r := g.get(path, header)
				r.Header.Set("User-Agent", "tool/"+secret)
				g.send(r)
				r = g.request(http.MethodPost, path, "Action=GetUser&UserName="+secret)
				r.Header.Set("Authorization", header)
				g.send(r)
			}
		}
		// Signed requests with a secret in place of a name.
		_, _ = iam.NewFromConfig(admin).GetUser(ctx, &iam.GetUserInput{UserName: &secret})
		_, _ = sts.NewFromConfig(admin).GetAccessKeyInfo(ctx, &sts.GetAccessKeyInfoInput{AccessKeyId: aws.String(secret[:min(len(secret), 120)])})
		_, _ = ecr.NewFromConfig(admin).DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: &secret})
		_, _ = codeartifact.NewFromConfig(admin).DescribeDomain(ctx, &codeartifact.DescribeDomainInput{Domain: &secret})
		r := g.call(secret, "{}")
		g.send(g.sign(r, g.keys(admin), "{}", "ecr", region, g.now()))
	}
	bent := must(url.Parse(strings.Replace(address, "expires=", "expires=1", 1)))(t)
	g.send(g.get(bent.RequestURI(), ""))

	_, metrics := g.send(g.get("/metrics", ""))
	g.stop()
	audit := string(must(os.ReadFile(filepath.Join(g.data, "audit.jsonl")))(t))
	if !strings.Contains(audit, "[token]") || !strings.Contains(g.log.String(), "[token]") {
		t.Error("nothing was hidden: the test asks for nothing")
	}
	for name, text := range map[string]string{"the log": g.log.String(), "the audit": audit, "the metrics": metrics} {
		for what, secret := range secrets {
			if i := strings.Index(text, secret[:min(len(secret), 40)]); i >= 0 {
				t.Errorf("%s is in %s: …%s…", what, name, text[max(i-300, 0):min(i+20, len(text))])
			}
		}
	}
}
