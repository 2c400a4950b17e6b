package images

import (
	"context"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// A ReplicationRule says which repositories of a registry are copied to which other
// registries (Amazon ECR User Guide, "Private image replication").
type ReplicationRule struct {
	Destinations []RegistryID `json:"destinations"`
	// Prefixes choose repositories by how their names begin. Without prefixes the rule
	// is about all repositories.
	Prefixes []string `json:"prefixes,omitempty"`
	// Deletions says whether deletions are replicated. nil, which means no, is what a
	// client that does not know the setting has put.
	Deletions *bool `json:"deletions,omitempty"`
}

// matches reports whether the rule is about a repository.
func (r *ReplicationRule) matches(name string) bool {
	return len(r.Prefixes) == 0 || slices.ContainsFunc(r.Prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// The bounds of a configuration (Amazon ECR User Guide, "Service quotas").
const (
	maxReplicationRules        = 10
	maxReplicationDestinations = 25 // different ones, of all rules together
	maxReplicationPrefixes     = 100
)

// A replicationTarget is a destination of a repository.
type replicationTarget struct {
	RegistryID
	deletions bool
}

// replicationTargets returns the destinations of a repository, each once, in the order of
// the rules.
func (r *Registry) replicationTargets(name string) (targets []replicationTarget) {
	for i := range r.Replication {
		rule := &r.Replication[i]
		if !rule.matches(name) {
			continue
		}
		deletions := rule.Deletions != nil && *rule.Deletions
		for _, d := range rule.Destinations {
			known := slices.IndexFunc(targets, func(t replicationTarget) bool { return t.RegistryID == d })
			if known < 0 {
				targets = append(targets, replicationTarget{d, deletions})
			} else if deletions {
				targets[known].deletions = true
			}
		}
	}
	return targets
}

// replicatesTo reports whether a repository is replicated to a registry.
func (s *Service) replicatesTo(id RepositoryID, to RegistryID) bool {
	return slices.ContainsFunc(s.registries.get(id.registry()).replicationTargets(id.Name), func(t replicationTarget) bool { return t.RegistryID == to })
}

// DescribeRegistry returns the replication rules of a registry. Action
// ecr:DescribeRegistry. Fault: AccessDenied.
func (s *Service) DescribeRegistry(ctx context.Context, id RegistryID) ([]ReplicationRule, error) {
	r, err := s.authorizeSettings(ctx, id, "ecr:DescribeRegistry")
	if err != nil {
		return nil, err
	}
	return r.Replication, nil
}

// replicationService is the service whose role a registry with replication has in AWS.
const replicationService = "replication.ecr.amazonaws.com"

// PutReplicationConfiguration replaces the replication rules of a registry. What was pushed
// before stays where it is: see [Service.StartReplicationBackfill]. Action
// ecr:PutReplicationConfiguration. Faults: AccessDenied, InvalidParameter, TooManyRules.
func (s *Service) PutReplicationConfiguration(ctx context.Context, id RegistryID, rules []ReplicationRule) error {
	if _, err := s.authorizeSettings(ctx, id, "ecr:PutReplicationConfiguration"); err != nil {
		return err
	}
	if err := s.checkReplication(id, rules); err != nil {
		return err
	}
	if len(rules) > 0 && s.linkRole != nil {
		// The role gives clients what they look for. Replication itself does not need it.
		if err := s.linkRole(ctx, replicationService); err != nil && !fault.Is(err, "AccessDenied") {
			return err
		}
	}
	_, err := s.editRegistry(ctx, id, func(r *Registry) error {
		r.Replication = rules
		return nil
	})
	return err
}

func invalidReplication(constraint string) error {
	return invalidParameter("replicationConfiguration", constraint)
}

func (s *Service) checkReplication(id RegistryID, rules []ReplicationRule) error {
	if len(rules) > maxReplicationRules {
		return invalidReplication("A replication configuration has at most 10 rules")
	}
	different := map[RegistryID]bool{}
	for i := range rules {
		rule := &rules[i]
		if len(rule.Prefixes) > maxReplicationPrefixes {
			return invalidReplication("A replication rule has at most 100 repository filters")
		}
		for _, d := range rule.Destinations {
			if d == id {
				return invalidReplication("Replication destination cannot be the same as the source registry")
			}
			if !s.serves(d) && s.remote(id.Account, d) == nil {
				return invalidReplication("The replication destination " + d.Account + " in " + d.Region + " is not known here. Add it to the settings accounts and regions of the server or, if it is in another installation, to replication.destinations with an account that may use it")
			}
			different[d] = true
		}
	}
	if len(different) > maxReplicationDestinations {
		return invalidReplication("A replication configuration has at most 25 unique destinations across all rules")
	}
	return nil
}

// serves reports whether a registry is one of this installation.
func (s *Service) serves(id RegistryID) bool { return s.servesRegistry == nil || s.servesRegistry(id) }
