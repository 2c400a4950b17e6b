package config

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// An ambiguityFinder finds text that the YAML library would read as something else
// than the file says. Such text is refused, not guessed: an account id without its
// zeros is another account, and a condition key that is cut at its colon is not a
// condition.
type ambiguityFinder struct{ errs []error }

// Visit implements [ast.Visitor].
func (a *ambiguityFinder) Visit(node ast.Node) ast.Visitor {
	switch n := node.(type) {
	case *ast.IntegerNode:
		a.number(n.Token, n.Value)
	case *ast.FloatNode:
		a.number(n.Token, n.Value)
	case *ast.MappingValueNode:
		a.colon(n)
	}
	return a
}

// number refuses a number that does not print as it is written: 007, 0x10, 1_000,
// 1.50.
func (a *ambiguityFinder) number(t *token.Token, value any) {
	if fmt.Sprint(value) != t.Value {
		a.add(t, "put %s in quotes: YAML reads it as the number %v", t.Value, value)
	}
}

// colon refuses {aws:username: bob}: the library ends the key at the first colon.
func (a *ambiguityFinder) colon(n *ast.MappingValueNode) {
	key := n.Key.GetToken()
	if n.Start == nil || n.Start.Next == nil || key.Indicator == token.QuotedScalarIndicator {
		return
	}
	next := n.Start.Next
	plain := next.CharacterType == token.CharacterTypeMiscellaneous
	adjacent := next.Position.Line == n.Start.Position.Line && next.Position.Column == n.Start.Position.Column+1
	if plain && adjacent {
		a.add(key, "put the text with a colon that begins with %s: in quotes, or a space after the colon", key.Value)
	}
}

func (a *ambiguityFinder) add(at *token.Token, format string, args ...any) {
	a.errs = append(a.errs, &Problem{Line: at.Position.Line, Message: fmt.Sprintf(format, args...)})
}
