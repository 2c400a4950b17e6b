package formats_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
)

func TestOverExisting(t *testing.T) {
	conflict := func(resourceType string) error {
		return fmt.Errorf("publish: %w", fault.New(fault.Conflict, "Conflict", "It has other bytes.").About(resourceType, "x"))
	}
	other := errors.New("the disk is broken")
	for _, c := range []struct {
		err     error
		message string
	}{
		{conflict("asset"), "x.jar exists. It has other bytes."},
		{conflict("package-version"), "x.jar exists. It has other bytes."},
		{conflict("package"), "It has other bytes."}, // the origin configuration
		{fault.New(fault.NotFound, "ResourceNotFound", "No."), "No."},
	} {
		if e := fault.From(formats.OverExisting(c.err, "%s exists.", "x.jar")); e.Message != c.message {
			t.Errorf("%v: %q", c.err, e.Message)
		}
	}
	if err := formats.OverExisting(other, "x"); err != other {
		t.Error(err)
	}
	if err := formats.OverExisting(nil, "x"); err != nil {
		t.Error(err)
	}
}

func TestBadContent(t *testing.T) {
	full := fault.New(fault.StorageFull, "StorageFull", "The disk is full.")
	for _, c := range []struct {
		err           error
		code, message string
	}{
		{errors.New("no name."), "InvalidPackage", "x is not a package. The reason: no name."},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), "IncompleteBody", "x is not a package. It ended before it was complete."},
		{fmt.Errorf("read: %w", full), "StorageFull", "The disk is full."},
	} {
		e := fault.From(formats.BadContent(c.err, "InvalidPackage", "%s is not a package.", "x"))
		if e.Code != c.code || e.Message != c.message {
			t.Errorf("%v: %s %q", c.err, e.Code, e.Message)
		}
	}
}
