package audit

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
)

// draw fills every field of a record, also those that are added later. Some
// strings are empty and some are not UTF-8.
func draw(t *rapid.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			draw(t, v.Field(i))
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "set") {
			v.Set(reflect.New(v.Type().Elem()))
			draw(t, v.Elem())
		}
	case reflect.Slice:
		for range rapid.IntRange(0, 2).Draw(t, "length") {
			e := reflect.New(v.Type().Elem()).Elem()
			draw(t, e)
			v.Set(reflect.Append(v, e))
		}
	case reflect.Interface:
		v.Set(reflect.ValueOf(rapid.SampledFrom([]any{
			map[string]any(nil),
			map[string]any{},
			map[string]string{"b": "<1>", "a": ""},
			"text", 7.5,
			map[string]any{"z": nil, "none": []string(nil), "list": []string{"x", "\xff"}, "inner": map[string]any{"n": 1, "s": "é\u2028\""}, "flag": true},
			struct {
				Name *string `json:"name"`
			}{},
		}).Draw(t, "value")))
	case reflect.Map:
		if rapid.Bool().Draw(t, "set") {
			v.Set(reflect.ValueOf(map[string]string{"creationDate": "x", "a\"b": text(t)}))
		}
	case reflect.String:
		v.SetString(text(t))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "number"))
	default:
		t.Fatalf("draw does not know the type %s", v.Type())
	}
}

func text(t *rapid.T) string {
	return rapid.OneOf(rapid.Just(""), rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "text")
}

func TestRecord_AppendJSONMatchesTags(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := new(Record)
		draw(t, reflect.ValueOf(r).Elem())
		got, err := line(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(r); err != nil {
			t.Fatal(err)
		}
		var g, w any
		if err := json.Unmarshal(got, &g); err != nil {
			t.Fatalf("%v in %s", err, got)
		}
		if err := json.Unmarshal(want.Bytes(), &w); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(g, w) || bytes.Count(got, []byte("\n")) != 1 {
			t.Errorf("got  %s\nwant %s", got, want.Bytes())
		}
	})
}

// TestRecord_JSON shows a record byte by byte.
func TestRecord_JSON(t *testing.T) {
	r := request().Record(200, time.Unix(1000, 250_000).UTC())
	r.EventID = "event-1"
	got, err := line(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","principalId":"AIDAX","arn":"arn:aws:iam::000000000001:user/ci","accountId":"000000000001","accessKeyId":"AKIAX","userName":"ci"},` +
		`"eventTime":"1970-01-01T00:16:40Z","eventSource":"ecr.amazonaws.com","eventName":"GetAuthorizationToken","awsRegion":"us-east-1","sourceIPAddress":"127.0.0.1","userAgent":"aws-cli/2",` +
		`"requestParameters":{"registryIds":["000000000001"]},"responseElements":null,"additionalEventData":{"decisions":[{"action":"ecr:GetAuthorizationToken","resource":"*","outcome":"allowed"}],"httpStatus":200,"durationMicros":250},` +
		`"requestID":"req-1","eventID":"event-1","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"000000000001","eventCategory":"Management"}` + "\n"
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func request() *Entry {
	e := &Entry{ID: "req-1", Started: time.Unix(1000, 0), SourceIP: "127.0.0.1", UserAgent: "aws-cli/2"}
	e.Operation("ecr", "GetAuthorizationToken")
	e.Caller(&authn.Caller{Region: "us-east-1", Principal: &authn.Principal{
		Type: authn.User, Account: "000000000001", ARN: "arn:aws:iam::000000000001:user/ci", UserID: "AIDAX", Name: "ci", AccessKeyID: "AKIAX",
	}})
	e.Params(map[string]any{"registryIds": []string{"000000000001"}})
	e.Decided(Decision{Action: "ecr:GetAuthorizationToken", Resource: "*", Outcome: "allowed"})
	return e
}

func BenchmarkRecord(b *testing.B) {
	e := request()
	log, err := Open(b.TempDir()+"/audit.jsonl", Rotation{}, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	b.ReportAllocs()
	for b.Loop() {
		if err := log.Write(e.Record(200, e.Started)); err != nil {
			b.Fatal(err)
		}
	}
}
