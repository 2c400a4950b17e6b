package oci_test

import (
	"fmt"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// A scenario tests one requirement of OCI distribution-spec on a repository of its own.
// The scenarios cover the specification's conformance suite without needing it. They are
// in the files conformance_*_test.go, by the categories of the specification.
type scenario struct {
	section string // of the specification
	name    string
	run     func(c *client)
}

func runScenarios(t *testing.T, scenarios []scenario) {
	r := newRegistry(t)
	for i, s := range scenarios {
		t.Run(s.section+"/"+s.name, func(t *testing.T) {
			repo := fmt.Sprintf("conformance/case-%d", i)
			r.create(t, account, repo, images.Settings{})
			s.run(r.client(t, "admin").in(repo))
		})
	}
}
