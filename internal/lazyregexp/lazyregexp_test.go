package lazyregexp_test

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
)

// A mistake in a pattern must not wait for the first request that needs it.
func TestNew_InvalidPattern(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a pattern that does not compile was accepted")
		}
	}()
	lazyregexp.New("(")
}

func TestRegexp_MatchString(t *testing.T) {
	if r := lazyregexp.New("^a+$"); !r.MatchString("aa") || r.MatchString("ab") {
		t.Error("a+ does not match what it should")
	}
}
