package operatorapi

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/advisories"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// ImportAdvisories stores documents of OSV.
func (a *API) ImportAdvisories(ctx context.Context, in *operatormodel.ImportAdvisoriesInput) (*operatormodel.ImportAdvisoriesOutput, error) {
	documents := make([][]byte, len(in.Documents))
	for i, text := range in.Documents {
		documents[i] = []byte(text)
	}
	result, err := a.c.Advisories.Import(ctx, documents)
	if err != nil {
		return nil, err
	}
	out := &operatormodel.ImportAdvisoriesOutput{
		Imported: int64(result.Imported), Unchanged: int64(result.Unchanged), Withdrawn: int64(result.Withdrawn), Ignored: int64(result.Ignored), Refused: []operatormodel.RefusedAdvisory{},
	}
	for _, i := range slices.Sorted(maps.Keys(result.Refused)) {
		out.Refused = append(out.Refused, operatormodel.RefusedAdvisory{Index: int64(i), Reason: result.Refused[i]})
	}
	return out, nil
}

// DeleteAdvisories removes advisories.
func (a *API) DeleteAdvisories(ctx context.Context, in *operatormodel.DeleteAdvisoriesInput) (*operatormodel.DeleteAdvisoriesOutput, error) {
	n, err := a.c.Advisories.Delete(ctx, in.AdvisoryIDs)
	if err != nil {
		return nil, err
	}
	return &operatormodel.DeleteAdvisoriesOutput{Deleted: int64(n)}, nil
}

// ListAdvisories returns a page of what is known about a package.
func (a *API) ListAdvisories(ctx context.Context, in *operatormodel.ListAdvisoriesInput) (*operatormodel.ListAdvisoriesOutput, error) {
	id := packageID(in.Format, in.Namespace, in.Package)
	scope := pagetoken.NewScope("ListAdvisories", id.String())
	from, err := offset(scope, "ListAdvisories", in.NextToken)
	if err != nil {
		return nil, err
	}
	about, all, err := a.c.Advisories.List(ctx, id)
	if err != nil {
		return nil, err
	}
	page, next := pageOf(about, from, pageSize(in.MaxResults))
	out := &operatormodel.ListAdvisoriesOutput{Advisories: []operatormodel.Advisory{}, TotalCount: int64(all), NextToken: scope.Next(next > 0, strconv.Itoa(next))}
	for _, known := range page {
		out.Advisories = append(out.Advisories, operatorAdvisory(known))
	}
	return out, nil
}

// RefreshAdvisories asks the addresses of the configuration for what is new.
func (a *API) RefreshAdvisories(ctx context.Context, _ *operatormodel.RefreshAdvisoriesInput) (*operatormodel.RefreshAdvisoriesOutput, error) {
	before, err := a.c.Advisories.Refresh(ctx)
	if err != nil {
		return nil, err
	}
	return &operatormodel.RefreshAdvisoriesOutput{Sources: advisorySources(before)}, nil
}

// ListAdvisorySources returns how the addresses are.
func (a *API) ListAdvisorySources(ctx context.Context, _ *operatormodel.ListAdvisorySourcesInput) (*operatormodel.ListAdvisorySourcesOutput, error) {
	states, err := a.c.Advisories.Sources(ctx)
	if err != nil {
		return nil, err
	}
	return &operatormodel.ListAdvisorySourcesOutput{Sources: advisorySources(states)}, nil
}

func advisorySources(states []advisories.SourceState) []operatormodel.AdvisorySource {
	out := []operatormodel.AdvisorySource{}
	for _, s := range states {
		out = append(out, operatormodel.AdvisorySource{
			Name: s.Name, URL: s.URL, Runs: s.Runs,
			CheckedAt: optional.Time(s.Checked), ChangedAt: optional.Time(s.Changed), FailedAt: optional.Time(s.Failed), Failure: optional.Text(s.Failure),
			Imported: int64(s.Last.Imported), Unchanged: int64(s.Last.Unchanged), Withdrawn: int64(s.Last.Withdrawn), Ignored: int64(s.Last.Ignored), Refused: int64(s.Refused),
		})
	}
	return out
}

func operatorAdvisory(a *packages.Advisory) operatormodel.Advisory {
	out := operatormodel.Advisory{
		AdvisoryID: a.ID, Aliases: a.Aliases, Summary: a.Summary, Severity: a.Severity.String(), Malware: a.Malware, URL: optional.Text(a.URL),
		ModifiedAt: optional.Time(a.Modified), Affected: append([]string{}, a.Versions...),
	}
	if out.Severity == "" {
		out.Severity = "unknown"
	}
	for _, r := range a.Ranges {
		out.Affected = append(out.Affected, r.String())
	}
	return out
}
