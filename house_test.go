// Package gatehouse_test keeps the house in order: which package may import
// which. docs/design.md has the picture.
package gatehouse_test

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/gatehouse-registry/gatehouse/"

// A floor is a set of packages; an import goes to a lower floor or stays.
type floor int

const (
	ground floor = iota // protocol and storage primitives
	domain
	edge
	joint // where everything is joined
	street
)

// floors names the floor of every package, by the longest prefix that fits.
var floors = map[string]floor{
	"internal/aws": ground, "internal/fault": ground, "internal/db": ground, "internal/blob": ground,
	"internal/iam/policy": ground, "internal/iam/managed": ground, "internal/linelog": ground, "internal/endpoint": ground,
	"internal/config": domain, "internal/iam": domain, "internal/authn": domain, "internal/authz": domain, "internal/token": domain,
	"internal/images": domain, "internal/packages": domain, "internal/audit": domain, "internal/jobs": domain,
	"internal/api/queryerror": domain, // what two doors share stands below them
	"internal/upstream":       domain, "internal/webidentity": domain,
	"authtoken": ground, "internal/textedit": ground, "internal/xdg": ground, "internal/loopback": ground, "internal/shell": ground, // the caller's side, which knows nothing of the server
	"internal/credential": domain, "internal/login": domain, "internal/project": domain, "internal/childenv": domain,
	"internal/proxy": domain, "internal/doctor": domain,
	"internal/api": edge, "internal/oci": edge, "internal/formats": edge,
	"internal/app": joint, "internal/explain": joint, // a client, which the command starts
	"cmd": street, "e2e": street, "bench": street,
}

// alone are the packages that import nothing of ours but what is below them.
var alone = []string{"internal/fault", "internal/aws/arn", "internal/aws/wire", "internal/aws/sigv4", "internal/iam/policy", "authtoken"}

func TestImportsRunOneWay(t *testing.T) {
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
				check(t, pkg, imported)
			}
		}
	}
	if seen < 20 {
		t.Fatalf("only %d packages seen", seen)
	}
}

func check(t *testing.T, pkg, imported string) {
	t.Helper()
	if strings.HasSuffix(pkg, "test") { // iamtest, formatstest: they join parts for tests
		return
	}
	from, to := floorOf(t, pkg), floorOf(t, imported)
	if to > from {
		t.Errorf("%s imports %s, which is above it", pkg, imported)
	}
	for _, a := range alone {
		if within(pkg, a) && !within(imported, a) {
			t.Errorf("%s imports %s, and must import none of ours", pkg, imported)
		}
	}
	if callers(pkg) && !callers(imported) {
		t.Errorf("%s imports %s; the caller's side knows nothing of the server", pkg, imported)
	}
	// An edge may use the package that stands above it in the tree, which holds
	// what its kind of edge shares, and no other edge.
	if from == edge && to == edge && !within(pkg, imported) && !within(imported, pkg) {
		t.Errorf("edge %s imports edge %s", pkg, imported)
	}
	if from == edge && (within(imported, "internal/db") || within(imported, "internal/iam/policy") && pkg != "internal/api/iam") {
		t.Errorf("edge %s goes past the domain to %s", pkg, imported)
	}
}

// callers reports whether a package is of the caller's side.
func callers(pkg string) bool {
	for _, tree := range []string{"authtoken", "internal/textedit", "internal/xdg", "internal/loopback", "internal/shell", "internal/credential", "internal/login", "internal/project", "internal/childenv", "internal/proxy", "internal/doctor"} {
		if within(pkg, tree) {
			return true
		}
	}
	return false
}

func within(pkg, tree string) bool { return pkg == tree || strings.HasPrefix(pkg, tree+"/") }

func floorOf(t *testing.T, pkg string) floor {
	t.Helper()
	best, length := floor(-1), -1
	for tree, f := range floors {
		if within(pkg, tree) && len(tree) > length {
			best, length = f, len(tree)
		}
	}
	if best < 0 {
		t.Fatalf("%s has no place in the house: give it one in this test and in docs/design.md", pkg)
	}
	return best
}
