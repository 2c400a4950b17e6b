// Package gatehouse_test keeps the layout of the source tree: which package may
// import which. docs/design.md describes the layers.
package gatehouse_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gatehouse-registry/gatehouse/"

// A layer is a set of packages. A package imports packages of its own layer or of
// a lower one.
type layer int

const (
	base    layer = iota // what the server and the client side share
	storage              // databases, blobs, files
	domain               // rules and transactions
	handler              // one protocol each
	wiring               // constructs and connects everything
	command
)

// layers names the layer of every package. The longest prefix of its path counts.
var layers = map[string]layer{
	"internal/atomicfile":    base,
	"internal/aws":           base,
	"internal/deflatetest":   base,
	"internal/fault":         base,
	"internal/httpheader":    base,
	"internal/idletimeout":   base,
	"internal/lazyregexp":    base,
	"internal/loopback":      base,
	"internal/operatormodel": base,
	"internal/policy":        base,
	"internal/randid":        base,
	"internal/redact":        base,
	"internal/respwriter":    base,
	"internal/truncate":      base,
	"authtoken":              base,

	"internal/server/db": storage, "internal/server/blob": storage, "internal/server/diskspace": storage, "internal/server/asynclog": storage, "internal/server/endpoint": storage, "internal/server/lru": storage, "internal/server/changefeed": storage, "internal/server/sdnotify": storage, "internal/server/work": storage, "internal/server/events": storage,
	"internal/server/progress": storage, "internal/server/consistency": storage,
	"internal/server/iam/managed": storage, "internal/server/resourcetags": storage, "internal/server/usage": storage, "internal/server/steadyclock": storage, "internal/server/spdx": storage,

	"internal/server/config": domain, "internal/server/iam": domain, "internal/server/authn": domain, "internal/server/authz": domain, "internal/server/token": domain, "internal/server/keys": domain,
	"internal/server/ratelimit": domain, "internal/server/bodybudget": domain, "internal/server/trustedproxy": domain,
	"internal/server/images": domain, "internal/server/packages": domain, "internal/server/audit": domain,
	"internal/server/installation": domain, "internal/server/advisories": domain, "internal/server/secrets": domain, "internal/server/signing": domain, "internal/server/egress": domain, "internal/server/ociremote": domain, "internal/server/ecrremote": domain, "internal/server/upstreamconfig": domain, "internal/server/webidentity": domain,
	"internal/server/backup": domain, "internal/server/verify": domain, "internal/server/migrate": domain,
	"internal/server/api/queryerrors": domain, "internal/server/api/pagetoken": domain, "internal/server/api/optional": domain, "internal/server/api/jsonerrors": domain, // shared by the APIs

	"internal/server/api": handler, "internal/server/oci": handler, "internal/server/formats": handler, "internal/server/oidcissuer": handler, "internal/server/signingroot": handler,
	"internal/server/formats/archive": storage, // reads bytes, knows no packages
	// What publishing and external registries share.
	"internal/server/formats/npm/packument": domain, "internal/server/formats/pypi/stored": domain,
	"internal/server/formats/cargo/stored": domain, "internal/server/formats/maven/document": domain,
	"internal/server/formats/nuget/nupkg": domain, "internal/server/formats/ruby/rubygem": domain,
	"internal/server/formats/traits": domain,
	"internal/server/source":         domain,
	"internal/server/app":            wiring,

	"internal/client": domain, "internal/client/textedit": base, "internal/client/userdirs": base, "internal/client/shellquote": base,

	"cmd": command, "e2e": command, "bench": command,
}

// standalone lists the packages that import no other package of this module,
// except packages below themselves, internal/lazyregexp, internal/randid
// and internal/truncate.
var standalone = []string{
	"internal/atomicfile",
	"internal/fault",
	"internal/httpheader",
	"internal/randid",
	"internal/aws/arn",
	"internal/aws/wire",
	"internal/aws/sigv4",
	"internal/policy",
	"internal/redact",
	"internal/server/resourcetags",
	"authtoken",
}

func TestLayers(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		pkg, ok := strings.CutPrefix(fields[0], module)
		if !ok {
			continue
		}
		seen++
		for _, path := range fields[1:] {
			if imported, ok := strings.CutPrefix(path, module); ok {
				checkImport(t, pkg, imported)
			}
		}
	}
	if seen < 20 {
		t.Fatalf("saw only %d packages", seen)
	}
}

func checkImport(t *testing.T, pkg, imported string) {
	t.Helper()
	if strings.HasSuffix(pkg, "test") { // iamtest, formatstest: fixtures that connect parts for tests
		return
	}
	from, to := layerOf(t, pkg), layerOf(t, imported)
	if to > from {
		t.Errorf("%s imports %s, which is in a higher layer", pkg, imported)
	}
	for _, p := range standalone {
		if within(pkg, p) && !within(imported, p) && !slices.Contains([]string{"internal/lazyregexp", "internal/randid", "internal/truncate"}, imported) {
			t.Errorf("%s imports %s, but must import no other package of this module", pkg, imported)
		}
	}
	for _, sides := range [][2]string{{"internal/server", "internal/client"}, {"internal/client", "internal/server"}} {
		if within(pkg, sides[0]) && within(imported, sides[1]) {
			t.Errorf("%s imports %s: server and client side must not import each other", pkg, imported)
		}
	}
	if from == base && !within(pkg, "internal/client") && (within(imported, "internal/server") || within(imported, "internal/client")) {
		t.Errorf("%s imports %s: the base must know neither side", pkg, imported)
	}
	// A handler may import its parent package, which holds what handlers of its
	// kind share, and no other handler.
	if from == handler && to == handler && !within(pkg, imported) && !within(imported, pkg) {
		t.Errorf("handler %s imports handler %s", pkg, imported)
	}
	if from == handler && (within(imported, "internal/server/db") || within(imported, "internal/policy") && pkg != "internal/server/api/iamapi") {
		t.Errorf("handler %s bypasses the domain: it imports %s", pkg, imported)
	}
}

func within(pkg, tree string) bool { return pkg == tree || strings.HasPrefix(pkg, tree+"/") }

func layerOf(t *testing.T, pkg string) layer {
	t.Helper()
	best, length := layer(-1), -1
	for tree, l := range layers {
		if within(pkg, tree) && len(tree) > length {
			best, length = l, len(tree)
		}
	}
	if best < 0 {
		t.Fatalf("%s has no layer: add it to this test and to docs/design.md", pkg)
	}
	return best
}
