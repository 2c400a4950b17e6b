package iam

import (
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
)

// Principal returns who has the ARN, and whether there is one; nil if it is no
// principal's ARN. Of a user, a role or a session of a role that do not exist it
// returns what their ARN says. A group stands for a member without anything else.
func (s *Snapshot) Principal(text string) (p *authn.Principal, found bool) {
	a, err := arn.Parse(text)
	if err != nil || !arn.IsAccountID(a.AccountID) {
		return nil, false
	}
	e, _ := s.byARN(text)
	switch e := e.(type) {
	case *User:
		return new(*s.user(e)), true
	case *Role:
		p := new(*s.role(e))
		p.UserID = "" // without a session it has none
		return p, true
	case *Group:
		return &authn.Principal{Type: authn.User, Account: e.Account, PrincipalARN: e.ARN(), Policies: s.granted(&e.Permissions), Guardrail: s.guardrail(e.Account)}, true
	}
	p = &authn.Principal{Account: a.AccountID, ARN: text, PrincipalARN: text, Guardrail: s.guardrail(a.AccountID)}
	kind, rest, _ := strings.Cut(a.Resource, "/")
	name := rest[strings.LastIndexByte(rest, '/')+1:]
	switch {
	case a.Service == "iam" && a.Resource == "root":
		p.Type, p.UserID, p.UniqueID = authn.Root, a.AccountID, a.AccountID
		_, found = get[*Account](s, a.AccountID)
		return p, found
	case name == "":
	case a.Service == "iam" && kind == "user":
		p.Type, p.Name = authn.User, name
		return p, false
	case a.Service == "iam" && kind == "role":
		p.Type = authn.AssumedRole
		return p, false
	case a.Service == "sts" && kind == "federated-user":
		p.Type, p.SessionName = authn.FederatedUser, name
		return p, false
	case a.Service == "sts" && kind == "assumed-role" && strings.Count(rest, "/") == 1:
		return s.roleSession(p, strings.TrimSuffix(rest, "/"+name), name)
	}
	return nil, false
}

// roleSession makes p, who has an account and an ARN, a session of a role.
func (s *Snapshot) roleSession(p *authn.Principal, role, session string) (*authn.Principal, bool) {
	e, found := s.named(p.Account, KindRole, role)
	if found {
		text := p.ARN
		*p = *s.role(e.(*Role))
		p.ARN, p.UserID = text, p.UniqueID+":"+session
	} else {
		p.Type, p.PrincipalARN = authn.AssumedRole, arn.New("iam", "", p.Account, "role/"+role).String()
	}
	p.SessionName = session
	return p, found
}
