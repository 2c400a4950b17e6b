package app

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func TestCheckRelease(t *testing.T) {
	for _, c := range []struct {
		format                   packages.Format
		namespace, name, version string
		ok                       bool
	}{
		{packages.NPM, "acme", "Left.pad", "1.0.0-rc.1", true},
		{packages.NPM, "", "left", "1.0", false},
		{packages.NPM, "", ".left", "1.0.0", false},
		{packages.NPM, "a b", "left", "1.0.0", false},
		{packages.PyPI, "", "some-lib", "1!2.0rc1", true},
		{packages.PyPI, "", "-lib", "1.0", false},
		{packages.PyPI, "", "lib", "one", false},
		{packages.Maven, "com.acme", "core", "1.0-20260102.030405-1", true},
		{packages.Maven, "com..acme", "core", "1.0", false},
		{packages.Maven, "", "core", "1.0", false},
		{packages.Maven, "com.acme", "..", "1.0", false},
		{packages.NuGet, "", "acme.core", "1.0.0.1", true},
		{packages.NuGet, "", "acme core", "1.0.0", false},
		{packages.NuGet, "", "acme.core", "x", false},
		{packages.Cargo, "", "dash-one", "0.1.0", true},
		{packages.Cargo, "", "1dash", "0.1.0", false},
		{packages.Cargo, "", "dash", "0.1", false},
		{packages.Ruby, "", "acme_gem", "1.0.0", true},
		{packages.Ruby, "", "acme gem", "1.0.0", false},
		{packages.Ruby, "", "acme", "one two", false},
		{packages.Swift, "acme", "sample", "1.0.0", true},
		{packages.Swift, "", "sample", "1.0.0", false},
		{packages.Swift, "acme", "sample", "1", false},
		{packages.Generic, "tools", "anything~at all", "x", true},
	} {
		err := checkRelease(packages.PackageID{Format: c.format, Namespace: c.namespace, Name: c.name}, c.version)
		if (err == nil) != c.ok {
			t.Errorf("%s %q %q %q: %v", c.format, c.namespace, c.name, c.version, err)
		}
	}
}
