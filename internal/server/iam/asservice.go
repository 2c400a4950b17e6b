package iam

import (
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
)

// AsService returns who a service of AWS is after it has assumed a role, for the server,
// which does what the service does. No session is begun. It does not authorize: that the
// role may be given to the service (iam:PassRole) was decided when the role was named.
// Faults: NoSuchEntity; AccessDenied if the trust policy of the role does not name the
// service.
func (s *Service) AsService(roleARN, service string) (*authn.Principal, error) {
	sn := s.current.Load()
	e, _ := sn.byARN(roleARN)
	role, ok := e.(*Role)
	if !ok {
		return nil, fault.New(fault.NotFound, "NoSuchEntity", "The role %s does not exist.", roleARN)
	}
	decision := policy.Evaluate(&policy.Input{
		Principal: policy.Principal{Type: policy.Service, Provider: service},
		Action:    "sts:AssumeRole", Resource: roleARN, ResourceAccount: role.Account,
		Context:   serviceKeys{account: role.Account, now: s.now()},
		Resources: []*policy.Policy{role.TrustPolicy()},
	})
	if !decision.Allowed() {
		return nil, fault.New(fault.Denied, "AccessDenied", "The trust policy of the role %s does not allow %s to assume it.", roleARN, service)
	}
	p := new(*sn.role(role))
	p.SessionName = service
	p.ARN = arn.New("sts", "", role.Account, "assumed-role/"+role.Name+"/"+service).String()
	p.UserID = p.UniqueID + ":" + service
	return p, nil
}

// serviceKeys are the condition keys of a service that assumes a role.
type serviceKeys struct {
	account string
	now     time.Time
}

// Lookup implements [policy.Context].
func (k serviceKeys) Lookup(key string) ([]string, bool) {
	switch key {
	case "aws:sourceaccount":
		return []string{k.account}, true
	case "aws:principalisawsservice", "aws:securetransport":
		return []string{"true"}, true
	case "aws:currenttime":
		return []string{k.now.UTC().Format(time.RFC3339)}, true
	}
	return nil, false
}
