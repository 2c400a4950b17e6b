package codeartifactapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func groupID(ctx context.Context, domain, owner, pattern *string) packages.GroupID {
	return packages.GroupID{Domain: domainID(ctx, domain, owner), Pattern: text(pattern)}
}

// CreatePackageGroup creates a package group.
func (a *API) CreatePackageGroup(ctx context.Context, in *codeartifact.CreatePackageGroupInput) (*codeartifact.CreatePackageGroupOutput, error) {
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	g, err := a.packages.CreateGroup(ctx, packages.NewGroup{
		ID: groupID(ctx, in.Domain, in.DomainOwner, in.PackageGroup), Contact: text(in.ContactInfo), Description: text(in.Description), Tags: tags,
	})
	if err != nil {
		return nil, err
	}
	return &codeartifact.CreatePackageGroupOutput{PackageGroup: groupDescription(g)}, nil
}

// DescribePackageGroup describes a package group with its effective restrictions.
func (a *API) DescribePackageGroup(ctx context.Context, in *codeartifact.DescribePackageGroupInput) (*codeartifact.DescribePackageGroupOutput, error) {
	g, err := a.packages.DescribeGroup(ctx, groupID(ctx, in.Domain, in.DomainOwner, in.PackageGroup))
	if err != nil {
		return nil, err
	}
	return &codeartifact.DescribePackageGroupOutput{PackageGroup: groupDescription(g)}, nil
}

// UpdatePackageGroup changes the contact and the description. A field that the request
// does not have is left as it is.
func (a *API) UpdatePackageGroup(ctx context.Context, in *codeartifact.UpdatePackageGroupInput) (*codeartifact.UpdatePackageGroupOutput, error) {
	g, err := a.packages.UpdateGroup(ctx, groupID(ctx, in.Domain, in.DomainOwner, in.PackageGroup), packages.GroupUpdate{Contact: in.ContactInfo, Description: in.Description})
	if err != nil {
		return nil, err
	}
	return &codeartifact.UpdatePackageGroupOutput{PackageGroup: groupDescription(g)}, nil
}

// DeletePackageGroup deletes a package group.
func (a *API) DeletePackageGroup(ctx context.Context, in *codeartifact.DeletePackageGroupInput) (*codeartifact.DeletePackageGroupOutput, error) {
	g, err := a.packages.DeleteGroup(ctx, groupID(ctx, in.Domain, in.DomainOwner, in.PackageGroup))
	if err != nil {
		return nil, err
	}
	return &codeartifact.DeletePackageGroupOutput{PackageGroup: groupDescription(g)}, nil
}

// ListPackageGroups lists the package groups of a domain, by pattern.
func (a *API) ListPackageGroups(ctx context.Context, in *codeartifact.ListPackageGroupsInput) (*codeartifact.ListPackageGroupsOutput, error) {
	domain := domainID(ctx, in.Domain, in.DomainOwner)
	list := pagetoken.NewScope("ListPackageGroups", domain.ARN(), text(in.Prefix))
	after, err := cursor(list, in.NextToken, 1)
	if err != nil {
		return nil, err
	}
	page, more, err := a.packages.ListGroups(ctx, domain, text(in.Prefix), after[0], limit(in.MaxResults))
	if err != nil {
		return nil, err
	}
	out := &codeartifact.ListPackageGroupsOutput{PackageGroups: groupSummaries(page)}
	if more {
		out.NextToken = list.Next(more, page[len(page)-1].ID.Pattern)
	}
	return out, nil
}

// ListSubPackageGroups lists the groups whose parent a group is.
func (a *API) ListSubPackageGroups(ctx context.Context, in *codeartifact.ListSubPackageGroupsInput) (*codeartifact.ListSubPackageGroupsOutput, error) {
	group := groupID(ctx, in.Domain, in.DomainOwner, in.PackageGroup)
	list := pagetoken.NewScope("ListSubPackageGroups", group.ARN())
	after, err := cursor(list, in.NextToken, 1)
	if err != nil {
		return nil, err
	}
	page, more, err := a.packages.ListSubGroups(ctx, group, after[0], limit(in.MaxResults))
	if err != nil {
		return nil, err
	}
	out := &codeartifact.ListSubPackageGroupsOutput{PackageGroups: groupSummaries(page)}
	if more {
		out.NextToken = list.Next(more, page[len(page)-1].ID.Pattern)
	}
	return out, nil
}

// ListAssociatedPackages lists the packages that belong to a group or, as a preview, that
// would belong to it. A page may be short before the last one.
func (a *API) ListAssociatedPackages(ctx context.Context, in *codeartifact.ListAssociatedPackagesInput) (*codeartifact.ListAssociatedPackagesOutput, error) {
	group := groupID(ctx, in.Domain, in.DomainOwner, in.PackageGroup)
	mode, associated := "associated", a.packages.AssociatedPackages
	if in.Preview != nil && *in.Preview {
		mode, associated = "preview", a.packages.PreviewAssociatedPackages
	}
	list := pagetoken.NewScope("ListAssociatedPackages", group.ARN(), mode)
	p, err := cursor(list, in.NextToken, 3)
	if err != nil {
		return nil, err
	}
	page, next, err := associated(ctx, group, packages.PackageID{Format: packages.Format(p[0]), Namespace: p[1], Name: p[2]}, limit(in.MaxResults))
	if err != nil {
		return nil, err
	}
	out := &codeartifact.ListAssociatedPackagesOutput{Packages: []types.AssociatedPackage{}}
	for _, p := range page {
		out.Packages = append(out.Packages, types.AssociatedPackage{
			Format: types.PackageFormat(p.ID.Format), Namespace: optional.Text(p.ID.Namespace), Package: &p.ID.Name, AssociationType: association(p.Strong),
		})
	}
	if next != nil {
		out.NextToken = list.Next(true, string(next.Format), next.Namespace, next.Name)
	}
	return out, nil
}

func association(strong bool) types.PackageGroupAssociationType {
	if strong {
		return types.PackageGroupAssociationTypeStrong
	}
	return types.PackageGroupAssociationTypeWeak
}

// GetAssociatedPackageGroup returns the group of a package, which need not exist.
func (a *API) GetAssociatedPackageGroup(ctx context.Context, in *codeartifact.GetAssociatedPackageGroupInput) (*codeartifact.GetAssociatedPackageGroupOutput, error) {
	g, strong, err := a.packages.GroupOf(ctx, domainID(ctx, in.Domain, in.DomainOwner), packageID(in.Format, in.Namespace, in.Package))
	if err != nil {
		return nil, err
	}
	return &codeartifact.GetAssociatedPackageGroupOutput{PackageGroup: groupDescription(g), AssociationType: association(strong)}, nil
}

// ListAllowedRepositoriesForGroup lists the repositories that a group itself allows for
// an origin, by name.
func (a *API) ListAllowedRepositoriesForGroup(ctx context.Context, in *codeartifact.ListAllowedRepositoriesForGroupInput) (*codeartifact.ListAllowedRepositoriesForGroupOutput, error) {
	group := groupID(ctx, in.Domain, in.DomainOwner, in.PackageGroup)
	list := pagetoken.NewScope("ListAllowedRepositoriesForGroup", group.ARN(), string(in.OriginRestrictionType))
	after, err := cursor(list, in.NextToken, 1)
	if err != nil {
		return nil, err
	}
	page, more, err := a.packages.AllowedRepositories(ctx, group, packages.OriginType(in.OriginRestrictionType), after[0], limit(in.MaxResults))
	if err != nil {
		return nil, err
	}
	out := &codeartifact.ListAllowedRepositoriesForGroupOutput{AllowedRepositories: page}
	if more {
		out.NextToken = list.Next(more, page[len(page)-1])
	}
	return out, nil
}

// UpdatePackageGroupOriginConfiguration changes the restrictions of a group and the
// repositories that it allows.
func (a *API) UpdatePackageGroupOriginConfiguration(ctx context.Context, in *codeartifact.UpdatePackageGroupOriginConfigurationInput) (*codeartifact.UpdatePackageGroupOriginConfigurationOutput, error) {
	u := packages.OriginUpdate{
		Modes: map[packages.OriginType]packages.OriginMode{}, Add: repositoryLists(in.AddAllowedRepositories), Remove: repositoryLists(in.RemoveAllowedRepositories),
	}
	for t, mode := range in.Restrictions {
		u.Modes[packages.OriginType(t)] = packages.OriginMode(mode)
	}
	g, change, err := a.packages.UpdateGroupOrigin(ctx, groupID(ctx, in.Domain, in.DomainOwner, in.PackageGroup), u)
	if err != nil {
		return nil, err
	}
	out := &codeartifact.UpdatePackageGroupOriginConfigurationOutput{PackageGroup: groupDescription(g), AllowedRepositoryUpdates: map[string]map[string][]string{}}
	for kind, lists := range map[types.PackageGroupAllowedRepositoryUpdateType]map[packages.OriginType][]string{
		types.PackageGroupAllowedRepositoryUpdateTypeAdded: change.Added, types.PackageGroupAllowedRepositoryUpdateTypeRemoved: change.Removed,
	} {
		for t, names := range lists {
			if out.AllowedRepositoryUpdates[string(t)] == nil {
				out.AllowedRepositoryUpdates[string(t)] = map[string][]string{}
			}
			out.AllowedRepositoryUpdates[string(t)][string(kind)] = names
		}
	}
	return out, nil
}

func repositoryLists(in []types.PackageGroupAllowedRepository) map[packages.OriginType][]string {
	out := map[packages.OriginType][]string{}
	for _, r := range in {
		t := packages.OriginType(r.OriginRestrictionType)
		out[t] = append(out[t], text(r.RepositoryName))
	}
	return out
}

func groupDescription(g packages.PackageGroup) *types.PackageGroupDescription {
	d := groupSummary(g)
	return (*types.PackageGroupDescription)(&d)
}

func groupSummaries(page []packages.PackageGroup) []types.PackageGroupSummary {
	out := make([]types.PackageGroupSummary, len(page))
	for i, g := range page {
		out[i] = groupSummary(g)
	}
	return out
}

func groupSummary(g packages.PackageGroup) types.PackageGroupSummary {
	arn := g.ID.ARN()
	origin := &types.PackageGroupOriginConfiguration{Restrictions: map[string]types.PackageGroupOriginRestriction{}}
	for t, r := range g.Restrictions {
		count := int64(r.Repositories)
		origin.Restrictions[string(t)] = types.PackageGroupOriginRestriction{
			Mode: types.PackageGroupOriginRestrictionMode(r.Mode), EffectiveMode: types.PackageGroupOriginRestrictionMode(r.Effective),
			InheritedFrom: groupReference(g.ID.Domain, r.InheritedFrom), RepositoriesCount: &count,
		}
	}
	return types.PackageGroupSummary{
		Arn: &arn, Pattern: &g.ID.Pattern, DomainName: &g.ID.Domain.Name, DomainOwner: &g.ID.Domain.Owner, CreatedTime: &g.Created,
		ContactInfo: optional.Text(g.Contact), Description: optional.Text(g.Description), OriginConfiguration: origin, Parent: groupReference(g.ID.Domain, g.Parent),
	}
}

// groupReference is nil if there is no pattern.
func groupReference(domain packages.DomainID, pattern string) *types.PackageGroupReference {
	if pattern == "" {
		return nil
	}
	arn := packages.GroupID{Domain: domain, Pattern: pattern}.ARN()
	return &types.PackageGroupReference{Arn: &arn, Pattern: &pattern}
}
