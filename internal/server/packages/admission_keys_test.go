package packages_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// Rules look at what a registry says of a version: a denied one is hidden from resolution,
// and refused with a message that names the rule and what it saw.
func TestAdmission_RegistryMetadata(t *testing.T) {
	r := newRegistry(t)
	h := remotely(t, r, source.Settings{Fresh: time.Second, Background: time.Second}, "app: npm-store")
	left := npm("left")
	for version, about := range map[string]map[string]any{
		"1.0.0": {"license": "MIT"},
		"1.1.0": {"license": map[string]any{"type": "GPL-3.0-only"}},
		"1.2.0": {"license": "MIT OR GPL-3.0-only", "scripts": map[string]any{"postinstall": "node x"}},
		"1.3.0": {"license": "SEE LICENSE IN x"},
		"1.4.0": {"licenses": []any{map[string]any{"type": "Apache 2"}, map[string]any{"type": "WTFPL"}}},
		"1.5.0": {"gypfile": true},
	} {
		r.add("left", version, version)
		for member, value := range about {
			r.packs["left"].Versions[version][member] = value
		}
	}
	dist := r.packs["left"].Versions["1.0.0"]["dist"].(map[string]any)
	dist["attestations"] = map[string]any{"url": "https://registry.example/-/npm/v1/attestations/left@1.0.0", "provenance": map[string]any{"predicateType": "x"}}
	dist["signatures"] = []any{map[string]any{"keyid": "k", "sig": "s"}}
	r.save("left")
	all := []string{"1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0", "1.5.0"}
	for _, c := range []struct{ condition, denied, saw string }{
		{`{"StringEquals":{"gatehouse:License":"unknown"}}`, "1.3.0 1.5.0", "gatehouse:License is unknown"},
		{`{"ForAllValues:StringNotEquals":{"gatehouse:License":["MIT","Apache-2.0"]}}`, "1.1.0 1.3.0 1.5.0", "gatehouse:License is"},
		{`{"ForAllValues:StringLike":{"gatehouse:License":"*GPL-*"}}`, "1.1.0", "gatehouse:License is GPL-3.0-only"},
		{`{"ForAnyValue:StringLike":{"gatehouse:License":"*GPL-*"}}`, "1.1.0 1.2.0", "GPL-3.0-only"},
		{`{"Bool":{"gatehouse:Attested":"false"}}`, "1.1.0 1.2.0 1.3.0 1.4.0 1.5.0", "gatehouse:Attested is false"},
		{`{"Bool":{"gatehouse:Signed":"false"}}`, "1.1.0 1.2.0 1.3.0 1.4.0 1.5.0", "gatehouse:Signed is false"},
		{`{"Bool":{"gatehouse:InstallScripts":"true"}}`, "1.2.0 1.5.0", "gatehouse:InstallScripts is true"},
		{`{"Null":{"gatehouse:InstallScripts":"true"}}`, "", ""},
		{`{"Bool":{"gatehouse:InstallScripts":"true"},"StringEquals":{"gatehouse:License":"unknown"}}`, "1.5.0", "gatehouse:InstallScripts is true"},
	} {
		h.setPolicy("app", denyIf("Rule", c.condition))
		p, err := h.Package(h.ctx, domain.Repository("app"), left)
		h.ok(err)
		for _, version := range all {
			denied := strings.Contains(c.denied, version)
			if (p.Version(version) == nil) != denied {
				t.Errorf("%s: clients see %s: %v", c.condition, version, !denied)
			}
			err := second(h.FetchedAsset(h.ctx, domain.Repository("app"), left, version, tarball))
			if (err != nil) != denied {
				t.Errorf("%s: the download of %s: %v", c.condition, version, err)
			} else if denied && !(strings.Contains(err.Error(), "the rule Rule of the resource-based policy") && strings.Contains(err.Error(), c.saw)) {
				t.Errorf("%s: the refusal is %q", c.condition, err)
			}
		}
	}
}

// The licences of stored versions of some formats are in their descriptions alone.
func TestAdmission_LicenseOfDescription(t *testing.T) {
	h := open(t)
	h.repositories("store", "app: store")
	id := packages.PackageID{Format: packages.PyPI, Name: "some-lib"}
	for version, license := range map[string]string{"1.0": "MIT", "1.1": "GPL-3.0-only", "1.2": ""} {
		p := packages.Publication{Repository: domain.Repository("store"), Package: id, Version: version}
		p.Description = &packages.Description{Licenses: []packages.License{{Name: license}}}
		h.ok(second(h.publishAs(h.ctx, p, "some_lib-"+version+".tar.gz", version)))
	}
	h.setPolicy("app", denyIf("Licenses", `{"ForAllValues:StringNotEquals":{"gatehouse:License":["MIT","unknown"]}}`))
	if got := h.versions("app", id); got != "1.0 1.2" && got != "1.2 1.0" {
		t.Errorf("clients see %s", got)
	}
	fails(t, second(h.read("app", id, "1.1", "some_lib-1.1.tar.gz")), "AccessDenied")
	// A source distribution runs code when it is installed.
	h.setPolicy("app", denyIf("Scripts", `{"Bool":{"gatehouse:InstallScripts":"true"}}`))
	if got := h.versions("app", id); got != "none" {
		t.Errorf("clients see %s", got)
	}
	h.mustPublish("store", id, "1.0", "some_lib-1.0-py3-none-any.whl", "wheel")
	p, err := h.Package(h.ctx, domain.Repository("app"), id)
	h.ok(err)
	if v := p.Version("1.0"); v == nil || len(v.Assets) != 1 || v.Assets[0].Name != "some_lib-1.0-py3-none-any.whl" {
		t.Errorf("clients see %+v", v)
	}
	h.ok(second(h.read("app", id, "1.0", "some_lib-1.0-py3-none-any.whl")))
	fails(t, second(h.read("app", id, "1.0", "some_lib-1.0.tar.gz")), "AccessDenied")
	// What is not known is missing.
	g := packages.PackageID{Format: packages.Generic, Namespace: "acme", Name: "tool"}
	h.mustPublish("store", g, "1", "tool", "tool")
	h.setPolicy("app", denyIf("NotKnown", `{"Null":{"gatehouse:Attested":"true"}}`))
	if got := h.versions("app", g); got != "none" {
		t.Errorf("clients see %s", got)
	}
}

// A public package whose name is easily taken for the one of an internal package.
func TestAdmission_SimilarToInternal(t *testing.T) {
	r := newRegistry(t)
	h := remotely(t, r, source.Settings{Fresh: time.Second, Background: time.Second}, "app: npm-store")
	names := map[string]bool{ // whether it is similar to @acme/widgets
		"acme-widgets": true, "acme.widgets": true, "@acme-widgets/core": false, "acmewidget": true, "@acrne/widgets": true, "@acne/widgets": true,
		"@amce/widgets": true, "@acme/w1dgets": true, "@acme/widgest": true, "@acme/gadgets": false, "widgets": false, "@acme2/widgets2": false, "left": false,
	}
	for name := range names {
		r.add(name, "1.0.0", name)
	}
	id := func(name string) packages.PackageID {
		id, ok := packages.ParsePackageName(packages.NPM, name)
		if !ok {
			t.Fatal(name)
		}
		return id
	}
	ours := id("@acme/widgets")
	h.setPolicy("app", denyIf("LookAlikes", `{"Bool":{"gatehouse:SimilarToInternal":"true"}}`))
	check := func(published bool) {
		t.Helper()
		for name, similar := range names {
			_, err := h.Package(h.ctx, domain.Repository("app"), id(name))
			if denied := err != nil; denied != (similar && published) {
				t.Errorf("with %s published %v, %s is denied: %v", ours, published, name, err)
			} else if denied && !strings.Contains(err.Error(), "gatehouse:SimilarToInternal is true because of the npm package acme/widgets") {
				t.Errorf("the message is %s", err)
			}
		}
	}
	check(false)
	h.mustPublish("app", ours, "1.0.0", tarball, "ours")
	check(true)
	h.wantRead("app", ours, "1.0.0", "ours")
	// What was downloaded from the public registry is not internal.
	h.wantRead("npm-store", id("left"), "1.0.0", "left")
	r.add("lefl", "1.0.0", "lefl")
	h.ok(second(h.Package(h.ctx, domain.Repository("app"), id("lefl"))))
	h.ok(second(h.DeletePackage(h.ctx, domain.Repository("app"), ours)))
	check(false)
	// All names are read again.
	h.mustPublish("app", ours, "1.0.0", tarball, "ours")
	h.connect(r, source.Settings{Fresh: time.Second, Background: time.Second}, false)
	check(true)
}
