package authz_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
)

// Lint knows the keys of versions.
func TestVersionKey_Lint(t *testing.T) {
	for _, name := range []string{
		authz.VersionAge, authz.PackageOrigin, authz.ExternalConnection, authz.PackageGroup, authz.AdvisorySeverity, authz.Malware,
		authz.License, authz.Attested, authz.Signed, authz.InstallScripts, authz.SimilarToInternal, authz.SignedBy, authz.ImageAge, authz.ScanSeverity, authz.ReportOnly,
	} {
		if got, ok := authz.VersionKey(strings.ToLower(name)); !ok || got != name {
			t.Errorf("%s is %q, %v", name, got, ok)
		}
		p := parse(t, statement(`"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Null":{"`+name+`":"true"}}`), policy.Identity)
		if warnings := p.Warnings(); len(warnings) > 0 {
			t.Errorf("%s: %q", name, warnings)
		}
	}
}
