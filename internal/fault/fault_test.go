package fault_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

func TestFrom_WrappedError(t *testing.T) {
	in := fault.New(fault.NotFound, "RepositoryNotFound", "no repository %q", "r").About("repository", "r")
	got := fault.From(fmt.Errorf("while pulling: %w", in))
	if got != in {
		t.Fatalf("From = %v, want the wrapped error itself", got)
	}
	if !fault.Is(fmt.Errorf("x: %w", in), "RepositoryNotFound") || fault.Is(in, "ImageNotFound") || fault.Is(nil, "") {
		t.Fatal("Is must look at the code of the wrapped error")
	}
}

func TestFrom_OtherError(t *testing.T) {
	if fault.From(nil) != nil {
		t.Fatal("From(nil) must be nil")
	}
	cause := errors.New("disk on fire at /secret/path")
	got := fault.From(cause)
	if got.Kind != fault.Internal || strings.Contains(got.Message, "fire") {
		t.Fatalf("From = %+v: the message must not carry the cause", got)
	}
	if !errors.Is(got, cause) {
		t.Fatal("the cause must stay reachable for the log")
	}
	if w := fault.Wrap(io.EOF, fault.Invalid, "X", "m"); !errors.Is(w, io.EOF) || !strings.Contains(w.Error(), "EOF") {
		t.Fatalf("Wrap = %v", w)
	}
}
