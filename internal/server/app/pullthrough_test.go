package app_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// An upstream is a registry behind a fault that a test can set.
type upstream struct {
	t         *testing.T
	url, host string
	fault     atomic.Pointer[http.HandlerFunc]
	manifests atomic.Int64 // GETs of manifests
}

// newUpstream starts a registry without images.
func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{t: t}
	behind := registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/manifests/") {
			u.manifests.Add(1)
		}
		if fault := u.fault.Load(); fault != nil && r.Method != http.MethodPut {
			(*fault)(w, r)
			return
		}
		behind.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	u.url, u.host = server.URL, strings.TrimPrefix(server.URL, "http://")
	return u
}

// fail sets the fault of the following requests; nil ends it.
func (u *upstream) fail(h http.HandlerFunc) {
	if h == nil {
		u.fault.Store(nil)
		return
	}
	u.fault.Store(&h)
}

func (u *upstream) ref(image string) name.Reference {
	return must(name.ParseReference(u.host+"/"+image, name.Insecure))(u.t)
}

// push pushes a random image.
func (u *upstream) push(image string) v1.Image {
	u.t.Helper()
	img := must(random.Image(1000, 2))(u.t)
	if err := remote.Write(u.ref(image), img); err != nil {
		u.t.Fatal(err)
	}
	return img
}

// cacheOf starts a server with a rule for the names below up/.
func cacheOf(t *testing.T, u *upstream, check time.Duration) *fixture {
	t.Helper()
	g := startWith(t, func(c *config.Config) {
		c.Upstreams = map[string]config.Upstream{"up": {Format: "oci", URL: u.url, AllowPrivate: true, Limits: config.UpstreamLimits{Attempts: 1, Header: 2 * time.Second, Idle: time.Second}}}
		c.UpstreamCache.ImageTags = check
	})
	must(ecr.NewFromConfig(g.admin(victim)).CreatePullThroughCacheRule(t.Context(), &ecr.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("up"), UpstreamRegistryUrl: &u.url}))(t)
	return g
}

// pullImage reads an image with all its layers as a user does.
func (g *fixture) pullImage(c aws.Config, image string) (v1.Hash, error) {
	g.t.Helper()
	user, password := credentials(g.t, g.imageToken(c))
	ref := must(name.ParseReference(strings.TrimPrefix(g.url, "http://")+"/"+image, name.Insecure))(g.t)
	desc, err := remote.Get(ref, remote.WithAuth(&authn.Basic{Username: user, Password: password}), remote.WithRetryBackoff(remote.Backoff{Steps: 1}), remote.WithRetryStatusCodes())
	if err != nil {
		return v1.Hash{}, err
	}
	if desc.MediaType.IsIndex() {
		index, err := desc.ImageIndex()
		if err != nil {
			return v1.Hash{}, err
		}
		manifest, err := index.IndexManifest()
		if err != nil {
			return v1.Hash{}, err
		}
		for _, m := range manifest.Manifests {
			child, err := index.Image(m.Digest)
			if err != nil {
				return v1.Hash{}, err
			}
			if err := readLayers(child); err != nil {
				return v1.Hash{}, err
			}
		}
		return desc.Digest, nil
	}
	img, err := desc.Image()
	if err != nil {
		return v1.Hash{}, err
	}
	return desc.Digest, readLayers(img)
}

// credentials are the user and the password of a token.
func credentials(t *testing.T, token string) (user, password string) {
	t.Helper()
	text := string(must(base64.StdEncoding.DecodeString(token))(t))
	user, password, _ = strings.Cut(text, ":")
	return user, password
}

// readLayers reads the layers and compares their digests.
func readLayers(img v1.Image) error {
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		body, err := l.Compressed()
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, body)
		if err := errors.Join(err, body.Close()); err != nil {
			return err
		}
	}
	return nil
}

// wantPull pulls an image and compares its digest.
func (g *fixture) wantPull(c aws.Config, image string, want interface{ Digest() (v1.Hash, error) }) {
	g.t.Helper()
	got, err := g.pullImage(c, image)
	if d := must(want.Digest())(g.t); err != nil || got != d {
		g.t.Errorf("%s: %v, %v, want %v", image, got, err, d)
	}
}

func TestPullThrough_Index(t *testing.T) {
	u := newUpstream(t)
	var index v1.ImageIndex = empty.Index
	for _, arch := range []string{"amd64", "arm64"} {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: must(random.Image(1000, 2))(t), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	if err := remote.WriteIndex(u.ref("library/app:1"), index); err != nil {
		t.Fatal(err)
	}
	subject := must(remote.Head(u.ref("library/app:1")))(t)
	signature := mutate.Subject(must(random.Image(100, 1))(t), *subject).(v1.Image)
	if err := remote.Write(u.ref("library/app:signature"), signature); err != nil {
		t.Fatal(err)
	}
	g := cacheOf(t, u, time.Second)
	admin := g.admin(victim)
	g.wantPull(admin, "up/library/app:1", index)
	client := ecr.NewFromConfig(admin)
	out := must(client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: aws.String("up/library/app")}))(t)
	if len(out.ImageDetails) != 4 {
		t.Errorf("%d images, want the index, its two children and the signature", len(out.ImageDetails))
	}
	referrers := must(client.ListImageReferrers(t.Context(), &ecr.ListImageReferrersInput{RepositoryName: aws.String("up/library/app"), SubjectId: &types.SubjectIdentifier{ImageDigest: aws.String(subject.Digest.String())}}))(t)
	if len(referrers.Referrers) != 1 {
		t.Errorf("referrers: %+v", referrers.Referrers)
	}
	// Without the upstream everything that was pulled is there.
	u.fail(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	g.offset.Add(int64(time.Minute))
	g.wantPull(admin, "up/library/app:1", index)
	g.stop()
	if audit := string(must(os.ReadFile(g.file("audit.jsonl")))(t)); !strings.Contains(audit, `"BatchImportUpstreamImage"`) || !strings.Contains(audit, "up/library/app") {
		t.Error("the audit log does not have the import")
	}
}

func TestPullThrough_TagMoves(t *testing.T) {
	u := newUpstream(t)
	first := u.push("app:latest")
	g := cacheOf(t, u, 10*time.Second)
	admin := g.admin(victim)
	g.wantPull(admin, "up/app:latest", first)
	second := u.push("app:latest")
	asked := u.manifests.Load()
	g.wantPull(admin, "up/app:latest", first)
	if n := u.manifests.Load(); n != asked {
		t.Errorf("the upstream was asked %d times for a tag that was just compared", n-asked)
	}
	g.offset.Add(int64(time.Minute))
	g.wantPull(admin, "up/app:latest", second)
	// A comparison by a clock that was ahead does not count when the clock is right again.
	g.offset.Add(int64(5 * time.Minute))
	g.wantPull(admin, "up/app:latest", second)
	g.offset.Add(-int64(5 * time.Minute))
	second = u.push("app:latest")
	g.wantPull(admin, "up/app:latest", second)
	// The first image can still be pulled by its digest.
	g.wantPull(admin, "up/app@"+must(first.Digest())(t).String(), first)

	// An immutable tag stays.
	must(ecr.NewFromConfig(admin).PutImageTagMutability(t.Context(), &ecr.PutImageTagMutabilityInput{RepositoryName: aws.String("up/app"), ImageTagMutability: types.ImageTagMutabilityImmutable}))(t)
	u.push("app:latest")
	g.offset.Add(int64(time.Minute))
	g.wantPull(admin, "up/app:latest", second)
}

// TestPullThrough_OneImport checks that clients that come together cause one import.
// A pull brings an archived image back if the other registry has it.
func TestPullThrough_Archived(t *testing.T) {
	u := newUpstream(t)
	img := u.push("app:1")
	g := cacheOf(t, u, time.Second)
	admin := g.admin(victim)
	g.wantPull(admin, "up/app:1", img)
	client := ecr.NewFromConfig(admin)
	if _, err := client.UpdateImageStorageClass(t.Context(), &ecr.UpdateImageStorageClassInput{
		RepositoryName: aws.String("up/app"), ImageId: &types.ImageIdentifier{ImageTag: aws.String("1")}, TargetStorageClass: types.TargetStorageClassArchive,
	}); err != nil {
		t.Fatal(err)
	}
	g.wantPull(admin, "up/app:1", img)
	out := must(client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: aws.String("up/app")}))(t)
	if len(out.ImageDetails) != 1 || out.ImageDetails[0].LastActivatedAt == nil {
		t.Errorf("%+v", out.ImageDetails)
	}
	g.stop()
}

func TestPullThrough_OneImport(t *testing.T) {
	u := newUpstream(t)
	img := u.push("app:1")
	g := cacheOf(t, u, time.Hour)
	asked := u.manifests.Load()
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() { g.wantPull(g.admin(victim), "up/app:1", img) })
	}
	clients.Wait()
	if n := u.manifests.Load() - asked; n != 1 {
		t.Errorf("the manifest was fetched %d times", n)
	}
}

func TestPullThrough_Permissions(t *testing.T) {
	u := newUpstream(t)
	img := u.push("app:1")
	g := cacheOf(t, u, time.Hour)
	pull := []string{allow("ecr:GetAuthorizationToken", "*"), allow("ecr:BatchGetImage", "*"), allow("ecr:GetDownloadUrlForLayer", "*")}
	reader := g.user(victim, "reader", pull...)
	importer := g.user(victim, "importer", append(pull, allow("ecr:BatchImportUpstreamImage", "*"))...)
	creator := g.user(victim, "creator", append(pull, allow("ecr:BatchImportUpstreamImage", "*"), allow("ecr:CreateRepository", "arn:aws:ecr:*:*:repository/up/*"))...)
	nobody := g.user(victim, "nobody", allow("ecr:GetAuthorizationToken", "*"))
	for _, c := range []struct {
		user  aws.Config
		image string
		want  string
	}{
		{nobody, "up/app:1", "DENIED"},
		{reader, "up/app:1", "MANIFEST_UNKNOWN"},
		{importer, "up/app:1", "NAME_UNKNOWN"},
		{creator, "up/app:none", "MANIFEST_UNKNOWN"},
		{creator, "other/app:1", "NAME_UNKNOWN"},
	} {
		if _, err := g.pullImage(c.user, c.image); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.image, err, c.want)
		}
	}
	_, err := ecr.NewFromConfig(g.admin(victim)).DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"up/app"}})
	wantAPICode(t, err, "RepositoryNotFoundException")
	g.wantPull(creator, "up/app:1", img)
	g.wantPull(reader, "up/app:1", img)
	_, err = g.pullImage(reader, "up/app:2")
	if err == nil || !strings.Contains(err.Error(), "MANIFEST_UNKNOWN") {
		t.Errorf("%v", err)
	}
}

// TestPullThrough_Faults checks that no wrong byte is kept, whatever the upstream does, that
// the answer says so, and that images that are here go on.
func TestPullThrough_Faults(t *testing.T) {
	u := newUpstream(t)
	here := u.push("here:1")
	img := u.push("new:1")
	raw := must(img.RawManifest())(t)
	mediaType := string(must(img.MediaType())(t))
	manifest := func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("Docker-Content-Digest", must(img.Digest())(t).String())
		_, _ = w.Write(raw)
		return true
	}
	g := cacheOf(t, u, time.Second)
	admin := g.admin(victim)
	g.wantPull(admin, "up/here:1", here)
	for _, c := range []struct {
		name, want string
		fault      http.HandlerFunc
	}{
		{"5xx", "UpstreamUnavailable", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }},
		{"access denied", "UpstreamAccessDenied", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }},
		{"a login page", "ImageInaccessible", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>log in</html>")
		}},
		{"a manifest that is none", "ImageInaccessible", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			_, _ = io.WriteString(w, "{}")
		}},
		{"redirects for ever", "UpstreamUnavailable", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}},
		{"a redirect to this machine", "UpstreamUnavailable", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:9/", http.StatusFound)
		}},
		{"layers with another digest", "ImageInaccessible", func(w http.ResponseWriter, r *http.Request) {
			if !manifest(w, r) {
				_, _ = w.Write(bytes.Repeat([]byte("x"), 1000))
			}
		}},
		{"layers cut in the middle", "ImageInaccessible", func(w http.ResponseWriter, r *http.Request) {
			if !manifest(w, r) {
				w.Header().Set("Content-Length", "1000")
				_, _ = io.WriteString(w, "x")
			}
		}},
		{"layers that are missing", "ImageInaccessible", func(w http.ResponseWriter, r *http.Request) {
			if !manifest(w, r) {
				http.NotFound(w, r)
			}
		}},
		{"no answer", "UpstreamUnavailable", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"429", "UpstreamTooManyRequests", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		}},
	} {
		g.offset.Add(int64(20 * time.Second)) // failures are remembered for a while
		u.fail(c.fault)
		_, err := g.pullImage(admin, "up/new:1")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		g.wantPull(admin, "up/here:1", here)
		out := must(ecr.NewFromConfig(admin).BatchGetImage(t.Context(), &ecr.BatchGetImageInput{RepositoryName: aws.String("up/new"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("1")}}}))(t)
		if len(out.Images) != 0 || len(out.Failures) != 1 || string(out.Failures[0].FailureCode) != c.want {
			t.Errorf("%s: BatchGetImage: %+v", c.name, out.Failures)
		}
	}
}

func TestPullThrough_Rules(t *testing.T) {
	u := newUpstream(t)
	g := cacheOf(t, u, time.Hour)
	ctx, admin := t.Context(), g.admin(victim)
	client, secrets := ecr.NewFromConfig(admin), secretsmanager.NewFromConfig(admin)
	create := func(in *ecr.CreatePullThroughCacheRuleInput, as aws.Config) error {
		_, err := ecr.NewFromConfig(as).CreatePullThroughCacheRule(ctx, in)
		return err
	}
	wantAPICode(t, create(&ecr.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("up"), UpstreamRegistryUrl: &u.url}, admin), "PullThroughCacheRuleAlreadyExistsException")
	for _, url := range []string{"http://registry.example", "127.0.0.1:1", "localhost", "registry.example/path", g.url, victim + ".dkr.ecr." + region + "." + suffix, victim + ".dkr.ecr." + region + "." + suffix + ".", "https://user:password@registry.example"} {
		wantAPICode(t, create(&ecr.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("bad"), UpstreamRegistryUrl: &url}, admin), "UnsupportedUpstreamRegistryException")
	}
	// An upstream of the configuration is for the accounts that it names, and no others.
	// To the others it looks like a host that is not configured.
	refused := func(url string) string {
		err := create(&ecr.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("up"), UpstreamRegistryUrl: &url}, g.admin(stranger))
		wantAPICode(t, err, "UnsupportedUpstreamRegistryException")
		var api smithy.APIError
		if !errors.As(err, &api) {
			return ""
		}
		return strings.ReplaceAll(api.ErrorMessage(), url, "URL")
	}
	if there, absent := refused(u.url), refused("http://127.0.0.1:1"); there != absent {
		t.Errorf("an account that may not use an upstream reads %q, and for another host %q", there, absent)
	}
	missing := "arn:aws:secretsmanager:" + region + ":" + victim + ":secret:ecr-pullthroughcache/none-AbCdEf"
	wantAPICode(t, create(&ecr.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("hub"), UpstreamRegistryUrl: aws.String("registry.example"), CredentialArn: &missing}, admin), "SecretNotFoundException")
	made := must(secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("ecr-pullthroughcache/hub"), SecretString: aws.String(`{"username":"u","accessToken":"t0ps3cret"}`)}))(t)
	withSecret := &ecr.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("hub"), UpstreamRegistryUrl: aws.String("registry.example"), CredentialArn: made.ARN, UpstreamRegistry: types.UpstreamRegistryDockerHub}
	// Who may not read a secret cannot have it sent to an address of their choice.
	wantAPICode(t, create(withSecret, g.user(victim, "rules", allow("ecr:*", "*"))), "UnableToAccessSecretException")
	// An ARN without the six characters would name whatever has the name later, which the
	// creator of the rule may not read.
	partial := *withSecret
	partial.CredentialArn = aws.String((*made.ARN)[:len(*made.ARN)-len("-AbCdEf")])
	wantAPICode(t, create(&partial, admin), "SecretNotFoundException")
	if err := create(withSecret, admin); err != nil {
		t.Fatal(err)
	}
	if err := create(&ecr.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("ROOT"), UpstreamRegistryUrl: &u.url}, admin); err != nil {
		t.Fatal(err)
	}
	// Users choose the hosts, so they are not labels of metrics.
	if _, body := g.send(g.get("/metrics", "")); strings.Contains(body, "registry.example") || !strings.Contains(body, `upstream="pull-through-cache"`) {
		t.Error("the metrics have the host of a rule, or do not count rules")
	}
	var prefixes []string
	for p := ecr.NewDescribePullThroughCacheRulesPaginator(client, &ecr.DescribePullThroughCacheRulesInput{MaxResults: aws.Int32(1)}); p.HasMorePages(); {
		for _, r := range must(p.NextPage(ctx))(t).PullThroughCacheRules {
			prefixes = append(prefixes, *r.EcrRepositoryPrefix)
		}
	}
	if got := fmt.Sprint(prefixes); got != "[ROOT hub up]" {
		t.Error(got)
	}
	// Names without a rule of their own are under ROOT.
	img := u.push("team/app:1")
	g.wantPull(admin, "team/app:1", img)

	valid := must(client.ValidatePullThroughCacheRule(ctx, &ecr.ValidatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("up")}))(t)
	if !valid.IsValid || valid.Failure != nil {
		t.Errorf("%+v", valid)
	}
	u.fail(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	valid = must(client.ValidatePullThroughCacheRule(ctx, &ecr.ValidatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("up")}))(t)
	if valid.IsValid || !strings.Contains(aws.ToString(valid.Failure), "denies access") {
		t.Errorf("%+v", valid)
	}
	updated := must(client.UpdatePullThroughCacheRule(ctx, &ecr.UpdatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("up"), CredentialArn: made.ARN}))(t)
	if aws.ToString(updated.CredentialArn) != *made.ARN {
		t.Errorf("%+v", updated)
	}
	must(client.DeletePullThroughCacheRule(ctx, &ecr.DeletePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("up")}))(t)
	_, err := client.DeletePullThroughCacheRule(ctx, &ecr.DeletePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("up")})
	wantAPICode(t, err, "PullThroughCacheRuleNotFoundException")
	g.stop()
	if strings.Contains(g.log.String(), "t0ps3cret") || strings.Contains(string(must(os.ReadFile(g.file("audit.jsonl")))(t)), "t0ps3cret") {
		t.Error("a log has the value of the secret")
	}
}

// TestPullThrough_Gatehouse pulls through another server of the same kind, with a token in a
// secret.
func TestPullThrough_Gatehouse(t *testing.T) {
	source := start(t)
	ctx, there := t.Context(), source.admin(victim)
	must(ecr.NewFromConfig(there).CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("app")}))(t)
	user, password := credentials(t, source.imageToken(there))
	img := must(random.Image(1000, 2))(t)
	ref := must(name.ParseReference(strings.TrimPrefix(source.url, "http://")+"/app:1", name.Insecure))(t)
	if err := remote.Write(ref, img, remote.WithAuth(&authn.Basic{Username: user, Password: password})); err != nil {
		t.Fatal(err)
	}
	g := startWith(t, func(c *config.Config) {
		c.Upstreams = map[string]config.Upstream{"source": {Format: "oci", URL: source.url, AllowPrivate: true}}
	})
	admin := g.admin(victim)
	made := must(secretsmanager.NewFromConfig(admin).CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: aws.String("ecr-pullthroughcache/source"), SecretString: aws.String(`{"username":"` + user + `","accessToken":"` + password + `"}`),
	}))(t)
	must(ecr.NewFromConfig(admin).CreatePullThroughCacheRule(ctx, &ecr.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("source"), UpstreamRegistryUrl: &source.url, CredentialArn: made.ARN}))(t)
	g.wantPull(admin, "source/app:1", img)
}

// wantAPICode fails the test unless err is an error of the API with the code.
func wantAPICode(t *testing.T, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Errorf("err = %v, want %s", err, code)
	}
}
