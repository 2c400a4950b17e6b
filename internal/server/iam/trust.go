package iam

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// TrustsNobody is a trust policy that lets no one in: no unique id has this form.
const TrustsNobody = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"AROA00000000000000000"},"Action":"sts:AssumeRole"}}`

// principalPointer matches the JSON pointers of the AWS principals of a policy.
var principalPointer = lazyregexp.New(`^/Statement(?:/\d+)?/(?:Not)?Principal/AWS(?:/\d+)?$`)

// bindTrust checks a trust policy and returns it with unique ids; see
// [Service.BindPrincipals]. Faults: MalformedPolicyDocument, LimitExceeded.
func (s *Snapshot) bindTrust(document string) (string, error) {
	if policy.Size(document) > MaxTrust {
		return "", limit("Cannot exceed quota for ACLSizePerRole: %d", MaxTrust)
	}
	if err := CheckDocument(document, policy.Trust); err != nil {
		return "", err
	}
	if err := checkSharedIssuers(document); err != nil {
		return "", err
	}
	return s.bindPrincipals(document)
}

// BindPrincipals puts, in a policy that parses, the unique ids of users and
// roles in the place of their ARNs, so that it does not come to trust whoever
// gets the name of one that was deleted (IAM User Guide, "AWS JSON policy
// elements: Principal", IAM role principals). The ARN of a role's session becomes
// AROA…:SESSION. Fault: MalformedPolicyDocument if one does not exist.
func (s *Service) BindPrincipals(document string) (string, error) {
	return s.current.Load().bindPrincipals(document)
}

// ShowPrincipals is the inverse of [Service.BindPrincipals] for the users and
// roles that still exist. The ids of the others stay.
func (s *Service) ShowPrincipals(document string) string {
	return s.current.Load().showPrincipals(document)
}

func (s *Snapshot) bindPrincipals(document string) (string, error) {
	return editPrincipals(document, func(principal string) (string, error) {
		a, err := arn.Parse(principal)
		if err != nil {
			return principal, nil // *, an account or a unique id
		}
		missing := fault.New(fault.Invalid, "MalformedPolicyDocument", `Invalid principal in policy: "AWS":"%s"`, principal)
		switch kind, name, _ := strings.Cut(a.Resource, "/"); {
		case a.Service == "iam" && (kind == "user" || kind == "role"):
			e, ok := s.byARN(principal)
			if !ok {
				return "", missing
			}
			return e.Base().ID, nil
		case a.Service == "sts" && kind == "assumed-role":
			role, session, _ := strings.Cut(name, "/")
			e, ok := s.named(a.AccountID, KindRole, role)
			if !ok {
				return "", missing
			}
			return e.Base().ID + ":" + session, nil
		}
		return principal, nil
	})
}

func (s *Snapshot) showPrincipals(document string) string {
	shown, err := editPrincipals(document, func(principal string) (string, error) {
		id, session, ofSession := strings.Cut(principal, ":")
		e, ok := s.byID.Get(id)
		if _, isAccount := e.(*Account); !ok || isAccount {
			return principal, nil
		}
		if ofSession {
			return arn.New("sts", "", e.Base().Account, "assumed-role/"+e.Base().Name+"/"+session).String(), nil
		}
		return ARNOf(e), nil
	})
	if err != nil {
		return document
	}
	return shown
}

// editPrincipals replaces the AWS principals of a policy, and leaves the rest of
// the text as it is.
func editPrincipals(document string, edit func(string) (string, error)) (string, error) {
	dec := jsontext.NewDecoder(strings.NewReader(document))
	var out strings.Builder
	copied := 0
	for {
		tok, err := dec.ReadToken()
		if err != nil {
			break // the end: the document was parsed before
		}
		if tok.Kind() != '"' || !principalPointer.MatchString(string(dec.StackPointer())) {
			continue
		}
		if kind, n := dec.StackIndex(dec.StackDepth()); kind == '{' && n%2 == 1 {
			continue // a name, not a value
		}
		text := tok.String()
		end := int(dec.InputOffset())
		edited, err := edit(text)
		if err != nil {
			return "", err
		}
		if edited == text {
			continue
		}
		start := strings.LastIndexByte(document[copied:end-1], '"') + copied
		quoted, err := jsontext.AppendQuote(nil, edited)
		if err != nil {
			return "", err
		}
		out.WriteString(document[copied:start])
		out.Write(quoted)
		copied = end
	}
	out.WriteString(document[copied:])
	return out.String(), nil
}
