package gatehouse_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// outgoing lists the packages of the server that connect to other machines. What the
// server fetches for callers goes through egress, which checks addresses. The others
// connect to what only the configuration names.
var outgoing = []string{
	"internal/server/egress",
	"internal/server/blob/s3",
	"internal/server/db/postgres",
}

// dialers are the names that a package needs to connect to another machine. An http.Client
// counts if it is made, not if it is passed on.
var dialers = map[string][]string{
	"net":        {"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialIP", "Dialer"},
	"crypto/tls": {"Dial", "DialWithDialer", "Dialer", "Client"},
	"net/http":   {"DefaultClient", "DefaultTransport", "Transport", "Get", "Head", "Post", "PostForm"},
}

func TestLayers_OutgoingRequests(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{$p := .}}{{range .GoFiles}}{{$p.ImportPath}} {{$p.Dir}}/{{.}}{{"\n"}}{{end}}`, "./internal/server/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		imported, file, ok := strings.Cut(strings.TrimSpace(line), " ")
		pkg := strings.TrimPrefix(imported, module)
		if !ok || strings.HasSuffix(pkg, "test") { // fixtures of tests
			continue
		}
		for _, use := range dialing(t, file) {
			found[pkg] = true
			if !isOutgoing(pkg) {
				t.Errorf("%s: %s uses %s: requests to other machines go through internal/server/egress", filepath.Base(file), pkg, use)
			}
		}
	}
	for _, pkg := range outgoing {
		if !found[pkg] {
			t.Errorf("%s connects to nothing: take it off the list, or correct this test", pkg)
		}
	}
}

func isOutgoing(pkg string) bool {
	for _, o := range outgoing {
		if within(pkg, o) {
			return true
		}
	}
	return false
}

// dialing returns what a file uses to connect to other machines.
func dialing(t *testing.T, file string) (uses []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	imports := map[string]string{} // path by name
	for _, i := range parsed.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		name := path.Base(p)
		if i.Name != nil {
			name = i.Name.Name
		}
		imports[name] = p
	}
	uses = append(uses, madeClients(parsed, imports)...)
	ast.Inspect(parsed, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			for _, name := range dialers[packageOf(s, imports)] {
				if s.Sel.Name == name {
					uses = append(uses, packageOf(s, imports)+"."+name)
				}
			}
		}
		return true
	})
	return uses
}

// madeClients returns the places at which an http.Client is made: a literal, new, or a
// variable of that type.
func madeClients(file *ast.File, imports map[string]string) (uses []string) {
	isClient := func(e ast.Expr) bool {
		s, ok := e.(*ast.SelectorExpr)
		return ok && packageOf(s, imports) == "net/http" && s.Sel.Name == "Client"
	}
	ast.Inspect(file, func(n ast.Node) bool {
		var made ast.Expr
		switch n := n.(type) {
		case *ast.CompositeLit:
			made = n.Type
		case *ast.ValueSpec:
			made = n.Type
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "new" && len(n.Args) == 1 {
				made = n.Args[0]
			}
		}
		if made != nil && isClient(made) {
			uses = append(uses, "net/http.Client")
		}
		return true
	})
	return uses
}

// packageOf returns the path of the package that a selector selects from, if it does.
func packageOf(s *ast.SelectorExpr, imports map[string]string) string {
	if x, ok := s.X.(*ast.Ident); ok {
		return imports[x.Name]
	}
	return ""
}
