package packages_test

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func TestExternalConnections(t *testing.T) {
	h := open(t)
	h.repositories("store")
	repo := domain.Repository("store")
	connection := func(h *fixture) string {
		t.Helper()
		r, err := h.DescribeRepository(h.ctx, repo)
		h.ok(err)
		return r.ExternalConnection
	}
	wantText(t, connection(h), "")
	fails(t, second(h.AssociateExternalConnection(h.ctx, repo, "public:example")), "Validation")
	fails(t, second(h.DisassociateExternalConnection(h.ctx, repo, "public:npmjs")), "ResourceNotFound")
	fails(t, second(h.AssociateExternalConnection(h.ctx, domain.Repository("none"), "public:npmjs")), "ResourceNotFound")
	r, err := h.AssociateExternalConnection(h.ctx, repo, "public:npmjs")
	if err != nil || r.ExternalConnection != "public:npmjs" || packages.ConnectionFormat(r.ExternalConnection) != packages.NPM {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, again := range []string{"public:npmjs", "public:pypi"} {
		fails(t, second(h.AssociateExternalConnection(h.ctx, repo, again)), "Conflict")
	}
	fails(t, second(h.DisassociateExternalConnection(h.ctx, repo, "public:pypi")), "ResourceNotFound")
	// A connected repository serves what it contains, as before.
	h.mustPublish("store", npm("lib"), "1.0.0", "a", "x")
	wantText(t, h.versions("store", npm("lib")), "1.0.0")
	wantText(t, h.versions("store", npm("left-pad")), "none")
	again := reopen(t, h.dir, h.clock)
	wantText(t, connection(again), "public:npmjs")
	h = again
	h.ok(second(h.DisassociateExternalConnection(h.ctx, repo, "public:npmjs")))
	wantText(t, connection(h), "")

	for action, do := range map[string]func(*fixture) error{
		"codeartifact:AssociateExternalConnection":    func(h *fixture) error { return second(h.AssociateExternalConnection(h.ctx, repo, "public:pypi")) },
		"codeartifact:DisassociateExternalConnection": func(h *fixture) error { return second(h.DisassociateExternalConnection(h.ctx, repo, "")) },
	} {
		fails(t, do(h.withContext(as(t, account, "tester", allow(action, repo.ARN()+"x")))), "AccessDenied")
		err := do(h.withContext(as(t, account, "tester", allow(action, repo.ARN()))))
		if action == "codeartifact:AssociateExternalConnection" {
			h.ok(err)
		} else {
			fails(t, err, "ResourceNotFound")
		}
	}
}
