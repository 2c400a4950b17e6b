package bodybudget_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/bodybudget"
)

const mib = 1 << 20

// request is a request of a client.
func request(t *testing.T, client string) *http.Request {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/", nil)
	r.RemoteAddr = client + ":1"
	return r
}

// read reads a body of a size completely.
func read(t *testing.T, b *bodybudget.Budget, client string, size int) (*bodybudget.Reader, error) {
	r := b.Reader(request(t, client), bytes.NewReader(make([]byte, size)), 1)
	got, err := io.ReadAll(r)
	if err == nil && len(got) != size {
		t.Errorf("read %d of %d bytes", len(got), size)
	}
	return r, err
}

func TestReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bodybudget.New(4 * mib)
		var held []*bodybudget.Reader
		for _, client := range []string{"a", "b", "c", "d"} {
			r, err := read(t, b, client, mib)
			if err != nil {
				t.Fatal(client, err)
			}
			held = append(held, r)
		}
		if n := b.InUse(); n < 3*mib || n > 4*mib {
			t.Errorf("%d bytes are in use", n)
		}
		// Small bodies need nothing.
		if _, err := read(t, b, "e", 60<<10); err != nil {
			t.Error(err)
		}
		// A large one waits, and fails if nothing is given back.
		began := time.Now()
		if _, err := read(t, b, "e", mib); !fault.Is(err, "ServiceUnavailable") || fault.From(err).Kind != fault.Unavailable || time.Since(began) == 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		released := make(chan struct{})
		go func() {
			defer close(released)
			time.Sleep(time.Second)
			held[0].Release()
			held[0].Release()
		}()
		r, err := read(t, b, "e", mib/2)
		if err != nil {
			t.Error(err)
		}
		r.Release()
		<-released
		for _, r := range held {
			r.Release()
		}
		if n := b.InUse(); n != 0 {
			t.Errorf("%d bytes are in use at the end", n)
		}
	})
}

func TestReader_Share(t *testing.T) {
	b := bodybudget.New(4 * mib)
	r, err := read(t, b, "a", 2*mib)
	if !fault.Is(err, "ServiceUnavailable") {
		t.Errorf("one client has half of the budget: %v", err)
	}
	if _, err := read(t, b, "b", mib/2); err != nil {
		t.Errorf("another client: %v", err)
	}
	r.Release()
}

// A client that stops in the middle does not keep its memory.
// A client that leaves while its body waits for memory is not told that there is none.
func TestReader_ClientLeaves(t *testing.T) {
	b := bodybudget.New(4 * mib)
	for _, client := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"} {
		if _, err := read(t, b, client, mib); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := b.Reader(request(t, "192.0.2.5").WithContext(ctx), bytes.NewReader(make([]byte, mib)), 1)
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// The addresses of one IPv6 network have one share.
func TestReader_ShareOfNetwork(t *testing.T) {
	b := bodybudget.New(4 * mib)
	if _, err := read(t, b, "[2001:db8::1]", mib); err != nil {
		t.Fatal(err)
	}
	if _, err := read(t, b, "[2001:db8::2]", mib); !fault.Is(err, "ServiceUnavailable") {
		t.Errorf("another address of the network: %v", err)
	}
	if _, err := read(t, b, "[2001:db8:0:1::1]", mib); err != nil {
		t.Errorf("another network: %v", err)
	}
}

func TestReader_Slow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bodybudget.New(64 * mib)
		body, client := io.Pipe()
		go func() {
			client.Write(make([]byte, mib))
			for {
				time.Sleep(time.Second)
				if _, err := client.Write([]byte("x")); err != nil {
					return
				}
			}
		}()
		began := time.Now()
		r := b.Reader(request(t, "a"), body, 1)
		_, err := io.ReadAll(r)
		if !fault.Is(err, "RequestTimeout") || time.Since(began) > time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		r.Release()
		body.Close()
		time.Sleep(2 * time.Second) // the client notices
	})
}

// A byte of a body can take several bytes of memory.
func TestReader_Weight(t *testing.T) {
	b := bodybudget.New(16 * mib)
	r := b.Reader(request(t, "a"), bytes.NewReader(make([]byte, mib/2)), 4)
	if _, err := io.ReadAll(r); err != nil || b.InUse() != 2*mib {
		t.Errorf("%d bytes are in use, %v", b.InUse(), err)
	}
	r.Release()
	if _, err := io.ReadAll(b.Reader(request(t, "a"), bytes.NewReader(make([]byte, 2*mib)), 4)); !fault.Is(err, "ServiceUnavailable") {
		t.Error(err)
	}
}

func TestReader_Unlimited(t *testing.T) {
	var b *bodybudget.Budget
	r, err := read(t, b, "a", mib)
	if err != nil {
		t.Error(err)
	}
	r.Release()
	if _, err := io.ReadAll(b.Reader(request(t, "a"), broken{}, 1)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
