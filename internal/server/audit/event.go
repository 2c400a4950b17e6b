package audit

import (
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/randid"
)

// ServiceEvent is the record of what the server did by itself, without a request:
// CloudTrail's event type of that name. name says what, in the form of an
// operation's name; params holds no secret.
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
