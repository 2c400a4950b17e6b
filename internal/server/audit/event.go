package audit

import (
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
)

// ServiceEvent returns the record of an action that the server took by itself,
// without a request: CloudTrail's AwsServiceEvent. name has the form of an
// operation's name; params must contain no secret.
func ServiceEvent(source, name, resourceARN string, params any, at time.Time) *Record {
	account := ""
	if a, err := arn.Parse(resourceARN); err == nil {
		account = a.AccountID
	}
	return &Record{
		EventVersion:       "1.11",
		UserIdentity:       UserIdentity{Type: "AWSService", AccountID: account},
		EventTime:          at.UTC().Format(time.RFC3339),
		EventSource:        source + ".amazonaws.com",
		EventName:          name,
		RequestParameters:  params,
		EventID:            randid.UUID(),
		Resources:          []Resource{{ARN: resourceARN, AccountID: account}},
		EventType:          "AwsServiceEvent",
		ManagementEvent:    true,
		RecipientAccountID: account,
		EventCategory:      "Management",
	}
}

// ServiceExecution returns the record of an action that AWS documents as one that a service
// takes by itself, with the details in serviceEventDetails.
func ServiceExecution(source, name, resourceType, resourceARN string, details any, at time.Time) *Record {
	r := ServiceEvent(source, name, resourceARN, nil, at)
	r.UserIdentity.InvokedBy = "AWS Internal"
	r.ReadOnly = true // as CloudTrail has it
	r.Resources[0].Type = resourceType
	r.ServiceEventDetails = details
	return r
}
