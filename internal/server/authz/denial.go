package authz

import (
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// A Denial is the cause of the fault that [Authorizer] returns: the request and the
// decision. Handlers find it with errors.As, to seal it for those who may read it.
type Denial struct {
	Caller   *authn.Caller // nil if there was no caller
	Request  Request
	Decision policy.Decision
}

func (r *Denial) Error() string { return r.Decision.Outcome.String() }

// The bounds of a [Denial.Document].
const (
	maxDenialKeys  = 40
	maxDenialValue = 256 // bytes of a text in it
)

// The parts of a Document, as DecodeAuthorizationMessage answers them.
type (
	items[T any] struct {
		Items []T `json:"items"`
	}
	denialDocument struct {
		Allowed           bool                    `json:"allowed"`
		ExplicitDeny      bool                    `json:"explicitDeny"`
		MatchedStatements items[matchedStatement] `json:"matchedStatements"`
		Failures          items[string]           `json:"failures"`
		Reason            string                  `json:"reason"`
		Context           denialContext           `json:"context"`
	}
	matchedStatement struct {
		StatementID string `json:"statementId"`
		Effect      string `json:"effect"`
		PolicyType  string `json:"policyType"`
		Policy      string `json:"policy"`
	}
	denialContext struct {
		Principal  deniedPrincipal        `json:"principal"`
		Action     string                 `json:"action"`
		Resource   string                 `json:"resource"`
		Conditions items[deniedCondition] `json:"conditions"`
	}
	deniedPrincipal struct {
		ID  string `json:"id"`
		ARN string `json:"arn"`
	}
	deniedCondition struct {
		Key    string             `json:"key"`
		Values items[deniedValue] `json:"values"`
	}
	deniedValue struct {
		Value string `json:"value"`
	}
)

// Document is the decision as a JSON object of at most limit bytes, in the form of
// STS's DecodeAuthorizationMessage: the statement that denied, if one did, who asked
// for what, and the values of the condition keys that the policies look at. What
// does not fit leaves out the conditions; nil means that there is no caller.
func (r *Denial) Document(limit int) []byte {
	if r.Caller == nil || r.Caller.Principal == nil {
		return nil
	}
	d := denialDocument{
		ExplicitDeny: r.Decision.Outcome == policy.ExplicitDeny, Reason: clip(r.Decision.Because(r.Request.Action)),
		Context: denialContext{
			Principal: deniedPrincipal{r.Caller.UserID, r.Caller.ARN}, Action: clip(r.Request.Action), Resource: clip(r.Request.Resource),
		},
	}
	if p := r.Decision.Policy; p != nil {
		d.MatchedStatements.Items = []matchedStatement{{
			StatementID: clip(p.StatementID(r.Decision.Statement)), Effect: "DENY",
			PolicyType: r.Decision.Type.String(), Policy: clip(strings.TrimSpace(p.Source().ARN + " " + p.Source().Name)),
		}}
	}
	d.Context.Conditions.Items = r.conditions()
	text, err := json.Marshal(&d)
	if err == nil && len(text) > limit {
		d.Context.Conditions.Items = nil
		text, err = json.Marshal(&d)
	}
	if err != nil || len(text) > limit {
		return nil
	}
	return text
}

// conditions are the keys that the policies look at, and that the request has, but
// for the tags of the resource: by its length alone the sealed document would tell
// whether there is one.
func (r *Denial) conditions() []deniedCondition {
	policies := append([]*policy.Policy{}, r.Caller.Policies...)
	policies = append(policies, r.Caller.SessionPolicies...)
	if r.Caller.Boundary != nil {
		policies = append(policies, r.Caller.Boundary)
	}
	seen := map[string]bool{}
	keys := &conditionKeys{caller: r.Caller, req: &r.Request}
	var out []deniedCondition
	for _, p := range policies {
		for _, key := range p.ContextKeys() {
			values, ok := keys.Lookup(key)
			if !ok || seen[key] || strings.Contains(key, ":resourcetag/") || len(out) == maxDenialKeys {
				continue
			}
			seen[key] = true
			c := deniedCondition{Key: clip(key)}
			for _, v := range values {
				c.Values.Items = append(c.Values.Items, deniedValue{clip(v)})
			}
			out = append(out, c)
		}
	}
	return out
}

func clip(s string) string { return truncate.String(s, maxDenialValue) }
