package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// An sdk is what genmodel reads of a service's Go client.
type sdk struct {
	operations map[string]sdkOperation
	errors     map[string]*types.Named
	// enums are the values of each named string type, in the order of the file.
	enums map[string][]string
	// unions are the cases of each interface, by the name of the case.
	unions map[string]map[string]*types.Named
	// required holds the position of each field that is documented as required.
	required map[token.Pos]bool
}

type sdkOperation struct{ input, output *types.Named }

func readSDK(service string) (*sdk, error) {
	path := "github.com/aws/aws-sdk-go-v2/service/" + service
	pkgs, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedTypes | packages.NeedSyntax | packages.NeedImports | packages.NeedFiles,
	}, path, path+"/types")
	if err != nil {
		return nil, err
	}
	if len(pkgs) != 2 || packages.PrintErrors(pkgs) > 0 {
		return nil, fmt.Errorf("%s cannot be loaded", path)
	}
	s := &sdk{
		operations: map[string]sdkOperation{},
		errors:     map[string]*types.Named{},
		enums:      map[string][]string{},
		unions:     map[string]map[string]*types.Named{},
		required:   map[token.Pos]bool{},
	}
	for _, p := range pkgs {
		if p.Name == "types" {
			s.readTypes(p.Types.Scope())
		} else {
			s.readClient(p.Types.Scope().Lookup("Client").Type())
		}
		for _, f := range p.Syntax {
			ast.Inspect(f, s.readField)
		}
	}
	return s, nil
}

// readClient finds the operations among the client's methods.
func (s *sdk) readClient(client types.Type) {
	methods := types.NewMethodSet(types.NewPointer(client))
	for m := range methods.Methods() {
		sig := m.Type().(*types.Signature)
		if sig.Params().Len() != 3 || sig.Results().Len() != 2 {
			continue
		}
		in, out := named(sig.Params().At(1).Type()), named(sig.Results().At(0).Type())
		if in != nil && in.Obj().Name() == m.Obj().Name()+"Input" {
			s.operations[m.Obj().Name()] = sdkOperation{in, out}
		}
	}
}

// readTypes finds the errors, the enums and the unions.
func (s *sdk) readTypes(scope *types.Scope) {
	var constants []*types.Const
	for _, name := range scope.Names() {
		switch o := scope.Lookup(name).(type) {
		case *types.Const:
			constants = append(constants, o)
		case *types.TypeName:
			n, ok := o.Type().(*types.Named)
			if !ok || !o.Exported() {
				continue
			}
			if m, _, _ := types.LookupFieldOrMethod(types.NewPointer(n), true, o.Pkg(), "ErrorCode"); m != nil {
				s.errors[name] = n
			}
			if union, member, ok := strings.Cut(name, "Member"); ok && isUnion(scope.Lookup(union)) {
				if s.unions[union] == nil {
					s.unions[union] = map[string]*types.Named{}
				}
				s.unions[union][member] = n
			}
		}
	}
	slices.SortFunc(constants, func(a, b *types.Const) int { return int(a.Pos()) - int(b.Pos()) })
	for _, c := range constants {
		if n := named(c.Type()); n != nil && c.Val().Kind() == constant.String {
			s.enums[n.Obj().Name()] = append(s.enums[n.Obj().Name()], constant.StringVal(c.Val()))
		}
	}
}

// readField notes the fields whose comment says that they must be set. Only
// this comment of the SDK says so in a form that a program can read.
func (s *sdk) readField(n ast.Node) bool {
	f, ok := n.(*ast.Field)
	if ok && len(f.Names) == 1 && strings.Contains(f.Doc.Text(), "This member is required.") {
		s.required[f.Names[0].Pos()] = true
	}
	return true
}

// fields yields the members among the fields of a struct.
func fields(n *types.Named) []*types.Var {
	st, ok := n.Underlying().(*types.Struct)
	if !ok {
		return nil
	}
	var out []*types.Var
	for f := range st.Fields() {
		if f.Exported() && f.Name() != "ResultMetadata" && f.Name() != "ErrorCodeOverride" {
			out = append(out, f)
		}
	}
	return out
}

func isUnion(o types.Object) bool {
	return o != nil && types.IsInterface(o.Type())
}

// named returns the named type that t is or points to.
func named(t types.Type) *types.Named {
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	n, _ := t.(*types.Named)
	return n
}
