package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/opencontainers/go-digest"
)

// crowd is how many clients do the same thing at once.
const crowd = 12

// A crowd of clients does the same thing at the same moment. Where only some can
// win, these do, and the others learn why not; everywhere else all succeed.
func TestConcurrentClients(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	s := connectFirst(t, up(t, data), data, newLedger())
	api, users, libraries := ecr.NewFromConfig(s.aws), iam.NewFromConfig(s.aws), codeartifact.NewFromConfig(s.aws)
	if _, err := api.CreateRepository(s.ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("fixed"), ImageTagMutability: ecrtypes.ImageTagMutabilityImmutable}); err != nil {
		t.Fatal(err)
	}
	layer := []byte("the layer that all push")
	d := digest.FromBytes(layer).String()
	blob := func(repository string, b []byte) int {
		return s.try(s.oci("POST", "/v2/"+repository+"/blobs/uploads/?digest="+digest.FromBytes(b).String()).sends(b))
	}
	var manifests [crowd][]byte
	var uploads [crowd]string // their addresses
	for n := range crowd {
		config := fmt.Appendf(nil, `{"author":"%d"}`, n)
		manifests[n] = imageManifest(config, [][]byte{layer})
		if a, b := blob("app", config), blob("fixed", config); a != http.StatusCreated || b != http.StatusCreated {
			t.Fatalf("push of a configuration: %d, %d", a, b)
		}
		a, err := s.do(s.oci("POST", "/v2/app/blobs/uploads/").sends(nil), http.StatusAccepted)
		if err != nil {
			t.Fatal(err)
		}
		uploads[n] = a.header.Get("Location")
	}
	tag := func(repository, tag string, manifest []byte) int {
		return s.try(s.oci("PUT", "/v2/"+repository+"/manifests/"+tag).with("Content-Type", ociManifest).sends(manifest))
	}
	npm := func(version string, tarball []byte) int {
		body, _ := npmDocument("crowded", version, tarball)
		return s.try(s.pkg("PUT", "npm", "crowded").sends(body))
	}
	pypi := func(version string, data []byte) int {
		file, whl := makeWheel("crowded", version, data)
		body, contentType := uploadForm("crowded", version, file, whl)
		return s.try(s.pkg("POST", "pypi", "").with("Content-Type", contentType).sends(body))
	}
	name := aws.String("crowded")
	for _, c := range []struct {
		what    string
		winners int
		won     int // the status of a winner
		lost    int // and of the others
		do      func(n int) int
	}{
		{"push one blob", crowd, 201, 0, func(int) int { return blob("app", layer) }},
		{"push one blob to another repository", crowd, 201, 0, func(int) int { return blob("fixed", layer) }},
		{"append a chunk to one upload", 1, 202, 416, func(int) int {
			return s.try(s.oci("PATCH", uploads[0]).with("Content-Range", fmt.Sprintf("0-%d", len(layer)-1)).sends(layer))
		}},
		{"complete one upload", 1, 201, 404, func(int) int { return s.try(s.oci("PUT", uploads[0]+"?digest="+d).sends(nil)) }},
		{"push manifests with one tag", crowd, 201, 0, func(n int) int { return tag("app", "moving", manifests[n]) }},
		{"push manifests with one immutable tag", 1, 201, 400, func(n int) int { return tag("fixed", "v1", manifests[n]) }},
		{"push one manifest", crowd, 201, 0, func(int) int { return tag("app", "one", manifests[0]) }},
		{"delete one tag", 1, 202, 404, func(int) int { return s.try(s.oci("DELETE", "/v2/app/manifests/one")) }},
		{"delete one manifest", 1, 202, 404, func(int) int {
			return s.try(s.oci("DELETE", "/v2/app/manifests/"+digest.FromBytes(manifests[0]).String()))
		}},
		{"cancel one upload", 1, 204, 404, func(int) int { return s.try(s.oci("DELETE", uploads[1])) }},

		{"publish one npm version with different tarballs", 1, 201, 409, func(n int) int { return npm("1.0.0", fmt.Append(nil, n)) }},
		{"publish one npm version with one tarball", crowd, 201, 0, func(int) int { return npm("1.0.1", layer) }},
		{"publish npm versions", crowd, 201, 0, func(n int) int { return npm(fmt.Sprintf("2.0.%d", n), layer) }},
		{"upload one wheel with different content", 1, 200, 409, func(n int) int { return pypi("1.0.0", fmt.Append(nil, n)) }},
		{"upload one wheel with one content", crowd, 200, 0, func(int) int { return pypi("1.0.1", layer) }},

		{"create one repository", 1, 200, 400, func(int) int {
			return apiStatus(second(api.CreateRepository(s.ctx, &ecr.CreateRepositoryInput{RepositoryName: name})))
		}},
		{"delete one repository", 1, 200, 400, func(int) int {
			return apiStatus(second(api.DeleteRepository(s.ctx, &ecr.DeleteRepositoryInput{RepositoryName: name})))
		}},
		{"create one user", 1, 200, 409, func(int) int {
			return apiStatus(second(users.CreateUser(s.ctx, &iam.CreateUserInput{UserName: name})))
		}},
		{"create access keys of a user, who has two at most", 2, 200, 409, func(int) int {
			return apiStatus(second(users.CreateAccessKey(s.ctx, &iam.CreateAccessKeyInput{UserName: name})))
		}},
		{"create one domain", 1, 200, 409, func(int) int {
			return apiStatus(second(libraries.CreateDomain(s.ctx, &codeartifact.CreateDomainInput{Domain: name})))
		}},
		{"create one package repository", 1, 200, 409, func(int) int {
			return apiStatus(second(libraries.CreateRepository(s.ctx, &codeartifact.CreateRepositoryInput{Domain: name, Repository: name})))
		}},
		{"delete one package", 1, 200, 404, func(int) int {
			return apiStatus(second(libraries.DeletePackage(s.ctx, &codeartifact.DeletePackageInput{Domain: aws.String(domain), Repository: aws.String(stock), Format: "npm", Package: name})))
		}},
	} {
		want := slices.Concat(slices.Repeat([]int{c.won}, c.winners), slices.Repeat([]int{c.lost}, crowd-c.winners))
		if got := together(c.do); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", c.what, got, want)
		}
	}
	// Whatever they did to each other, what is there is whole.
	if _, err := s.readAll(); err != nil {
		t.Error(err)
	}
	s.stop()
}

// together lets a crowd begin at one moment, and returns what its members got,
// in order.
func together(do func(n int) int) []int {
	got := make([]int, crowd)
	begin := make(chan struct{})
	var busy sync.WaitGroup
	for n := range crowd {
		busy.Go(func() {
			<-begin
			got[n] = do(n)
		})
	}
	close(begin)
	busy.Wait()
	slices.Sort(got)
	return got
}

// try sends a request and returns the status of its answer, 0 for none.
func (s *session) try(r *request) int {
	a, _ := s.do(r)
	if a == nil {
		return 0
	}
	return a.status
}

// apiStatus is the status of the answer of an API, 0 for none.
func apiStatus(err error) int {
	if err == nil {
		return http.StatusOK
	}
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}
