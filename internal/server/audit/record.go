package audit

import (
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/randid"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// A Record is one event in CloudTrail's form.
type Record struct {
	EventVersion        string              `json:"eventVersion"`
	UserIdentity        UserIdentity        `json:"userIdentity"`
	EventTime           string              `json:"eventTime"`
	EventSource         string              `json:"eventSource"`
	EventName           string              `json:"eventName"`
	AWSRegion           string              `json:"awsRegion,omitempty"`
	SourceIPAddress     string              `json:"sourceIPAddress"`
	UserAgent           string              `json:"userAgent"`
	ErrorCode           string              `json:"errorCode,omitempty"`
	ErrorMessage        string              `json:"errorMessage,omitempty"`
	RequestParameters   any                 `json:"requestParameters"`
	ResponseElements    any                 `json:"responseElements"`
	AdditionalEventData AdditionalEventData `json:"additionalEventData"`
	RequestID           string              `json:"requestID"`
	EventID             string              `json:"eventID"`
	ReadOnly            bool                `json:"readOnly"`
	Resources           []Resource          `json:"resources,omitempty"`
	EventType           string              `json:"eventType"`
	ManagementEvent     bool                `json:"managementEvent"`
	RecipientAccountID  string              `json:"recipientAccountId,omitempty"`
	EventCategory       string              `json:"eventCategory"`
	// ServiceEventDetails is what an AwsServiceEvent is about.
	ServiceEventDetails any `json:"serviceEventDetails,omitempty"`
}

// AdditionalEventData is CloudTrail's element for data of the service's own: here
// the decisions, the status of the answer and how long it took.
type AdditionalEventData struct {
	Decisions      []Decision `json:"decisions,omitempty"`
	HTTPStatus     int        `json:"httpStatus"`
	DurationMicros int64      `json:"durationMicros"`
}

// UserIdentity is CloudTrail's userIdentity element.
type UserIdentity struct {
	Type           string          `json:"type"`
	PrincipalID    string          `json:"principalId,omitempty"`
	ARN            string          `json:"arn,omitempty"`
	AccountID      string          `json:"accountId,omitempty"`
	AccessKeyID    string          `json:"accessKeyId,omitempty"`
	UserName       string          `json:"userName,omitempty"`
	InvokedBy      string          `json:"invokedBy,omitempty"`
	SessionContext *SessionContext `json:"sessionContext,omitempty"`
}

// SessionContext is part of the identity of temporary credentials.
type SessionContext struct {
	SessionIssuer SessionIssuer     `json:"sessionIssuer"`
	Attributes    map[string]string `json:"attributes"`
}

// SessionIssuer is the issuer of temporary credentials.
type SessionIssuer struct {
	Type        string `json:"type,omitempty"`
	PrincipalID string `json:"principalId,omitempty"`
	ARN         string `json:"arn,omitempty"`
	AccountID   string `json:"accountId,omitempty"`
}

// maxText is the length in bytes to which error messages and user agents are
// shortened (AWS CloudTrail User Guide, "CloudTrail record contents").
const maxText = 1 << 10

// Record returns the finished entry's record. status is the HTTP status of the
// answer.
func (e *Entry) Record(status int, now time.Time) *Record {
	r := e.record(status, now) // on the caller's stack, if Record is inlined
	return &r
}

func (e *Entry) record(status int, now time.Time) Record {
	r := Record{
		EventVersion:      "1.11",
		UserIdentity:      userIdentity(e.caller),
		EventTime:         e.Started.UTC().Format(time.RFC3339),
		EventSource:       e.source + ".amazonaws.com",
		EventName:         e.name,
		SourceIPAddress:   e.SourceIP,
		UserAgent:         truncate.Prefix(e.UserAgent, maxText),
		ErrorCode:         e.code,
		ErrorMessage:      truncate.Prefix(e.message, maxText),
		RequestParameters: e.params,
		AdditionalEventData: AdditionalEventData{
			Decisions: e.decisions, HTTPStatus: status, DurationMicros: now.Sub(e.Started).Microseconds(),
		},
		RequestID:       e.ID,
		EventID:         randid.UUID(),
		ReadOnly:        readOnly(e.name),
		Resources:       e.resources,
		EventType:       "AwsApiCall",
		ManagementEvent: true,
		EventCategory:   "Management",
	}
	if e.caller != nil {
		r.AWSRegion, r.RecipientAccountID = e.caller.Region, e.caller.Account
	}
	return r
}

func userIdentity(c *authn.Caller) UserIdentity {
	if c == nil || c.Principal == nil {
		return UserIdentity{Type: "Unknown"}
	}
	id := UserIdentity{PrincipalID: c.UserID, ARN: c.ARN, AccountID: c.Account, AccessKeyID: c.AccessKeyID, UserName: c.Name}
	switch c.Type {
	case authn.Root:
		id.Type = "Root"
	case authn.User:
		id.Type = "IAMUser"
	default:
		id.Type = string(c.Type)
	}
	if c.Temporary() {
		issuer := SessionIssuer{PrincipalID: c.UniqueID, ARN: c.PrincipalARN, AccountID: c.Account}
		if c.Type == authn.AssumedRole {
			issuer.Type = "Role"
		}
		id.SessionContext = &SessionContext{issuer, map[string]string{
			"creationDate": c.IssuedAt.UTC().Format(time.RFC3339), "mfaAuthenticated": "false",
		}}
	}
	return id
}

// readOnly is CloudTrail's readOnly flag: the operation changes nothing. AWS names
// its reading operations consistently, so the name decides.
func readOnly(name string) bool {
	for _, verb := range []string{"Get", "List", "Describe", "BatchGet", "BatchCheck", "Simulate", "Decode", "Read", "AssumeRole"} {
		if strings.HasPrefix(name, verb) {
			return true
		}
	}
	return false
}
