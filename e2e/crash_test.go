package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/opencontainers/go-digest"
)

// TestCrash_UnderLoad kills each of a few installations many times: 200 kills in all.
// One installation would have so much to compare after each kill that most of the time
// would go into that.
const (
	installations = 4
	rounds        = 50  // how often each is killed
	events        = 150 // a server is killed at most this many events after its start
	starts        = 6   // how often TestCrash_DuringStart kills a server
	// verifyEvery is in how many rounds gatehouse verify runs beside the server.
	verifyEvery = 10
)

// newSeed returns the seed of a test's random choices. A failed test logs it, and
// CRASH_SEED sets it. That repeats the choices, but not the timing of the clients.
func newSeed(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("CRASH_SEED"); given != "" {
		if _, err := fmt.Sscan(given, &seed); err != nil {
			t.Fatalf("CRASH_SEED: %v", err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to repeat the same choices: CRASH_SEED=%d", seed)
		}
	})
	return seed
}

// TestCrash_UnderLoad kills the server again and again while eight clients push,
// publish, delete and administer. After each restart on the same data folder,
// everything acknowledged must be there byte for byte, each unanswered change must be
// there completely or not at all, and uploads must continue at the last acknowledged
// byte. A ninth client reads the log of events: each change of a version must have exactly
// one event. A tenth archives, restores and expires images, which are replicated: nothing is
// expired that a preview did not name, and in the end the destination has what the source has.
func TestCrash_UnderLoad(t *testing.T) {
	t.Parallel()
	seed := newSeed(t)
	for i := range installations {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			crashUnderLoad(t, seed+uint64(i))
		})
	}
}

func crashUnderLoad(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	data := filepath.Join(t.TempDir(), "data")
	ledger, begun, log := newLedger(), &uploads{bytes: map[string][]byte{}}, newEventLog()

	config := keptConfig(t, data)
	start := func() *process { return startProcess(t, data, "--config", config) }

	s := connectFirst(t, start(), data, ledger)
	s.prepareKept(t)
	for round := range rounds {
		s.trigger.left.Store(1 + r.Int64N(events))
		s.work(t, append(clients(s, round, seed, begun), log.client(s), keptClient(s, round, seed)))
		if t.Failed() {
			return
		}
		if err := s.wait(); err == nil || !s.trigger.fired() {
			t.Fatalf("round %d: the server ended by itself: %v", round, err)
		}
		s = connect(t, start(), data, ledger)
		s.check(t, fmt.Sprintf("round %d", round))
		s.resume(t, begun)
		if round%verifyEvery == 0 {
			verifyInstallation(t, nil, "--data", data)
			// A round is too short for a whole image. The following kills must leave these.
			s.workSteps(t, append(clients(s, rounds+1+round, seed, begun), keptClient(s, rounds+1+round, seed)), 2)
		}
	}
	s.drain(t, append(clients(s, rounds, seed, begun), keptClient(s, rounds, seed)))
	s = connect(t, start(), data, ledger)
	s.check(t, "after SIGTERM")
	s.checkReplica(t)
	log.check(t, s)
	s.stop()
	checkAudit(t, filepath.Join(data, "audit.jsonl"))
	verifyInstallation(t, nil, "--data", data)
}

// verifyInstallation runs gatehouse verify, which must find no problem.
func verifyInstallation(t *testing.T, env []string, flags ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(binary, "gatehouse"), append([]string{"verify"}, flags...)...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("verify: %v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	t.Logf("verify: %s", lines[len(lines)-1])
}

// work runs the clients until the process is dead.
func (s *session) work(t *testing.T, clients []*client) {
	var working sync.WaitGroup
	for _, c := range clients {
		working.Go(func() {
			for !s.trigger.fired() {
				if err := c.step(c); err != nil && !(s.trigger.fired() && (connectionLost(err) || s.storeKilled && serverFailed(err))) {
					t.Errorf("client %s: %v", c.kind, err)
					s.trigger.left.Store(0)
					s.kill()
				}
			}
		})
	}
	working.Wait()
}

// workSteps lets each client do so many steps of its work.
func (s *session) workSteps(t *testing.T, clients []*client, steps int) {
	t.Helper()
	var working sync.WaitGroup
	for _, c := range clients {
		working.Go(func() {
			for range steps {
				if err := c.step(c); err != nil {
					t.Errorf("client %s in round %d: %v", c.kind, c.round, err)
					return
				}
			}
		})
	}
	working.Wait()
}

// connectionLost reports whether an error means that the process died or accepts no
// more connections. An answer of the server is never such an error.
func connectionLost(err error) bool {
	var sending *url.Error
	var receiving *net.OpError
	return errors.As(err, &sending) || errors.As(err, &receiving) || errors.Is(err, io.ErrUnexpectedEOF)
}

// serverFailed reports whether an error is an answer that says that the server, and not
// the request, is the reason.
func serverFailed(err error) bool {
	var status *statusError
	var aws *smithyhttp.ResponseError
	return errors.As(err, &status) && status.status >= 500 || errors.As(err, &aws) && aws.HTTPStatusCode() >= 500
}

// check compares the server's contents with the ledger.
func (s *session) check(t *testing.T, when string) {
	t.Helper()
	seen, err := s.readAll()
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	wrong, unanswered, carriedOut := s.ledger.settle(seen)
	for _, w := range wrong {
		t.Errorf("%s: %s", when, w)
	}
	if len(wrong) > 0 {
		t.FailNow()
	}
	t.Logf("%s: %d items are as acknowledged; %d requests were unanswered, of which %d were carried out", when, len(seen), unanswered, carriedOut)
}

// resume continues the interrupted uploads.
func (s *session) resume(t *testing.T, begun *uploads) {
	t.Helper()
	for _, key := range s.ledger.keys(func(key, _ string) bool { return strings.HasPrefix(key, "upload/") }) {
		var at int
		if _, err := fmt.Sscan(s.ledger.has(key), &at); err != nil {
			t.Fatal(err)
		}
		c := &client{session: s, rand: rand.New(rand.NewPCG(uint64(at), 0)), uploads: begun}
		if err := c.continueUpload(strings.TrimPrefix(key, "upload"), at); err != nil {
			t.Fatal(err)
		}
	}
}

// A blockedBody is a request body that the client does not send before release. The
// server has begun to handle the request when it asks for the body.
type blockedBody struct {
	asked   chan struct{}
	release <-chan struct{}
	once    sync.Once
	io.Reader
}

func (h *blockedBody) Read(p []byte) (int, error) {
	h.once.Do(func() { close(h.asked) })
	<-h.release
	return h.Reader.Read(p)
}

// drain sends SIGTERM while the clients work and while six requests wait for their
// bodies. The bodies are sent only when the server accepts no more connections. The
// server must answer these requests and exit with code 0.
func (s *session) drain(t *testing.T, clients []*client) {
	t.Helper()
	layer, chunk := bytes.Repeat([]byte("layer"), 100_000), bytes.Repeat([]byte("chunk"), 10_000)
	started, err := s.do(s.oci("POST", "/v2/app/blobs/uploads/").sends(nil), http.StatusAccepted)
	if err != nil {
		t.Fatal(err)
	}
	path := started.header.Get("Location")
	document, integrity := npmDocument("drained", "1.0.0", layer)
	file, whl := makeWheel("drained", "1.0.0", layer)
	form, formType := uploadForm("drained", "1.0.0", file, whl)
	crate, crateForm := makeCrate("drained", "1.0.0", layer)
	jar := mavenFile("drained", "1.0.0", "jar")
	d := digest.FromBytes(layer)
	release := make(chan struct{})
	var answered sync.WaitGroup
	for _, x := range []struct {
		change change
		r      *request
		status int
	}{
		{change{blobKey(d): present}, s.oci("POST", "/v2/app/blobs/uploads/?digest="+d.String()).sends(layer), http.StatusCreated},
		{change{"upload" + path: fmt.Sprint(len(chunk))}, s.oci("PATCH", path).sends(chunk), http.StatusAccepted},
		{change{npmKey("drained", "1.0.0"): integrity, npmTagKey("drained", "latest"): "1.0.0"}, s.pkg("PUT", "npm", "drained").sends(document), http.StatusCreated},
		{change{"pypi/" + file: hexSum(whl)}, s.pkg("POST", "pypi", "").with("Content-Type", formType).sends(form), http.StatusOK},
		{publishedVersion{s, "cargo", "drained", "1.0.0"}.published(cratePath("drained", "1.0.0"), crate, hexSum(crate)), s.request("PUT", "cargo", newCrate).sends(crateForm), http.StatusOK},
		{change{fileKey("maven", jar): hexSum(layer)}, s.request("PUT", "maven", jar).sends(layer), http.StatusCreated},
	} {
		body := &blockedBody{asked: make(chan struct{}), release: release, Reader: x.r.body}
		x.r.with("Expect", "100-continue").body = body
		answered.Go(func() {
			if err := s.write(x.change, func() error { _, err := s.do(x.r, x.status); return err }); err != nil {
				t.Errorf("a request that was under way at SIGTERM: %v", err)
			}
		})
		select {
		case <-body.asked:
		case <-time.After(waitTimeout):
			t.Fatalf("%s %s: the server did not ask for the body", x.r.method, x.r.url)
		}
	}
	due := make(chan struct{})
	s.trigger.kill = func() { close(due) }
	s.trigger.left.Store(events / 2)
	var working sync.WaitGroup
	for _, c := range clients {
		working.Go(func() {
			var err error
			for err == nil {
				err = c.step(c)
			}
			if !connectionLost(err) {
				t.Errorf("client %s: %v", c.kind, err)
			}
		})
	}
	select {
	case <-due:
	case <-time.After(waitTimeout):
		t.Fatal("the clients make no progress")
	}
	s.terminate()
	close(release)
	answered.Wait()
	working.Wait()
	if err := s.wait(); err != nil {
		t.Fatalf("after SIGTERM: %v\n%s", err, s.logged())
	}
}

// checkAudit reads every record. A torn record of a killed process must not damage
// the records of the next process.
func checkAudit(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasSuffix(text, []byte("\n")) {
		t.Error("the audit log ends within a record, after SIGTERM")
	}
	torn, n := 0, 0
	for line := range bytes.Lines(text) {
		if n++; json.Valid(line) {
			continue
		}
		if torn++; bytes.Count(line, []byte(`"eventVersion"`)) > 1 {
			t.Errorf("an audit record was written into one that is torn: %s", line)
		}
	}
	if torn > rounds || n < rounds {
		t.Errorf("of %d audit records %d are torn, and %d processes were killed", n, torn, rounds)
	}
}

// TestCrash_DuringStart kills servers during their first start. The next start must
// succeed with whatever part of keyring, database and folders exists.
func TestCrash_DuringStart(t *testing.T) {
	t.Parallel()
	seed := newSeed(t)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range starts {
		data := filepath.Join(t.TempDir(), "data")
		p, out := launch(t, data)
		// Most of what a first start creates is the 256 folders of the blobs.
		entries := r.IntN(10)
		if i%2 == 1 {
			entries = r.IntN(300)
		}
		speaking := make(chan struct{})
		go func() {
			io.ReadFull(out, make([]byte, 1))
			close(speaking)
		}()
		for started := false; !started && countEntries(data) < entries; {
			select {
			case <-speaking: // it is serving, or has failed
				started = true
			default:
			}
		}
		p.kill()
		<-speaking
		p.cmd.Wait()
		s := connectFirst(t, startProcess(t, data), data, newLedger())
		s.check(t, fmt.Sprintf("killed after %d entries", entries))
		s.stop()
	}
}

// countEntries counts the entries of a folder and of its folders.
func countEntries(dir string) int {
	entries, _ := filepath.Glob(filepath.Join(dir, "*"))
	deeper, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
	return len(entries) + len(deeper)
}
