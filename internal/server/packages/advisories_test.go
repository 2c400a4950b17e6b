package packages_test

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/blob/removal/removaltest"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// fixedAdvisories has some about npm's left.
type fixedAdvisories struct {
	all      []*packages.Advisory
	revision uint64
}

func (f *fixedAdvisories) About(id packages.PackageID) []*packages.Advisory {
	if id.Key() != npm("left").Key() {
		return nil
	}
	return f.all
}
func (f *fixedAdvisories) Revision() uint64 { return f.revision }
func (f *fixedAdvisories) Empty() bool      { return len(f.all) == 0 }

// advise replaces the fixture's service by one that has advisories.
func (h *fixture) advise(a packages.Advisories) {
	h.t.Helper()
	var err error
	h.Service, err = packages.New(h.t.Context(), packages.Config{DB: h.db, Blobs: h.blobs, Removals: removaltest.New(h.t, h.db, h.blobs, h.now), Authz: h.authorizer(), Principals: iamtest.Unbound{}, Now: h.now, Advisories: a})
	h.ok(err)
}

// An advisory hides versions from the moment at which it is known.
func TestAdmission_Advisories(t *testing.T) {
	known := new(fixedAdvisories)
	h := open(t)
	h.advise(known)
	h.repositories("app")
	left := npm("left")
	for _, v := range []string{"1.0.0", "1.1.0", "2.0.0"} {
		h.mustPublish("app", left, v, tarball, v)
	}
	see := func(want string) {
		t.Helper()
		if got := h.versions("app", left); got != want {
			t.Errorf("clients see %s, want %s", got, want)
		}
	}
	h.setPolicy("app", denyIf("Bad", `{"StringEquals":{"gatehouse:AdvisorySeverity":["high","critical"]}}`))
	see("1.0.0 1.1.0 2.0.0")
	know := func(all ...*packages.Advisory) { known.all, known.revision = all, known.revision+1 }
	moderate := &packages.Advisory{ID: "A", Severity: packages.Moderate, Ranges: []packages.AffectedRange{{Introduced: "0"}}}
	know(moderate)
	see("1.0.0 1.1.0 2.0.0")
	know(moderate, &packages.Advisory{ID: "B", Severity: packages.High, Ranges: []packages.AffectedRange{{Introduced: "1.1.0", Fixed: "2.0.0"}}})
	see("1.0.0 2.0.0")
	fails(t, second(h.read("app", left, "1.1.0", tarball)), "AccessDenied")
	h.wantRead("app", left, "2.0.0", "2.0.0")

	h.setPolicy("app", denyIf("Malware", `{"Bool":{"gatehouse:Malware":"true"}}`))
	see("1.0.0 1.1.0 2.0.0")
	know(&packages.Advisory{ID: "MAL-1", Malware: true, Severity: packages.Critical, Versions: []string{"2.0.0"}})
	see("1.0.0 1.1.0")
	h.setPolicy("app", denyIf("None", `{"StringEquals":{"gatehouse:AdvisorySeverity":"none"}}`))
	see("2.0.0")
	know(&packages.Advisory{ID: "X", Versions: []string{"1.0.0"}})
	h.setPolicy("app", denyIf("Unknown", `{"StringEquals":{"gatehouse:AdvisorySeverity":"unknown"}}`))
	see("1.1.0 2.0.0")

	all, err := h.KnownAdvisories(h.ctx, domain.Repository("app"), left, []string{"1.0.0"})
	if err != nil || len(all) != 1 || !h.HasAdvisories() {
		t.Error(all, err)
	}
	_, err = h.KnownAdvisories(as(t, account, "eve"), domain.Repository("app"), left, nil)
	fails(t, err, "AccessDenied")
}
