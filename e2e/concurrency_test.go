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

// clientCount is the number of concurrent clients.
const clientCount = 12

// TestConcurrentClients lets many clients do the same thing at the same moment. If
// only some of them can succeed, the others get the right error; otherwise all
// succeed.
func TestConcurrentClients(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := connectFirst(t, startProcess(t, data), data, newLedger())
	api, users, libraries := ecr.NewFromConfig(s.aws), iam.NewFromConfig(s.aws), codeartifact.NewFromConfig(s.aws)
	if _, err := api.CreateRepository(s.ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("fixed"), ImageTagMutability: ecrtypes.ImageTagMutabilityImmutable}); err != nil {
		t.Fatal(err)
	}
	layer := []byte("the layer that all push")
	d := digest.FromBytes(layer).String()
	blob := func(repository string, b []byte) int {
		return s.try(s.oci("POST", "/v2/"+repository+"/blobs/uploads/?digest="+digest.FromBytes(b).String()).sends(b))
	}
	var manifests [clientCount][]byte
	var uploads [clientCount]string // their addresses
	for n := range clientCount {
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
	// publish publishes a version of each format, and returns a status that all formats
	// have in common.
	publish := func(format, version string, data []byte) int {
		for _, u := range publications[format](publishedVersion{s, format, formatsPackage, version}, data) {
			if err := u.send(); err != nil {
				return failedStatus(err)
			}
		}
		return http.StatusOK
	}
	name := aws.String("crowded")
	for _, c := range []struct {
		what    string
		winners int
		won     int // the status of a winner
		lost    int // and of the others
		do      func(n int) int
	}{
		{"push one blob", clientCount, 201, 0, func(int) int { return blob("app", layer) }},
		{"push one blob to another repository", clientCount, 201, 0, func(int) int { return blob("fixed", layer) }},
		{"append a chunk to one upload", 1, 202, 416, func(int) int {
			return s.try(s.oci("PATCH", uploads[0]).with("Content-Range", fmt.Sprintf("0-%d", len(layer)-1)).sends(layer))
		}},
		{"complete one upload", clientCount, 201, 0, func(int) int { return s.try(s.oci("PUT", uploads[0]+"?digest="+d).sends(nil)) }},
		{"push manifests with one tag", clientCount, 201, 0, func(n int) int { return tag("app", "moving", manifests[n]) }},
		{"push manifests with one immutable tag", 1, 201, 400, func(n int) int { return tag("fixed", "v1", manifests[n]) }},
		{"push one manifest", clientCount, 201, 0, func(int) int { return tag("app", "one", manifests[0]) }},
		{"delete one tag", 1, 202, 404, func(int) int { return s.try(s.oci("DELETE", "/v2/app/manifests/one")) }},
		{"delete one manifest", 1, 202, 404, func(int) int {
			return s.try(s.oci("DELETE", "/v2/app/manifests/"+digest.FromBytes(manifests[0]).String()))
		}},
		{"cancel one upload", 1, 204, 404, func(int) int { return s.try(s.oci("DELETE", uploads[1])) }},

		{"publish one npm version with different tarballs", 1, 201, 409, func(n int) int { return npm("1.0.0", fmt.Append(nil, n)) }},
		{"publish one npm version with one tarball", clientCount, 201, 0, func(int) int { return npm("1.0.1", layer) }},
		{"publish npm versions", clientCount, 201, 0, func(n int) int { return npm(fmt.Sprintf("2.0.%d", n), layer) }},
		{"upload one wheel with different content", 1, 200, 409, func(n int) int { return pypi("1.0.0", fmt.Append(nil, n)) }},
		{"upload one wheel with one content", clientCount, 200, 0, func(int) int { return pypi("1.0.1", layer) }},

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
			return apiStatus(second(libraries.DeletePackage(s.ctx, &codeartifact.DeletePackageInput{Domain: aws.String(domain), Repository: aws.String(libRepository), Format: "npm", Package: name})))
		}},
	} {
		want := slices.Concat(slices.Repeat([]int{c.won}, c.winners), slices.Repeat([]int{c.lost}, clientCount-c.winners))
		if got := runConcurrently(c.do); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", c.what, got, want)
		}
	}
	for _, format := range formatNames {
		for _, c := range []struct {
			what    string
			winners int
			do      func(n int) int
		}{
			{"publish one version with different content", 1, func(n int) int { return publish(format, "1.0.0", fmt.Append(nil, n)) }},
			{"publish one version with one content", clientCount, func(int) int { return publish(format, "1.0.1", layer) }},
			{"publish versions", clientCount, func(n int) int { return publish(format, fmt.Sprintf("2.0.%d", n), layer) }},
		} {
			want := slices.Concat(slices.Repeat([]int{http.StatusOK}, c.winners), slices.Repeat([]int{http.StatusConflict}, clientCount-c.winners))
			if got := runConcurrently(c.do); !slices.Equal(got, want) {
				t.Errorf("%s: %s: %v, want %v", format, c.what, got, want)
			}
		}
	}
	// Everything that exists afterwards is complete, and no version is missing in an index.
	seen, err := s.readAll()
	if err != nil {
		t.Error(err)
	}
	for _, format := range formatNames {
		for n := range clientCount {
			if key := (publishedVersion{format: format, name: formatsPackage, version: fmt.Sprintf("2.0.%d", n)}).listedKey(); seen[key] == "" {
				t.Errorf("%s is not there", key)
			}
		}
	}
	s.stop()
}

// runConcurrently starts clientCount calls at one moment and returns their results,
// sorted.
func runConcurrently(do func(n int) int) []int {
	got := make([]int, clientCount)
	begin := make(chan struct{})
	var busy sync.WaitGroup
	for n := range clientCount {
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

// try sends a request and returns the status of the answer, or 0 if there is none.
func (s *session) try(r *request) int {
	a, _ := s.do(r)
	if a == nil {
		return 0
	}
	return a.status
}

// failedStatus is the status of an answer of either kind that is not the expected one.
func failedStatus(err error) int {
	if status := (*statusError)(nil); errors.As(err, &status) {
		return status.status
	}
	return apiStatus(err)
}

// apiStatus returns the status of an API's answer, or 0 if there is none.
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
