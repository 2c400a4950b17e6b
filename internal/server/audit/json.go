package audit

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// appendJSON appends the record as its struct tags say. It is written by hand for
// speed, since every request makes a record. A test compares it with
// encoding/json.
func (r *Record) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	b = appendText(b, "eventVersion", r.EventVersion)
	b = r.UserIdentity.appendJSON(appendName(b, "userIdentity"))
	b = appendText(b, "eventTime", r.EventTime)
	b = appendText(b, "eventSource", r.EventSource)
	b = appendText(b, "eventName", r.EventName)
	b = appendTextIfAny(b, "awsRegion", r.AWSRegion)
	b = appendText(b, "sourceIPAddress", r.SourceIPAddress)
	b = appendText(b, "userAgent", r.UserAgent)
	b = appendTextIfAny(b, "errorCode", r.ErrorCode)
	b = appendTextIfAny(b, "errorMessage", r.ErrorMessage)
	b, err := appendValue(appendName(b, "requestParameters"), r.RequestParameters)
	if err != nil {
		return nil, err
	}
	if b, err = appendValue(appendName(b, "responseElements"), r.ResponseElements); err != nil {
		return nil, err
	}
	b = r.AdditionalEventData.appendJSON(appendName(b, "additionalEventData"))
	b = appendText(b, "requestID", r.RequestID)
	b = appendText(b, "eventID", r.EventID)
	b = appendBool(b, "readOnly", r.ReadOnly)
	if len(r.Resources) > 0 {
		b = appendList(appendName(b, "resources"), r.Resources, Resource.appendJSON)
	}
	b = appendText(b, "eventType", r.EventType)
	b = appendBool(b, "managementEvent", r.ManagementEvent)
	b = appendTextIfAny(b, "recipientAccountId", r.RecipientAccountID)
	b = appendText(b, "eventCategory", r.EventCategory)
	if r.ServiceEventDetails != nil {
		if b, err = appendValue(appendName(b, "serviceEventDetails"), r.ServiceEventDetails); err != nil {
			return nil, err
		}
	}
	return endObject(b), nil
}

func (d AdditionalEventData) appendJSON(b []byte) []byte {
	b = append(b, '{')
	if len(d.Decisions) > 0 {
		b = appendList(appendName(b, "decisions"), d.Decisions, Decision.appendJSON)
	}
	b = appendNumber(b, "httpStatus", int64(d.HTTPStatus))
	b = appendNumber(b, "durationMicros", d.DurationMicros)
	return endObject(b)
}

func (d Decision) appendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendText(b, "action", d.Action)
	b = appendText(b, "resource", d.Resource)
	b = appendText(b, "outcome", d.Outcome)
	b = appendTextIfAny(b, "reason", d.Reason)
	return endObject(b)
}

func (r Resource) appendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendText(b, "ARN", r.ARN)
	b = appendTextIfAny(b, "accountId", r.AccountID)
	b = appendTextIfAny(b, "type", r.Type)
	return endObject(b)
}

func (id UserIdentity) appendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendText(b, "type", id.Type)
	b = appendTextIfAny(b, "principalId", id.PrincipalID)
	b = appendTextIfAny(b, "arn", id.ARN)
	b = appendTextIfAny(b, "accountId", id.AccountID)
	b = appendTextIfAny(b, "accessKeyId", id.AccessKeyID)
	b = appendTextIfAny(b, "userName", id.UserName)
	b = appendTextIfAny(b, "invokedBy", id.InvokedBy)
	if c := id.SessionContext; c != nil {
		b = c.appendJSON(appendName(b, "sessionContext"))
	}
	return endObject(b)
}

func (c *SessionContext) appendJSON(b []byte) []byte {
	b = append(b, '{')
	b = append(appendName(b, "sessionIssuer"), '{')
	b = appendTextIfAny(b, "type", c.SessionIssuer.Type)
	b = appendTextIfAny(b, "principalId", c.SessionIssuer.PrincipalID)
	b = appendTextIfAny(b, "arn", c.SessionIssuer.ARN)
	b = appendTextIfAny(b, "accountId", c.SessionIssuer.AccountID)
	b = endObject(b)
	b = appendTexts(appendName(b, "attributes"), c.Attributes)
	return endObject(b)
}

// The functions below append a member or a value followed by a comma. endObject
// replaces the last comma.

func appendName(b []byte, name string) []byte {
	return append(append(append(b, '"'), name...), `":`...)
}

func appendText(b []byte, name, value string) []byte {
	return append(appendQuoted(appendName(b, name), value), ',')
}

func appendTextIfAny(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return appendText(b, name, value)
}

// appendQuoted appends a JSON string. Bytes that are not UTF-8 are replaced, and
// the error that reports them is ignored.
func appendQuoted(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s)
	return b
}

func appendBool(b []byte, name string, value bool) []byte {
	return append(strconv.AppendBool(appendName(b, name), value), ',')
}

func appendNumber(b []byte, name string, value int64) []byte {
	return append(strconv.AppendInt(appendName(b, name), value, 10), ',')
}

func appendList[T any](b []byte, list []T, one func(T, []byte) []byte) []byte {
	b = append(b, '[')
	for _, v := range list {
		b = one(v, b)
	}
	return end(b, ']')
}

// appendTexts appends a map of strings in the order of its keys.
func appendTexts(b []byte, texts map[string]string) []byte {
	if texts == nil {
		return append(b, "null,"...)
	}
	b = append(b, '{')
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		b = append(appendQuoted(b, name), ':')
		b = append(appendQuoted(b, texts[name]), ',')
	}
	return endObject(b)
}

// appendValue appends a value of any type. Common maps and lists are written
// here, and encoding/json writes the rest.
func appendValue(b []byte, value any) (_ []byte, err error) {
	switch v := value.(type) {
	case nil:
		return append(b, "null,"...), nil
	case string:
		return append(appendQuoted(b, v), ','), nil
	case []string:
		if v == nil {
			return append(b, "null,"...), nil
		}
		return appendList(b, v, func(s string, b []byte) []byte { return append(appendQuoted(b, s), ',') }), nil
	case Params:
		return v.appendJSON(b), nil
	case map[string]string:
		return appendTexts(b, v), nil
	case map[string]any:
		if v == nil {
			return append(b, "null,"...), nil
		}
		b = append(b, '{')
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if b, err = appendValue(append(appendQuoted(b, name), ':'), v[name]); err != nil {
				return nil, err
			}
		}
		return endObject(b), nil
	}
	other, err := json.Marshal(value)
	return append(append(b, other...), ','), err
}

func endObject(b []byte) []byte { return end(b, '}') }

// end ends an object or a list.
func end(b []byte, with byte) []byte {
	if last := len(b) - 1; b[last] == ',' {
		b = b[:last]
	}
	return append(b, with, ',')
}
