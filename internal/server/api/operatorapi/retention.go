package operatorapi

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// PutRetentionRules sets the retention rules of a repository.
func (a *API) PutRetentionRules(ctx context.Context, in *operatormodel.PutRetentionRulesInput) (*operatormodel.PutRetentionRulesOutput, error) {
	change := packages.RetentionChange{Document: optional.Value(in.Document), SetLists: map[string]string{}, DropLists: in.DropLockLists}
	for _, l := range in.LockLists {
		if _, twice := change.SetLists[l.Name]; twice {
			return nil, fault.New(fault.Invalid, "InvalidParameter", "The lock list %q is in the request twice.", l.Name)
		}
		change.SetLists[l.Name] = l.Text
	}
	rules, err := a.c.Packages.PutRetentionRules(ctx, repositoryID(ctx, in.RepositoryName), change)
	if err != nil {
		return nil, err
	}
	return &operatormodel.PutRetentionRulesOutput{Rules: retentionRules(rules)}, nil
}

// GetRetentionRules returns the retention rules of a repository.
func (a *API) GetRetentionRules(ctx context.Context, in *operatormodel.GetRetentionRulesInput) (*operatormodel.GetRetentionRulesOutput, error) {
	rules, err := a.c.Packages.GetRetentionRules(ctx, repositoryID(ctx, in.RepositoryName))
	if err != nil {
		return nil, err
	}
	return &operatormodel.GetRetentionRulesOutput{Rules: retentionRules(rules)}, nil
}

func retentionRules(r packages.RetentionRules) operatormodel.RetentionRules {
	out := operatormodel.RetentionRules{Document: r.Document, LockLists: []operatormodel.LockList{}, Revision: r.Revision, ChangedAt: r.Changed, ChangedBy: r.ChangedBy}
	for _, name := range slices.Sorted(maps.Keys(r.LockLists)) {
		out.LockLists = append(out.LockLists, operatormodel.LockList{Name: name, Text: r.LockLists[name]})
	}
	return out
}

// DeleteRetentionRules removes the retention rules of a repository.
func (a *API) DeleteRetentionRules(ctx context.Context, in *operatormodel.DeleteRetentionRulesInput) (*operatormodel.DeleteRetentionRulesOutput, error) {
	return new(operatormodel.DeleteRetentionRulesOutput), a.c.Packages.DeleteRetentionRules(ctx, repositoryID(ctx, in.RepositoryName))
}

// PreviewRetention returns a page of what the rules decide, and changes nothing.
func (a *API) PreviewRetention(ctx context.Context, in *operatormodel.PreviewRetentionInput) (*operatormodel.PreviewRetentionOutput, error) {
	repo := repositoryID(ctx, in.RepositoryName)
	scope := pagetoken.NewScope("PreviewRetention", repo.ARN(), optional.Value(in.Document))
	cursor, err := scope.Cursor(in.NextToken, 4)
	if err != nil {
		return nil, invalidToken("PreviewRetention")
	}
	from := packages.PreviewCursor{Package: packages.PackageID{Format: packages.Format(cursor[0]), Namespace: cursor[1], Name: cursor[2]}}
	if in.NextToken != nil {
		if from.Skip, err = strconv.Atoi(cursor[3]); err != nil || from.Skip < 0 {
			return nil, invalidToken("PreviewRetention")
		}
	}
	page, err := a.c.Packages.PreviewRetention(ctx, repo, optional.Value(in.Document), from, pageSize(in.MaxResults))
	if err != nil {
		return nil, err
	}
	out := &operatormodel.PreviewRetentionOutput{Verdicts: []operatormodel.RetentionVerdict{}, VersionCount: page.Versions, MaxShare: page.MaxShare}
	for i := range page.Verdicts {
		out.Verdicts = append(out.Verdicts, retentionVerdict(&page.Verdicts[i]))
	}
	if n := page.Next; n != nil {
		out.NextToken = scope.Next(true, string(n.Package.Format), n.Package.Namespace, n.Package.Name, strconv.Itoa(n.Skip))
	}
	return out, nil
}

func retentionVerdict(v *packages.RetentionVerdict) operatormodel.RetentionVerdict {
	return operatormodel.RetentionVerdict{
		Format: string(v.Package.Format), Namespace: optional.Text(v.Package.Namespace), Package: v.Package.Name,
		Version: v.Version, Status: string(v.Status), PublishedAt: v.Published, Removed: v.Protection.Kind == "",
		Rule: v.Rule, Reason: v.Reason, Protection: optional.Text(string(v.Protection.Kind)), ProtectedBy: optional.Text(v.Protection.By),
	}
}

// RunRetention begins to apply the rules.
func (a *API) RunRetention(ctx context.Context, in *operatormodel.RunRetentionInput) (*operatormodel.RunRetentionOutput, error) {
	run, err := a.c.Packages.RunRetention(ctx, repositoryID(ctx, in.RepositoryName), optional.Value(in.MaxShare))
	if err != nil {
		return nil, err
	}
	return &operatormodel.RunRetentionOutput{Run: retentionRun(&run)}, nil
}

// ListRetentionRuns returns a page of the runs of a repository, or one run.
func (a *API) ListRetentionRuns(ctx context.Context, in *operatormodel.ListRetentionRunsInput) (*operatormodel.ListRetentionRunsOutput, error) {
	repo := repositoryID(ctx, in.RepositoryName)
	if in.RunID != nil {
		run, err := a.c.Packages.GetRetentionRun(ctx, repo, *in.RunID)
		if err != nil {
			return nil, err
		}
		return &operatormodel.ListRetentionRunsOutput{Runs: []operatormodel.RetentionRun{retentionRun(&run)}}, nil
	}
	scope := pagetoken.NewScope("ListRetentionRuns", repo.ARN())
	cursor, err := scope.Cursor(in.NextToken, 2)
	if err != nil {
		return nil, invalidToken("ListRetentionRuns")
	}
	var after packages.RetentionRun
	if in.NextToken != nil {
		created, err := strconv.ParseInt(cursor[0], 10, 64)
		if err != nil {
			return nil, invalidToken("ListRetentionRuns")
		}
		after = packages.RetentionRun{ID: cursor[1], Created: time.UnixMicro(created)}
	}
	page, more, err := a.c.Packages.ListRetentionRuns(ctx, repo, after, pageSize(in.MaxResults))
	if err != nil {
		return nil, err
	}
	out := &operatormodel.ListRetentionRunsOutput{Runs: []operatormodel.RetentionRun{}}
	for i := range page {
		out.Runs = append(out.Runs, retentionRun(&page[i]))
		out.NextToken = scope.Next(more, strconv.FormatInt(page[i].Created.UnixMicro(), 10), page[i].ID)
	}
	return out, nil
}

// UndoRetention begins to restore what a run has removed.
func (a *API) UndoRetention(ctx context.Context, in *operatormodel.UndoRetentionInput) (*operatormodel.UndoRetentionOutput, error) {
	run, err := a.c.Packages.UndoRetention(ctx, repositoryID(ctx, in.RepositoryName), in.RunID)
	if err != nil {
		return nil, err
	}
	return &operatormodel.UndoRetentionOutput{Run: retentionRun(&run)}, nil
}

func retentionRun(r *packages.RetentionRun) operatormodel.RetentionRun {
	return operatormodel.RetentionRun{
		RunID: r.ID, State: string(r.State), StartedBy: optional.Text(r.StartedBy), CreatedAt: r.Created, FinishedAt: optional.Time(r.Finished), UndoUntil: optional.Time(r.UndoUntil),
		VersionCount: r.Versions, Removed: r.Removed, Restored: r.Restored, Message: optional.Text(r.Message),
	}
}
