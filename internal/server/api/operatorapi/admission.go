package operatorapi

import (
	"context"
	"strconv"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// PutAdmissionException suspends rules about versions of a package.
func (a *API) PutAdmissionException(ctx context.Context, in *operatormodel.PutAdmissionExceptionInput) (*operatormodel.PutAdmissionExceptionOutput, error) {
	e, err := a.c.Packages.PutException(ctx, packages.NewEntry{
		Domain: domainID(ctx, in.AdmissionScope), Repository: optional.Value(in.Repository), Package: packageID(in.Format, in.Namespace, in.Package),
		Version: optional.Value(in.Version), Rules: in.Rules, Until: in.Until, Reason: optional.Value(in.Reason),
	})
	if err != nil {
		return nil, err
	}
	return &operatormodel.PutAdmissionExceptionOutput{Entry: admissionEntry(&e)}, nil
}

// PutQuarantine denies versions of a package to everybody.
func (a *API) PutQuarantine(ctx context.Context, in *operatormodel.PutQuarantineInput) (*operatormodel.PutQuarantineOutput, error) {
	e, err := a.c.Packages.PutQuarantine(ctx, packages.NewEntry{
		Domain: domainID(ctx, in.AdmissionScope), Repository: optional.Value(in.Repository), Package: packageID(in.Format, in.Namespace, in.Package),
		Version: optional.Value(in.Version), Reason: optional.Value(in.Reason),
	})
	if err != nil {
		return nil, err
	}
	return &operatormodel.PutQuarantineOutput{Entry: admissionEntry(&e)}, nil
}

// DeleteAdmissionException ends an exception.
func (a *API) DeleteAdmissionException(ctx context.Context, in *operatormodel.DeleteAdmissionExceptionInput) (*operatormodel.DeleteAdmissionExceptionOutput, error) {
	e, err := a.c.Packages.DeleteException(ctx, domainID(ctx, in.AdmissionScope), optional.Value(in.Repository), in.EntryID)
	if err != nil {
		return nil, err
	}
	return &operatormodel.DeleteAdmissionExceptionOutput{Entry: admissionEntry(&e)}, nil
}

// ReleaseQuarantine ends a quarantine.
func (a *API) ReleaseQuarantine(ctx context.Context, in *operatormodel.ReleaseQuarantineInput) (*operatormodel.ReleaseQuarantineOutput, error) {
	e, err := a.c.Packages.ReleaseQuarantine(ctx, domainID(ctx, in.AdmissionScope), optional.Value(in.Repository), in.EntryID)
	if err != nil {
		return nil, err
	}
	return &operatormodel.ReleaseQuarantineOutput{Entry: admissionEntry(&e)}, nil
}

// ListAdmissionEntries returns a page of exceptions and quarantines.
func (a *API) ListAdmissionEntries(ctx context.Context, in *operatormodel.ListAdmissionEntriesInput) (*operatormodel.ListAdmissionEntriesOutput, error) {
	id := domainID(ctx, in.AdmissionScope)
	scope := pagetoken.NewScope("ListAdmissionEntries", id.ARN(), optional.Value(in.Repository))
	from, err := offset(scope, "ListAdmissionEntries", in.NextToken)
	if err != nil {
		return nil, err
	}
	all, err := a.c.Packages.AdmissionEntries(ctx, id, optional.Value(in.Repository))
	if err != nil {
		return nil, err
	}
	page, next := pageOf(all, from, pageSize(in.MaxResults))
	out := &operatormodel.ListAdmissionEntriesOutput{Entries: []operatormodel.AdmissionEntry{}, NextToken: scope.Next(next > 0, strconv.Itoa(next))}
	for i := range page {
		out.Entries = append(out.Entries, admissionEntry(&page[i]))
	}
	return out, nil
}

// ExplainAdmission returns a page of what is decided about the versions of a package.
func (a *API) ExplainAdmission(ctx context.Context, in *operatormodel.ExplainAdmissionInput) (*operatormodel.ExplainAdmissionOutput, error) {
	repo, id := repositoryID(ctx, in.RepositoryName), packageID(in.Format, in.Namespace, in.Package)
	scope := pagetoken.NewScope("ExplainAdmission", repo.PackageARN(id), optional.Value(in.Version))
	from, err := offset(scope, "ExplainAdmission", in.NextToken)
	if err != nil {
		return nil, err
	}
	all, err := a.c.Packages.ExplainAdmission(ctx, repo, id, optional.Value(in.Version))
	if err != nil {
		return nil, err
	}
	page, next := pageOf(all, from, pageSize(in.MaxResults))
	out := &operatormodel.ExplainAdmissionOutput{Verdicts: []operatormodel.AdmissionVerdict{}, NextToken: scope.Next(next > 0, strconv.Itoa(next))}
	for i := range page {
		v := &page[i]
		out.Verdicts = append(out.Verdicts, operatormodel.AdmissionVerdict{
			Version: v.Version, Status: string(v.Status), PublishedAt: optional.Time(v.Published), Outcome: string(v.Outcome), Reason: v.Reason,
		})
	}
	return out, nil
}

// offset is the number of entries before a page, from its token.
func offset(scope pagetoken.Scope, operation string, token *string) (int, error) {
	cursor, err := scope.Cursor(token, 1)
	if err != nil {
		return 0, invalidToken(operation)
	}
	if token == nil {
		return 0, nil
	}
	n, err := strconv.Atoi(cursor[0])
	if err != nil || n < 0 {
		return 0, invalidToken(operation)
	}
	return n, nil
}

// pageOf returns a page of a list, and where the next one begins; 0 if there is none.
func pageOf[T any](all []T, from, size int) (page []T, next int) {
	page = all[min(from, len(all)):]
	if len(page) > size {
		return page[:size], from + size
	}
	return page, 0
}

func admissionEntry(e *packages.AdmissionEntry) operatormodel.AdmissionEntry {
	return operatormodel.AdmissionEntry{
		EntryID: e.ID, Kind: string(e.Kind), Repository: optional.Text(e.Repository), Format: string(e.Package.Format), Namespace: optional.Text(e.Package.Namespace), Package: e.Package.Name,
		Version: optional.Text(e.Version), Rules: e.Rules, Until: optional.Time(e.Until), Reason: optional.Text(e.Reason), CreatedAt: e.Created, CreatedBy: e.CreatedBy,
	}
}

func packageID(format string, namespace *string, name string) packages.PackageID {
	return packages.PackageID{Format: packages.Format(format), Namespace: optional.Value(namespace), Name: name}
}

func domainID(ctx context.Context, scope operatormodel.AdmissionScope) packages.DomainID {
	return repositoryID(ctx, operatormodel.RepositoryName{Domain: scope.Domain, DomainOwner: scope.DomainOwner}).Domain
}
