package packages

import (
	"slices"
	"strings"
)

// TrustedPublisherTag is the key of the tag of a package group that names the roles with
// which CI jobs publish its packages: the ARNs of roles, separated by spaces. A group
// without the tag inherits the one of its parent; an empty tag means none.
const TrustedPublisherTag = "gatehouse:trusted-publisher"

// A TrustedPublisher is a role with which CI jobs publish packages of a domain.
type TrustedPublisher struct {
	Domain   DomainID
	RoleARN  string
	Packages []PackageID
}

// PackagePublishers returns the trusted publishers of a package, which need not exist. A
// package that only looks as if a group meant it has none.
//
// Like [Service.FormatPublishers], it authorizes nothing: no one is authenticated yet, and
// it is the trust policy of the role that decides. A client must not be told the result.
func (s *Service) PackagePublishers(id DomainID, p PackageID) []TrustedPublisher {
	d := s.snapshot.Load().domain(id)
	if d == nil || validPackage(p) != nil {
		return nil
	}
	g, strong := d.associate(p)
	if !strong {
		return nil
	}
	var found []TrustedPublisher
	for _, role := range d.publisherRoles(g) {
		found = append(found, TrustedPublisher{id, role, []PackageID{p.canonical()}})
	}
	return found
}

// FormatPublishers returns the trusted publishers of a format whose protocol does not say
// which package a client wants to publish. Only groups of exactly one package count, so
// that what the publisher gets is a list of packages.
func (s *Service) FormatPublishers(id DomainID, f Format) []TrustedPublisher {
	d := s.snapshot.Load().domain(id)
	if d == nil {
		return nil
	}
	var found []TrustedPublisher
	index := map[string]int{} // role → place in found
	d.allGroups(func(g *group) {
		path, exact := g.pattern.ExactPath()
		if !exact || g.pattern.Format() != string(f) || g.tags[TrustedPublisherTag] == "" {
			return
		}
		p := packageOfPath(path)
		for _, role := range d.publisherRoles(g) {
			i, ok := index[role]
			if !ok {
				i, found = len(found), append(found, TrustedPublisher{Domain: id, RoleARN: role})
				index[role] = i
			}
			found[i].Packages = append(found[i].Packages, p)
		}
	})
	return found
}

// publisherRoles are the roles in the tag of a group, or of the closest group above it
// that has the tag.
func (d *domain) publisherRoles(g *group) []string {
	for ; g != nil; g = d.parentGroup(g.pattern) {
		if value, ok := g.tags[TrustedPublisherTag]; ok {
			roles := strings.Fields(value)
			slices.Sort(roles)
			return slices.Compact(roles)
		}
	}
	return nil
}

// packageOfPath is the inverse of [groupPath].
func packageOfPath(path string) PackageID {
	format, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	namespace, name, _ := strings.Cut(rest, "/")
	return PackageID{Format: Format(format), Namespace: namespace, Name: name}
}
