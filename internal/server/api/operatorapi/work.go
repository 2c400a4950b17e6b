package operatorapi

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/work"
)

// defaultPage is the length of a page if the request does not say it.
const defaultPage = 100

// ListWork returns a page of the work queue.
func (a *API) ListWork(ctx context.Context, in *operatormodel.ListWorkInput) (*operatormodel.ListWorkOutput, error) {
	filter := work.Filter{State: work.State(optional.Value(in.State)), Kind: optional.Value(in.Kind)}
	scope := pagetoken.NewScope("ListWork", string(filter.State), filter.Kind)
	cursor, err := scope.Cursor(in.NextToken, 1)
	if err != nil {
		return nil, fault.New(fault.Invalid, "InvalidParameter", "The nextToken is not one that ListWork returned for the same state and kind.")
	}
	limit := defaultPage
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	items, err := a.c.Installation.ListWork(ctx, filter, cursor[0], limit+1)
	if err != nil {
		return nil, err
	}
	out := new(operatormodel.ListWorkOutput)
	if len(items) > limit {
		items = items[:limit]
		out.NextToken = scope.Next(true, items[limit-1].ID)
	}
	for i := range items {
		out.Work = append(out.Work, workItem(&items[i]))
	}
	return out, nil
}

func workItem(i *work.Item) operatormodel.WorkItem {
	return operatormodel.WorkItem{
		ID: i.ID, Kind: i.Kind, Key: optional.Text(i.Key), State: string(i.State), RunAt: i.RunAt, CreatedAt: i.Created, Attempts: int64(i.Attempts),
		Server: optional.Text(i.Server), StartedAt: optional.Time(i.Started), FinishedAt: optional.Time(i.Finished), LastError: optional.Text(i.LastError),
	}
}

// RetryWork makes a job, or all failed jobs of a kind, due now.
func (a *API) RetryWork(ctx context.Context, in *operatormodel.RetryWorkInput) (*operatormodel.RetryWorkOutput, error) {
	switch {
	case (in.ID == nil) == (in.Kind == nil):
		return nil, fault.New(fault.Invalid, "InvalidParameter", "RetryWork needs either the id of a job or a kind of work.")
	case in.ID != nil:
		return &operatormodel.RetryWorkOutput{Retried: 1}, a.c.Installation.RetryWork(ctx, *in.ID)
	}
	n, err := a.c.Installation.RetryFailedWork(ctx, *in.Kind)
	return &operatormodel.RetryWorkOutput{Retried: n}, err
}
