package operatorapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
)

// write writes an event at a time before now.
func (f *fixture) write(name, source string, ago time.Duration) {
	f.t.Helper()
	err := f.DB.Tx(f.t.Context(), func(tx *db.Tx) error {
		return f.events.Write(f.t.Context(), tx, events.Event{Source: source, DetailType: "Test", Account: iamtest.Account, Time: f.Now().Add(-ago), Detail: name, Repository: "r"})
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// details returns the details of the events on all pages.
func (f *fixture) details(in *operatormodel.ListEventsInput) (all []string) {
	f.t.Helper()
	for {
		page, err := f.admin().ListEvents(f.t.Context(), in)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, e := range page.Events {
			var detail struct{ Detail string }
			if err := json.Unmarshal([]byte(e.Event), &detail); err != nil {
				f.t.Fatal(err)
			}
			all = append(all, detail.Detail)
		}
		in.NextToken = &page.NextToken
		if !page.More {
			return all
		}
	}
}

func TestListEvents(t *testing.T) {
	f := serve(t)
	f.write("old", "aws.ecr", time.Hour)
	for i := range 5 {
		f.write(fmt.Sprint(i), "aws.codeartifact", time.Minute)
	}
	f.write("image", "aws.ecr", 0)
	for name, c := range map[string]struct {
		in   operatormodel.ListEventsInput
		want string
	}{
		"all":              {operatormodel.ListEventsInput{}, "[old 0 1 2 3 4 image]"},
		"pages":            {operatormodel.ListEventsInput{MaxResults: aws.Int32(2)}, "[old 0 1 2 3 4 image]"},
		"since":            {operatormodel.ListEventsInput{SinceSeconds: aws.Int64(600), MaxResults: aws.Int32(2)}, "[0 1 2 3 4 image]"},
		"source":           {operatormodel.ListEventsInput{Sources: []string{"aws.ecr"}, MaxResults: aws.Int32(1)}, "[old image]"},
		"several":          {operatormodel.ListEventsInput{Sources: []string{"aws.ecr", "aws.codeartifact"}, Repositories: []string{"r"}, SinceSeconds: aws.Int64(600)}, "[0 1 2 3 4 image]"},
		"another domain":   {operatormodel.ListEventsInput{Domains: []string{"d"}}, "[]"},
		"another account":  {operatormodel.ListEventsInput{Accounts: []string{"999999999999"}}, "[]"},
		"the kind of them": {operatormodel.ListEventsInput{DetailTypes: []string{"Test"}, SinceSeconds: aws.Int64(30)}, "[image]"},
	} {
		if got := fmt.Sprint(f.details(&c.in)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// A list goes on with what is new, and waits for it.
func TestListEvents_Wait(t *testing.T) {
	f := serve(t)
	f.write("one", "aws.ecr", 0)
	in := &operatormodel.ListEventsInput{SinceSeconds: aws.Int64(60)}
	if got := fmt.Sprint(f.details(in)); got != "[one]" {
		t.Fatal(got)
	}
	in.WaitSeconds = aws.Int32(20)
	got := make(chan string, 1)
	go func() { got <- fmt.Sprint(f.details(in)) }()
	f.write("two", "aws.ecr", 0)
	if got := <-got; got != "[two]" {
		t.Errorf("%s, want two", got)
	}

	// Nobody waits while the server shuts down.
	f.events.StopWaiting()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if page, err := f.admin().ListEvents(ctx, in); err != nil || len(page.Events) > 0 {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestListEvents_Refused(t *testing.T) {
	f := serve(t)
	_, err := f.user("nobody", `{"Effect":"Allow","Action":"gatehouse:ListWork","Resource":"*"}`).ListEvents(t.Context(), &operatormodel.ListEventsInput{})
	wantCode(t, err, "AccessDeniedException")
	reader := f.user("reader", `{"Effect":"Allow","Action":"gatehouse:ListEvents","Resource":"arn:aws:gatehouse:*:`+iamtest.Account+`:event/*"}`)
	page, err := reader.ListEvents(t.Context(), &operatormodel.ListEventsInput{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = reader.ListEvents(t.Context(), &operatormodel.ListEventsInput{NextToken: &page.NextToken, Sources: []string{"aws.ecr"}})
	wantCode(t, err, "InvalidParameterException")
	_, err = reader.ListEvents(t.Context(), &operatormodel.ListEventsInput{WaitSeconds: aws.Int32(21)})
	wantCode(t, err, "ValidationException")
}
