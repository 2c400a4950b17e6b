package formatstest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
)

func testPublishAgain(t *testing.T, x *sample) {
	version := x.Version(0)
	x.published(x.app, version, "one")
	before, asset, objects := x.document(x.app), x.asset(x.app, version, http.StatusOK).Body, x.Objects()
	if r := x.publish(Admin, x.app, version, "one"); r.StatusCode != x.Published {
		t.Errorf("the same bytes again: %d, want %d: %.300s", r.StatusCode, x.Published, r.Body)
	}
	if after := x.document(x.app); after != before {
		t.Errorf("the same bytes again changed the document from %s to %s", before, after)
	}
	r := x.publish(Admin, x.app, version, "two")
	if r.StatusCode != x.Conflict {
		t.Errorf("other bytes: %d, want %d: %.300s", r.StatusCode, x.Conflict, r.Body)
	} else if message := x.Refusal(t, r); message == "" {
		t.Error("other bytes: no message")
	}
	if x.document(x.app) != before || x.asset(x.app, version, http.StatusOK).Body != asset {
		t.Error("other bytes were published over a version")
	}
	if n := x.Objects(); n != objects {
		t.Errorf("%d objects are left behind", n-objects)
	}
	x.published(x.app, x.Version(1), "two")
}

// A client that goes away in the middle of a body leaves nothing.
func testInterruptedPublish(t *testing.T, x *sample) {
	version := x.Version(0)
	x.published(x.app, version, "one")
	objects := x.Objects()
	next := x.Version(1)
	for _, c := range x.Publish(t, next, strings.Repeat("two ", 10_000)) {
		if c.Body == "" {
			continue
		}
		x.Forget()
		x.sendHalf(c)
		x.Record() // the server has ended the request
		break
	}
	x.listed(x.app, next, false)
	x.asset(x.app, next, http.StatusNotFound)
	if n := x.Objects(); n != objects {
		t.Errorf("%d objects are left behind", n-objects)
	}
	x.published(x.app, next, "two")
}

// sendHalf sends a request with half of its body, and closes the connection.
func (x *sample) sendHalf(c Call) {
	x.t.Helper()
	r, err := http.NewRequest(c.Method, x.app+c.Path, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	conn, err := net.Dial("tcp", r.URL.Host)
	if err != nil {
		x.t.Fatal(err)
	}
	defer conn.Close()
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n", c.Method, r.URL.RequestURI(), r.URL.Host, x.Token(Admin, Domain), len(c.Body))
	for _, h := range c.Headers {
		head += h + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"+c.Body[:len(c.Body)/2]); err != nil {
		x.t.Fatal(err)
	}
}

// A crash between the bytes and the commit leaves bytes that no client sees.
func testStagedOnly(t *testing.T, x *sample) {
	admin := authn.WithCaller(t.Context(), x.Caller(Admin))
	if _, err := x.Packages.Stage(admin, App, x.Package, strings.NewReader("staged"), 1<<20); err != nil {
		t.Fatal(err)
	}
	x.listed(x.app, x.Version(0), false)
	x.asset(x.app, x.Version(0), http.StatusNotFound)
	x.published(x.app, x.Version(0), "one")
}

func testConcurrentPublishers(t *testing.T, x *sample) {
	const publishers = 10
	// at publishes with all publishers at once, and returns the statuses.
	at := func(version func(i int) string, content func(i int) string) (statuses map[int]int) {
		t.Helper()
		var mu sync.Mutex
		var all sync.WaitGroup
		statuses = map[int]int{}
		for i := range publishers {
			calls := x.Publish(t, version(i), content(i))
			all.Go(func() {
				r, err := x.tryPublish(Admin, x.app, calls)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				statuses[r.StatusCode]++
			})
		}
		all.Wait()
		return statuses
	}
	one := func(version string) func(int) string { return func(int) string { return version } }
	own := func(i int) string { return fmt.Sprintf("content %d", i) }

	if got := at(one(x.Version(0)), one("same")); got[x.Published] != publishers {
		t.Errorf("ten publishers of the same bytes: %v", got)
	}
	if got := at(one(x.Version(1)), own); got[x.Published] != 1 || got[x.Conflict] != publishers-1 {
		t.Errorf("ten publishers of other bytes: %v", got)
	}
	x.listed(x.app, x.Version(1), true)
	x.asset(x.app, x.Version(1), http.StatusOK)
	many := func(i int) string { return x.Version(10 + i) }
	if got := at(many, own); got[x.Published] != publishers {
		t.Errorf("ten publishers of ten versions: %v", got)
	}
	for i := range publishers {
		x.listed(x.app, many(i), true)
	}
}

// A large body from a caller who may not publish is read to its end, and is not kept:
// NuGet and Maven 4 read the answer only when they have sent everything, and then send
// it again with credentials.
func testLargeBodies(t *testing.T, x *sample) {
	const size = 24 << 20
	call := x.Publish(t, x.Version(0), "one")[0]
	for u, status := range map[User]int{"": http.StatusUnauthorized, Stranger: http.StatusForbidden} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := x.sendWhole(u, call, size)
		if err != nil {
			t.Fatalf("as %q: the body was cut off: %v", u, err)
		}
		runtime.ReadMemStats(&after)
		if got != status {
			t.Errorf("as %q: %d, want %d", u, got, status)
		}
		// Everything that was allocated, also by the client.
		if n := after.TotalAlloc - before.TotalAlloc; n > size/2 {
			t.Errorf("as %q: %d KiB were allocated for a body of %d KiB", u, n>>10, size>>10)
		}
	}
	if n := x.Objects(); n != 0 {
		t.Errorf("%d objects are left behind", n)
	}
}

// sendWhole sends a request whose body begins as the call's and has size bytes, and reads
// the answer only after that. It returns the status.
func (x *sample) sendWhole(u User, c Call, size int64) (status int, err error) {
	begin := c.Body[:min(len(c.Body), 8<<10)]
	r, err := http.NewRequest(c.Method, x.app+c.Path, io.LimitReader(io.MultiReader(strings.NewReader(begin), filler{}), size))
	if err != nil {
		return 0, err
	}
	r.ContentLength = size
	for _, h := range c.Headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	if u != "" {
		r.Header.Set("Authorization", "Bearer "+x.Token(u, Domain))
	}
	conn, err := net.Dial("tcp", r.URL.Host)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := r.Write(conn); err != nil {
		return 0, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// A filler is endless text.
type filler struct{}

func (filler) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
