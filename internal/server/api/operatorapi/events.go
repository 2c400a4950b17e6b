package operatorapi

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
)

// ListEvents returns a page of the log of events, and waits for an event if the caller
// wants that.
func (a *API) ListEvents(ctx context.Context, in *operatormodel.ListEventsInput) (*operatormodel.ListEventsOutput, error) {
	q := events.Query{
		Filter: events.Filter{Sources: in.Sources, DetailTypes: in.DetailTypes, Accounts: in.Accounts, Domains: in.Domains, Repositories: in.Repositories},
		Limit:  defaultPage, Wait: time.Duration(optional.Value(in.WaitSeconds)) * time.Second,
	}
	if in.MaxResults != nil {
		q.Limit = int(*in.MaxResults)
	}
	scope := eventsScope(in)
	cursor, err := scope.Cursor(in.NextToken, 2) // the number, and q.Since in microseconds
	if err != nil {
		return nil, fault.New(fault.Invalid, "InvalidParameter", "The nextToken is not one that ListEvents returned for the same lists.")
	}
	var since int64
	switch {
	case in.NextToken != nil:
		q.After, _ = strconv.ParseInt(cursor[0], 10, 64) // 0 in a token that a client made up
		since, _ = strconv.ParseInt(cursor[1], 10, 64)
	case in.SinceSeconds != nil:
		since = a.c.Now().Add(-time.Duration(*in.SinceSeconds) * time.Second).UnixMicro()
	}
	q.Since = time.UnixMicro(since)
	found, next, err := a.c.Installation.ListEvents(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &operatormodel.ListEventsOutput{
		NextToken: scope.Token(strconv.FormatInt(next, 10), strconv.FormatInt(since, 10)),
		More:      len(found) == q.Limit,
	}
	for _, e := range found {
		out.Events = append(out.Events, operatormodel.EventItem{Number: e.Number, Event: e.Body})
	}
	return out, nil
}

// eventsScope is the scope of a list of events.
func eventsScope(in *operatormodel.ListEventsInput) pagetoken.Scope {
	var lists []string
	for _, list := range [][]string{in.Sources, in.DetailTypes, in.Accounts, in.Domains, in.Repositories} {
		lists = append(lists, strings.Join(list, "\x00"))
	}
	return pagetoken.NewScope("ListEvents", lists...)
}
