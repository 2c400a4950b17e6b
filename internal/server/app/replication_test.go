package app_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

const edgeAccount = "000000000009"

// An edge is another installation behind a proxy with faults, and a server that replicates
// to it.
type edge struct {
	*fixture // the source
	there    *fixture
	proxy    http.Handler // to the other installation
	fault    atomic.Pointer[func(w http.ResponseWriter, r *http.Request) (handled bool)]
	puts     atomic.Int64 // of manifests
	key      string       // the file of the secret
}

// startEdge starts both. policy is what the source may do at the edge.
func startEdge(t *testing.T, statements ...string) *edge {
	t.Helper()
	e := new(edge)
	e.there = startWith(t, func(c *config.Config) { c.Accounts = append(c.Accounts, edgeAccount) })
	target, err := url.Parse(e.there.url)
	if err != nil {
		t.Fatal(err)
	}
	e.proxy = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := e.fault.Load(); f != nil && (*f)(w, r) {
			return
		}
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
			e.puts.Add(1)
		}
		e.proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	e.key = filepath.Join(t.TempDir(), "key")
	user := e.there.user(edgeAccount, "replication", statements...)
	keys := e.there.keys(user)
	if err := os.WriteFile(e.key, []byte(keys.SecretAccessKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.fixture = startWith(t, func(c *config.Config) {
		c.Replication.Destinations = map[string]config.Destination{"edge": {
			Account: edgeAccount, Region: region, URL: server.URL, AllowPrivate: true, AccessKey: keys.AccessKeyID, SecretFile: e.key,
			Limits: config.UpstreamLimits{Header: 2 * time.Second, Attempts: 1},
		}}
	})
	e.rule(t, false)
	return e
}

const allowECR = `{"Effect":"Allow","Action":"ecr:*","Resource":"*"}`

// rule replicates everything to the edge.
func (e *edge) rule(t *testing.T, deletions bool) {
	t.Helper()
	body := fmt.Sprintf(`{"replicationConfiguration":{"rules":[{"destinations":[{"region":%q,"registryId":%q}],"deleteReplication":{"enabled":%v}}]}}`, region, edgeAccount, deletions)
	r := e.request(http.MethodPost, "/", body) // the SDK does not have deleteReplication
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.PutReplicationConfiguration")
	if status, text := e.send(e.sign(r, e.keys(e.admin(victim)), body, "ecr", region, e.now())); status != http.StatusOK {
		t.Fatal(status, text)
	}
}

func (e *edge) fail(f func(w http.ResponseWriter, r *http.Request) bool) {
	if f == nil {
		e.fault.Store(nil)
		return
	}
	e.fault.Store(&f)
}

// reference names an image of a server, and how its admin logs in.
func (g *fixture) reference(account, image string) (name.Reference, remote.Option) {
	g.t.Helper()
	user, password := credentials(g.t, g.imageToken(g.admin(account)))
	ref := must(name.ParseReference(strings.TrimPrefix(g.url, "http://")+"/"+image, name.Insecure))(g.t)
	return ref, remote.WithAuth(&authn.Basic{Username: user, Password: password})
}

// newImage pushes a random image to the source.
func (e *edge) newImage(t *testing.T, size int64, image string) v1.Image {
	t.Helper()
	img := must(random.Image(size, 2))(t)
	ref, login := e.reference(victim, image)
	if err := remote.Write(ref, img, login); err != nil {
		t.Fatal(err)
	}
	return img
}

// waitForStatus waits until the replication of an image has a status, "STATUS CODE".
func (e *edge) waitForStatus(t *testing.T, repository, tag, want string) {
	t.Helper()
	client := ecr.NewFromConfig(e.admin(victim))
	var got string
	waitUntil(t, func() bool {
		out := must(client.DescribeImageReplicationStatus(t.Context(), &ecr.DescribeImageReplicationStatusInput{RepositoryName: &repository, ImageId: &types.ImageIdentifier{ImageTag: &tag}}))(t)
		if strings.HasPrefix(got, "IN_PROGRESS ") && want == "COMPLETE" {
			e.again(t)
		}
		got = ""
		for _, s := range out.ReplicationStatuses {
			got = strings.TrimSpace(string(s.Status) + " " + aws.ToString(s.FailureCode))
		}
		return got == want
	}, func() string { return "the status is " + got + ", want " + want })
}

// waitUntil waits for a condition.
func waitUntil(t *testing.T, done func() bool, why func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(why())
		}
	}
}

// again makes the server try failed copies now.
func (e *edge) again(t *testing.T) {
	t.Helper()
	client := e.operator()
	list, err := client.ListWork(t.Context(), &operatormodel.ListWorkInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range list.Work {
		if strings.HasPrefix(w.Kind, "images/replic") {
			_, _ = client.RetryWork(t.Context(), &operatormodel.RetryWorkInput{ID: &w.ID}) // it may run or be done
		}
	}
}

// wantThere checks that the edge has an image with all its layers.
func (e *edge) wantThere(t *testing.T, image string, want interface{ Digest() (v1.Hash, error) }) {
	t.Helper()
	e.there.wantPull(e.there.admin(edgeAccount), image, want)
}

// tagsThere lists the tags of a repository at the edge.
func (e *edge) tagsThere(t *testing.T, repository string) (tags []string) {
	t.Helper()
	out := must(ecr.NewFromConfig(e.there.admin(edgeAccount)).ListImages(t.Context(), &ecr.ListImagesInput{RepositoryName: &repository}))(t)
	for _, id := range out.ImageIds {
		tags = append(tags, aws.ToString(id.ImageTag))
	}
	slices.Sort(tags)
	return tags
}

func TestReplication_OtherInstallation(t *testing.T) {
	e := startEdge(t, allowECR)
	e.createRepository("team/app")
	one := e.newImage(t, 1000, "team/app:v1")
	large := e.newImage(t, 9<<20, "team/app:large") // in two chunks
	index := must(random.Index(100, 1, 2))(t)
	ref, login := e.reference(victim, "team/app:multi")
	if err := remote.WriteIndex(ref, index, login); err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"v1", "large", "multi"} {
		e.waitForStatus(t, "team/app", tag, "COMPLETE")
	}
	e.wantThere(t, "team/app:v1", one)
	e.wantThere(t, "team/app:large", large)
	e.wantThere(t, "team/app:multi", index)

	// A tag moves there too, and an image that is there is not sent again.
	puts := e.puts.Load()
	ref, login = e.reference(victim, "team/app:latest")
	if err := remote.Tag(ref.Context().Tag("latest"), one, login); err != nil {
		t.Fatal(err)
	}
	e.waitForStatus(t, "team/app", "latest", "COMPLETE")
	waitUntil(t, func() bool { return slices.Contains(e.tagsThere(t, "team/app"), "latest") }, func() string { return "the tag is missing" })
	if n := e.puts.Load() - puts; n != 1 {
		t.Errorf("%d manifests were sent for one new tag", n)
	}

	// A backfill brings everything to a destination that has nothing.
	client := ecr.NewFromConfig(e.admin(victim))
	must(ecr.NewFromConfig(e.there.admin(edgeAccount)).DeleteRepository(t.Context(), &ecr.DeleteRepositoryInput{RepositoryName: aws.String("team/app"), Force: true}))(t)
	backfill := must(client.StartReplicationBackfill(t.Context(), &ecr.StartReplicationBackfillInput{Destination: &types.ReplicationDestination{Region: aws.String(region), RegistryId: aws.String(edgeAccount)}}))(t)
	var status types.ReplicationBackfillStatus
	waitUntil(t, func() bool {
		status = must(client.DescribeReplicationBackfillResults(t.Context(), &ecr.DescribeReplicationBackfillResultsInput{ReplicationBackfillId: backfill.ReplicationBackfillId}))(t).Status
		return status == types.ReplicationBackfillStatusComplete
	}, func() string { return "the backfill is " + string(status) })
	e.wantThere(t, "team/app:latest", one)
	e.wantThere(t, "team/app:large", large)
	e.wantThere(t, "team/app:multi", index)

	// Deletions follow only if the rule says so.
	remove := func(id types.ImageIdentifier) {
		t.Helper()
		out := must(client.BatchDeleteImage(t.Context(), &ecr.BatchDeleteImageInput{RepositoryName: aws.String("team/app"), ImageIds: []types.ImageIdentifier{id}}))(t)
		if len(out.Failures) > 0 {
			t.Fatal(out.Failures)
		}
	}
	e.rule(t, true)
	remove(types.ImageIdentifier{ImageTag: aws.String("latest")})
	remove(types.ImageIdentifier{ImageDigest: aws.String(must(large.Digest())(t).String())})
	want := []string{"", "", "multi", "v1"}
	waitUntil(t, func() bool { return slices.Equal(e.tagsThere(t, "team/app"), want) }, func() string { return fmt.Sprintf("the edge has %q, want %q", e.tagsThere(t, "team/app"), want) })
	e.wantThere(t, "team/app:v1", one)
}

// Whatever happens on the way, the image arrives whole in the end.
func TestReplication_OtherInstallationFaults(t *testing.T) {
	e := startEdge(t, allowECR)
	e.createRepository("app")
	writes := func(r *http.Request, part string) bool {
		return r.Method != http.MethodGet && r.Method != http.MethodHead && strings.Contains(r.URL.Path, part)
	}
	for i, c := range []struct {
		name string
		size int64
		// fault handles the n-th request that is neither GET nor HEAD
		fault func(n int64, w http.ResponseWriter, r *http.Request) bool
		code  string // of the status before the end; empty if one run is enough
	}{
		{"down", 100, func(_ int64, w http.ResponseWriter, _ *http.Request) bool {
			panic(http.ErrAbortHandler)
		}, "DestinationUnavailable"},
		{"asks for fewer requests", 100, func(_ int64, w http.ResponseWriter, r *http.Request) bool {
			if !writes(r, "/v2/") {
				return false
			}
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}, "DestinationTooManyRequests"},
		{"lines are cut", 17 << 20, func(n int64, w http.ResponseWriter, r *http.Request) bool {
			if !writes(r, "/uploads/") || n%3 != 0 {
				return false
			}
			panic(http.ErrAbortHandler)
		}, ""},
		{"answers are lost", 9 << 20, func(n int64, w http.ResponseWriter, r *http.Request) bool {
			if !writes(r, "/uploads/") || n%3 != 0 {
				return false
			}
			e.proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}, ""},
		{"another digest is stored", 100, func(_ int64, w http.ResponseWriter, r *http.Request) bool {
			if !writes(r, "/manifests/") {
				return false
			}
			w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
			w.WriteHeader(http.StatusCreated)
			return true
		}, "DestinationAnswerInvalid"},
		{"uploads lead elsewhere", 100, func(_ int64, w http.ResponseWriter, r *http.Request) bool {
			if !writes(r, "/uploads/") {
				return false
			}
			w.Header().Set("Location", "http://127.0.0.1:1/x")
			w.WriteHeader(http.StatusAccepted)
			return true
		}, "DestinationAnswerInvalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var n atomic.Int64
			e.fail(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet || r.Method == http.MethodHead {
					return c.fault(0, w, r)
				}
				return c.fault(n.Add(1), w, r)
			})
			tag := fmt.Sprint("v", i)
			img := e.newImage(t, c.size, "app:"+tag)
			if c.code != "" {
				e.waitForStatus(t, "app", tag, "IN_PROGRESS "+c.code)
				e.fail(nil)
			}
			e.waitForStatus(t, "app", tag, "COMPLETE")
			e.wantThere(t, "app:"+tag, img)
		})
	}
}

// The policies of the destination decide, and its templates.
func TestReplication_OtherInstallationPermissions(t *testing.T) {
	push := `"ecr:GetAuthorizationToken","ecr:BatchGetImage","ecr:BatchCheckLayerAvailability","ecr:GetDownloadUrlForLayer","ecr:InitiateLayerUpload","ecr:UploadLayerPart","ecr:CompleteLayerUpload","ecr:PutImage"`
	e := startEdge(t, `{"Effect":"Allow","Action":[`+push+`],"Resource":"*"}`, `{"Effect":"Allow","Action":"ecr:CreateRepository","Resource":"arn:aws:ecr:*:*:repository/templated/*"}`)
	there := ecr.NewFromConfig(e.there.admin(edgeAccount))
	must(there.CreateRepositoryCreationTemplate(t.Context(), &ecr.CreateRepositoryCreationTemplateInput{
		Prefix: aws.String("templated"), AppliedFor: []types.RCTAppliedFor{types.RCTAppliedForCreateOnPush}, ImageTagMutability: types.ImageTagMutabilityImmutable,
	}))(t)
	for _, name := range []string{"app", "templated/app"} {
		e.createRepository(name)
	}
	e.newImage(t, 100, "app:v1")
	templated := e.newImage(t, 100, "templated/app:v1")
	e.waitForStatus(t, "app", "v1", "IN_PROGRESS RepositoryNotCreated")
	e.waitForStatus(t, "templated/app", "v1", "COMPLETE")
	e.wantThere(t, "templated/app:v1", templated)
	out := must(there.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"templated/app"}}))(t)
	if out.Repositories[0].ImageTagMutability != types.ImageTagMutabilityImmutable {
		t.Error("the template of the destination does not count")
	}
	// A tag that is immutable there stays, and the image comes without it.
	e.newImage(t, 100, "templated/app:v1")
	e.waitForStatus(t, "templated/app", "v1", "COMPLETE")
	e.wantThere(t, "templated/app:v1", templated)
	waitUntil(t, func() bool { return slices.Equal(e.tagsThere(t, "templated/app"), []string{"", "v1"}) }, func() string { return fmt.Sprint(e.tagsThere(t, "templated/app")) })

	must(there.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("app")}))(t)
	e.waitForStatus(t, "app", "v1", "COMPLETE")

	// Another account of the source may not use the credential.
	_, err := ecr.NewFromConfig(e.admin(stranger)).PutReplicationConfiguration(t.Context(), &ecr.PutReplicationConfigurationInput{ReplicationConfiguration: &types.ReplicationConfiguration{
		Rules: []types.ReplicationRule{{Destinations: []types.ReplicationDestination{{Region: aws.String(region), RegistryId: aws.String(edgeAccount)}}}},
	}})
	wantAPICode(t, err, "InvalidParameterException")
}

// A restart goes on with what waits, and a wrong key is told.
func TestReplication_OtherInstallationRestart(t *testing.T) {
	e := startEdge(t, allowECR)
	e.createRepository("app")
	e.fail(func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) })
	one := e.newImage(t, 1000, "app:v1")
	e.waitForStatus(t, "app", "v1", "IN_PROGRESS DestinationUnavailable")
	e.stop()
	e.fail(nil)
	e.serve()
	e.waitForStatus(t, "app", "v1", "COMPLETE")
	e.wantThere(t, "app:v1", one)

	if err := os.WriteFile(e.key, []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.stop()
	e.serve() // without the token that it had
	e.newImage(t, 1000, "app:v2")
	e.waitForStatus(t, "app", "v2", "IN_PROGRESS AccessDenied")
}

// A token that was revoked at the destination does not stop deletions until it expires.
func TestReplication_OtherInstallationRevokedToken(t *testing.T) {
	e := startEdge(t, allowECR)
	e.createRepository("app")
	var used atomic.Value // the token of the last request to the registry
	e.fail(func(_ http.ResponseWriter, r *http.Request) bool {
		if value := r.Header.Get("Authorization"); strings.HasPrefix(r.URL.Path, "/v2/") && value != "" {
			used.Store(value)
		}
		return false
	})
	img := e.newImage(t, 100, "app:v1")
	ref, login := e.reference(victim, "app:v2")
	if err := remote.Write(ref, img, login); err != nil {
		t.Fatal(err)
	}
	e.waitForStatus(t, "app", "v1", "COMPLETE")
	waitUntil(t, func() bool { return slices.Equal(e.tagsThere(t, "app"), []string{"v1", "v2"}) }, func() string { return fmt.Sprint(e.tagsThere(t, "app")) })
	e.rule(t, true)
	revoked := used.Load()
	e.fail(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != revoked {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	must(ecr.NewFromConfig(e.admin(victim)).BatchDeleteImage(t.Context(), &ecr.BatchDeleteImageInput{RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v2")}}}))(t)
	waitUntil(t, func() bool {
		e.again(t)
		return slices.Equal(e.tagsThere(t, "app"), []string{"v1"})
	}, func() string { return fmt.Sprint(e.tagsThere(t, "app")) })
}
