package packages

import "slices"

// An OriginType is a way in which versions come into a repository, for the restrictions
// of package groups.
type OriginType string

// The origin types.
const (
	// ByPublish is checked in the repository to which a version is published.
	ByPublish OriginType = "PUBLISH"
	// ByExternalUpstream is checked in the repository with the external connection.
	ByExternalUpstream OriginType = "EXTERNAL_UPSTREAM"
	// ByInternalUpstream is checked in the repository that would keep a version of
	// another repository of the domain: the one that a client asks.
	ByInternalUpstream OriginType = "INTERNAL_UPSTREAM"
)

var originTypes = []OriginType{ByPublish, ByExternalUpstream, ByInternalUpstream}

// An OriginMode says which repositories an origin restriction allows.
type OriginMode string

// The modes.
const (
	AllowAll      OriginMode = "ALLOW"
	AllowSpecific OriginMode = "ALLOW_SPECIFIC_REPOSITORIES"
	BlockAll      OriginMode = "BLOCK"
	// Inherit takes the mode and the repositories of the parent. New groups have it.
	Inherit OriginMode = "INHERIT"
)

// blockingGroup returns the group that keeps versions of the package from coming into the
// repository in this way, or nil. A package that its group's pattern matches only weakly
// comes into no repository: it may be made to be taken for another one.
func (d *domain) blockingGroup(t OriginType, r *repository, id PackageID) (g *group, weak bool) {
	if d == nil || d.groups.Len() == 0 {
		return nil, false
	}
	g, strong := d.associate(id)
	if !strong {
		return g, true
	}
	from := d.effectiveGroup(g, t)
	rule := from.restriction(t)
	if rule.Mode == BlockAll || rule.Mode == AllowSpecific && !slices.Contains(rule.Repositories, r.row) {
		return from, false
	}
	return nil, false
}

// restrictsOrigin reports whether the package's group restricts anything.
func (d *domain) restrictsOrigin(id PackageID) bool {
	if d == nil || d.groups.Len() == 0 {
		return false
	}
	g, strong := d.associate(id)
	return !strong || slices.ContainsFunc(originTypes, func(t OriginType) bool {
		mode := d.effectiveGroup(g, t).restriction(t).Mode
		return mode == BlockAll || mode == AllowSpecific
	})
}

// newOrigin returns the origin configuration of a package that a first version creates.
// It is the given one, so that a package has one origin, unless the package's group
// restricts origins already (CodeArtifact User Guide, "Package group origin controls").
func (d *domain) newOrigin(id PackageID, ungrouped Origin) Origin {
	if d.restrictsOrigin(id) {
		return Origin{Publish: Allow, Upstream: Allow}
	}
	return ungrouped
}

// seesUpstream reports whether clients of the repository see versions of the package that
// are in its upstreams, as far as its format and its group decide.
func (d *domain) seesUpstream(r *repository, id PackageID) bool {
	if id.Format.rules().ownOnly {
		return false
	}
	blocking, _ := d.blockingGroup(ByInternalUpstream, r, id)
	return blocking == nil
}

// publishBlocked is the fault of a publication that a package group forbids, or nil.
func (d *domain) publishBlocked(r *repository, id PackageID) error {
	g, weak := d.blockingGroup(ByPublish, r, id)
	switch {
	case g == nil:
		return nil
	case weak:
		return conflict(typePackage, id.Name, "The name of %s resembles the packages of the package group %s without being one of them, so it cannot be published. Use another name, or create a package group for it.", id, g.pattern)
	}
	return conflict(typePackage, id.Name, "The package group %s blocks publishing %s to repository %s. UpdatePackageGroupOriginConfiguration can allow it.", g.pattern, id, r.id.Name)
}
