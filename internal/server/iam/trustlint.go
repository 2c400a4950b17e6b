package iam

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// sharedIssuers sign tokens for everyone who has an account with them, and so
// do not say, by their name alone, whose token it is. Each has the claims, one of
// which does (IAM User Guide, "Identity-provider controls for shared OIDC
// providers").
var sharedIssuers = map[string][]string{
	"token.actions.githubusercontent.com":                {"sub"},
	"vstoken.actions.githubusercontent.com":              {"sub"},
	"oidc-configuration.audit-log.githubusercontent.com": {"sub"},
	"gitlab.com":                     {"sub"},
	"agent.buildkite.com":            {"sub"},
	"oidc.codefresh.io":              {"sub"},
	"studio.datachain.ai/api":        {"sub"},
	"app.terraform.io":               {"sub"},
	"scalr.io":                       {"sub"},
	"tokens.cloud.shisho.dev":        {"sub"},
	"proidc.upbound.io":              {"sub"},
	"api.pulumi.com/oidc":            {"aud"},
	"sandboxes.cloud":                {"aud"},
	"oidc.vercel.com":                {"aud"},
	"cognito-identity.amazonaws.com": {"aud"},
	"accounts.google.com":            {"sub", "aud"},
	"sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d": {"sub"},
}

// checkSharedIssuers refuses a trust policy, which parses, that lets everyone in
// who has an account with an issuer that many share. Fault:
// MalformedPolicyDocument.
func checkSharedIssuers(document string) error {
	var p struct{ Statement oneOrMore[trustStatement] }
	if err := json.Unmarshal([]byte(document), &p); err != nil {
		return malformed(err)
	}
	for _, s := range p.Statement {
		if s.Effect != "Allow" || s.onlyAdds() {
			continue
		}
		for _, provider := range s.federated() {
			issuer := provider
			if _, name, ok := cutProviderARN(provider); ok {
				issuer = name
			}
			claims, shared := sharedIssuers[strings.ToLower(strings.TrimSuffix(issuer, "/"))]
			if shared && !s.chooses(issuer, claims) {
				return fault.New(fault.Invalid, "MalformedPolicyDocument",
					"The trust in %s needs a condition on %s:%s, with StringEquals or StringLike and a value that names whom you trust. Anyone can get tokens from this issuer.",
					provider, issuer, strings.Join(claims, " or "+issuer+":"))
			}
		}
	}
	return nil
}

// A trustStatement is what of a statement says whom it lets in.
type trustStatement struct {
	Effect    string
	Action    oneOrMore[string]
	Principal jsontext.Value
	Condition map[string]map[string]jsontext.Value
}

// oneOrMore is a value or a list of values, as policies have them.
type oneOrMore[T any] []T

func (o *oneOrMore[T]) UnmarshalJSON(raw []byte) error {
	if jsontext.Value(raw).Kind() == '[' {
		return json.Unmarshal(raw, (*[]T)(o))
	}
	*o = make([]T, 1)
	return json.Unmarshal(raw, &(*o)[0])
}

// onlyAdds reports whether a statement lets no one in by itself: it allows what
// comes with a session that another statement allows.
func (s *trustStatement) onlyAdds() bool {
	return !slices.ContainsFunc(s.Action, func(action string) bool {
		return !strings.EqualFold(action, "sts:TagSession") && !strings.EqualFold(action, "sts:SetSourceIdentity")
	})
}

func (s *trustStatement) federated() []string {
	var p struct{ Federated oneOrMore[string] }
	if s.Principal.Kind() != '{' || json.Unmarshal(s.Principal, &p) != nil {
		return nil
	}
	return p.Federated
}

// choosing are the operators that hold only if the claim is there and is one of
// the values.
var choosing = []string{
	"stringequals", "stringequalsignorecase", "stringlike",
	"foranyvalue:stringequals", "foranyvalue:stringequalsignorecase", "foranyvalue:stringlike",
}

// chooses reports whether a condition of the statement chooses by one of the
// claims.
func (s *trustStatement) chooses(issuer string, claims []string) bool {
	for operator, keys := range s.Condition {
		if !slices.Contains(choosing, strings.ToLower(operator)) {
			continue
		}
		for key, raw := range keys {
			if !slices.ContainsFunc(claims, func(c string) bool { return strings.EqualFold(key, issuer+":"+c) }) {
				continue
			}
			var values oneOrMore[string]
			if json.Unmarshal(raw, &values) == nil && len(values) > 0 && !slices.ContainsFunc(values, fitsAnyTenant) {
				return true
			}
		}
	}
	return false
}

// fitsAnyTenant reports whether a value names no one: its wildcards or variables
// begin before more is said than what kind of name follows, as in repo:*.
func fitsAnyTenant(value string) bool {
	i := strings.IndexAny(value, "*?$")
	if i < 0 {
		return value == ""
	}
	_, name, _ := strings.Cut(value[:i], ":")
	return strings.Trim(name, "/") == ""
}
