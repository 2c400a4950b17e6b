package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/opencontainers/go-digest"
)

// An operation of the history: it reads or changes one entity, which has a value, or ""
// if it is absent.
type operation struct {
	kind  operationKind
	key   string // the entity: tag/NAME, npm/VERSION or policy/REPOSITORY
	value string // what is written

	server int
}

type operationKind int

const (
	opRead   operationKind = iota
	opWrite                // becomes the value
	opDelete               // becomes absent
	opCreate               // becomes the value if it was absent, and is refused otherwise
)

// An outcome is what a client knows of an operation afterwards.
type outcome struct {
	value   string // what was read
	refused bool   // there was something already, or nothing to delete
}

// historyModel is what a single server without concurrency would do.
var historyModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, o := range history {
			key := o.Input.(operation).key
			byKey[key] = append(byKey[key], o)
		}
		var parts [][]porcupine.Operation
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		before, o, out := state.(string), input.(operation), output.(outcome)
		switch o.kind {
		case opRead:
			return out.value == before, before
		case opWrite:
			return true, o.value
		case opDelete:
			return out.refused == (before == ""), ""
		default: // opCreate
			if before != "" {
				return out.refused, before
			}
			return !out.refused, o.value
		}
	},
	Equal: func(a, b any) bool { return a == b },
	DescribeOperation: func(input, output any) string {
		o, out := input.(operation), output.(outcome)
		return fmt.Sprintf("%s %s %q: %q refused=%v", [...]string{"read", "write", "delete", "create"}[o.kind], o.key, o.value, out.value, out.refused)
	},
	DescribeState: func(state any) string { return fmt.Sprintf("%q", state) },
}

const (
	historians      = 12 // clients at a time
	historyEntities = 4  // of each kind
	historyTime     = 12 * time.Second
)

// TestHistory_SeveralServers lets clients move and delete tags, publish package versions
// and change policies over three servers, each request at any server. What they saw must
// be linearizable: as if each request had happened at one moment between its beginning and
// its answer. All changes, and the reads of one server at a time, are checked together:
// while a change has no answer yet, one server may show it and another not. When it has
// its answer, every server must show it.
func TestHistory_SeveralServers(t *testing.T) {
	seed := newSeed(t)
	s := newServers(t, newStores(t), several, "log: {level: error}")
	var sessions []*session
	for i := range several {
		open := connect
		if i == 0 {
			open = connectFirst
		}
		session := open(t, s.process[i], s.data(0), newLedger())
		// The profile and the endpoints of the packages name the load balancer.
		session.aws.BaseEndpoint = &s.process[i].url
		session.lib = strings.Replace(session.lib, s.balancer.url, s.process[i].url, 1)
		sessions = append(sessions, session)
	}
	manifests := prepareHistory(t, sessions[0])

	begin := time.Now()
	var mu sync.Mutex
	var history []porcupine.Operation
	var running sync.WaitGroup
	for id := range historians {
		r := rand.New(rand.NewPCG(seed, uint64(id)))
		running.Go(func() {
			for n := 0; time.Since(begin) < historyTime && !t.Failed(); n++ {
				o := randomOperation(r, id, n, manifests)
				o.server = r.IntN(several)
				called := time.Since(begin)
				out, err := sessions[o.server].perform(o, manifests)
				if err != nil {
					t.Errorf("%+v: %v", o, err)
					return
				}
				recorded := porcupine.Operation{ClientId: id, Input: o, Call: int64(called), Output: out, Return: int64(time.Since(begin))}
				mu.Lock()
				history = append(history, recorded)
				mu.Unlock()
			}
		})
	}
	running.Wait()
	if t.Failed() {
		for _, p := range s.process {
			t.Log(p.logged())
		}
		return
	}
	t.Logf("%d operations over %d servers", len(history), several)
	for i := range several {
		seen := slices.DeleteFunc(slices.Clone(history), func(o porcupine.Operation) bool {
			input := o.Input.(operation)
			return input.kind == opRead && input.server != i
		})
		for _, part := range historyModel.Partition(seen) {
			if result := porcupine.CheckOperationsTimeout(historyModel, part, waitTimeout); result != porcupine.Ok {
				t.Errorf("server %d: the history of %s is not linearizable: %s\n%s", i, part[0].Input.(operation).key, result, describe(part))
			}
		}
	}
	strict := porcupine.CheckOperationsTimeout(historyModel, history, waitTimeout)
	t.Logf("over all servers at once, also while a change has no answer yet: %s", strict)
}

// describe lists the operations on an entity in the order in which they began.
func describe(history []porcupine.Operation) string {
	slices.SortFunc(history, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var text strings.Builder
	for _, o := range history {
		fmt.Fprintf(&text, "%9d %9d server %d: %s\n", o.Call/1000, o.Return/1000, o.Input.(operation).server, historyModel.DescribeOperation(o.Input, o.Output))
	}
	return text.String()
}

// prepareHistory creates the repositories and the images, and returns the images by
// digest.
func prepareHistory(t *testing.T, s *session) map[string][]byte {
	t.Helper()
	c := &client{session: s, kind: "history", rand: rand.New(rand.NewPCG(1, 2)), uploads: &uploads{bytes: map[string][]byte{}}}
	layer := []byte("a layer")
	if err := c.pushBlob(layer); err != nil {
		t.Fatal(err)
	}
	manifests := map[string][]byte{}
	for i := range 6 {
		config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","author":"%d"}`, i)
		if err := c.pushBlob(config); err != nil {
			t.Fatal(err)
		}
		m := imageManifest(config, [][]byte{layer})
		manifests[digest.FromBytes(m).String()] = m
		// With a tag of its own, so that deleting another tag does not delete the image.
		if _, err := s.do(s.oci("PUT", fmt.Sprintf("/v2/app/manifests/keep%d", i)).with("Content-Type", ociManifest).sends(m), http.StatusCreated); err != nil {
			t.Fatal(err)
		}
	}
	for i := range historyEntities {
		if _, err := ecr.NewFromConfig(s.aws).CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String(fmt.Sprint("policy", i))}); err != nil {
			t.Fatal(err)
		}
	}
	return manifests
}

func randomOperation(r *rand.Rand, id, n int, manifests map[string][]byte) operation {
	kind := opRead
	if r.IntN(2) == 0 {
		kind = []operationKind{opWrite, opWrite, opDelete}[r.IntN(3)]
	}
	entity := r.IntN(historyEntities)
	switch r.IntN(3) {
	case 0:
		digests := keysOf(manifests)
		return operation{kind: kind, key: fmt.Sprint("tag/h", entity), value: digests[r.IntN(len(digests))]}
	case 1:
		return operation{kind: kind, key: fmt.Sprint("policy/policy", entity), value: policy(fmt.Sprintf("s%dx%d", id, n), `"Principal":"*"`)}
	}
	// A version can be published once, so versions must not run out.
	if kind != opRead {
		kind = opCreate
	}
	return operation{kind: kind, key: fmt.Sprintf("npm/1.%d.%d", entity, n/8), value: fmt.Sprintf("%d-%d", id, n)}
}

// perform carries out an operation at the session's server.
func (s *session) perform(o operation, manifests map[string][]byte) (outcome, error) {
	kind, name, _ := strings.Cut(o.key, "/")
	switch kind {
	case "tag":
		return s.performTag(o, name, manifests)
	case "policy":
		return s.performPolicy(o, name)
	}
	return s.performNPM(o, name)
}

func (s *session) performTag(o operation, tag string, manifests map[string][]byte) (out outcome, err error) {
	path := "/v2/app/manifests/" + tag
	switch o.kind {
	case opRead:
		a, err := s.do(s.oci("HEAD", path).with("Accept", ociManifest), http.StatusOK, http.StatusNotFound)
		if err == nil && a.status == http.StatusOK {
			out.value = a.header.Get("Docker-Content-Digest")
		}
		return out, err
	case opDelete:
		a, err := s.do(s.oci("DELETE", path), http.StatusAccepted, http.StatusNotFound)
		if err == nil {
			out.refused = a.status == http.StatusNotFound
		}
		return out, err
	}
	_, err = s.do(s.oci("PUT", path).with("Content-Type", ociManifest).sends(manifests[o.value]), http.StatusCreated)
	return out, err
}

func (s *session) performPolicy(o operation, repository string) (out outcome, err error) {
	api := ecr.NewFromConfig(s.aws)
	switch o.kind {
	case opRead:
		got, err := api.GetRepositoryPolicy(s.ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: &repository})
		if errors.As(err, new(*types.RepositoryPolicyNotFoundException)) {
			return out, nil
		}
		if err == nil {
			out.value = *got.PolicyText
		}
		return out, err
	case opDelete:
		_, err := api.DeleteRepositoryPolicy(s.ctx, &ecr.DeleteRepositoryPolicyInput{RepositoryName: &repository})
		if errors.As(err, new(*types.RepositoryPolicyNotFoundException)) {
			out.refused, err = true, nil
		}
		return out, err
	}
	_, err = api.SetRepositoryPolicy(s.ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: &repository, PolicyText: &o.value})
	return out, err
}

func (s *session) performNPM(o operation, version string) (out outcome, err error) {
	const name = "history"
	if o.kind == opRead {
		var document struct {
			Versions map[string]struct{ Description string }
		}
		err := (&crawl{session: s}).json(s.pkg("GET", "npm", name), &document)
		var status *statusError
		if errors.As(err, &status) && status.status == http.StatusNotFound {
			return out, nil
		}
		out.value = document.Versions[version].Description
		return out, err
	}
	body, _ := npmDocument(name, version, []byte(o.value))
	body = []byte(strings.Replace(string(body), `"version":"`+version+`"}`, `"version":"`+version+`","description":"`+o.value+`"}`, 1))
	a, err := s.do(s.pkg("PUT", "npm", name).with("Content-Type", "application/json").sends(body), http.StatusCreated, http.StatusConflict, http.StatusForbidden)
	if err == nil {
		out.refused = a.status != http.StatusCreated
	}
	return out, err
}
