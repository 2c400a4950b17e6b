package audit_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
)

var at = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

func entry() *audit.Entry {
	return &audit.Entry{ID: "req-1", Started: at, SourceIP: "127.0.0.1", UserAgent: "aws-cli/2"}
}

func TestLog_RecordHasCloudTrailForm(t *testing.T) {
	e := entry()
	e.Operation("ecr", "PutImage")
	e.Caller(&authn.Caller{Region: "us-east-1", Principal: &authn.Principal{
		Type: authn.AssumedRole, Account: "000000000001", ARN: "arn:aws:sts::000000000001:assumed-role/ci/build", UserID: "AROAX:build",
		PrincipalARN: "arn:aws:iam::000000000001:role/ci", UniqueID: "AROAX", SessionName: "build", AccessKeyID: "ASIAX", IssuedAt: at.Add(-time.Hour),
	}})
	e.Params(map[string]any{"repositoryName": "r"})
	e.Resource("AWS::ECR::Repository", "arn:aws:ecr:us-east-1:000000000001:repository/r")
	e.Decided(audit.Decision{Action: "ecr:PutImage", Resource: "arn:…", Outcome: "allowed", Reason: "AdministratorAccess statement 1"})

	path := filepath.Join(t.TempDir(), "audit.jsonl")
	log, err := audit.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Write(e.Record(201, at.Add(1500*time.Microsecond))); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, _ := f.Stat(); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	lines := bufio.NewScanner(f)
	lines.Scan()
	if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"eventSource": "ecr.amazonaws.com", "eventName": "PutImage", "awsRegion": "us-east-1", "eventTime": "2026-05-06T07:08:09Z",
		"requestID": "req-1", "readOnly": false, "eventType": "AwsApiCall", "recipientAccountId": "000000000001", "sourceIPAddress": "127.0.0.1",
	} {
		if got[key] != want {
			t.Errorf("%s = %v, want %v", key, got[key], want)
		}
	}
	id := got["userIdentity"].(map[string]any)
	if id["type"] != "AssumedRole" || id["principalId"] != "AROAX:build" {
		t.Errorf("userIdentity = %v", id)
	}
	issuer := id["sessionContext"].(map[string]any)["sessionIssuer"].(map[string]any)
	if issuer["arn"] != "arn:aws:iam::000000000001:role/ci" {
		t.Errorf("sessionIssuer = %v", issuer)
	}
	extra := got["additionalEventData"].(map[string]any)
	if extra["httpStatus"] != 201.0 || extra["durationMicros"] != 1500.0 || len(extra["decisions"].([]any)) != 1 {
		t.Errorf("additionalEventData = %v", extra)
	}
}

func TestEntry_RecordWithoutCaller(t *testing.T) {
	e := entry()
	e.Operation("codeartifact", "GetAuthorizationToken")
	e.Failed("UnrecognizedClientException", "no such key")
	r := e.Record(403, at)
	if r.UserIdentity.Type != "Unknown" || r.ErrorCode != "UnrecognizedClientException" || !r.ReadOnly {
		t.Fatalf("record = %+v", r)
	}
}

func TestEntry_Outcome(t *testing.T) {
	e := entry()
	if e.Outcome() != "" {
		t.Fatal("Outcome is set without a decision")
	}
	e.Decided(audit.Decision{Outcome: "allowed"})
	e.Decided(audit.Decision{Outcome: "implicitDeny"})
	if e.Outcome() != "implicitDeny" {
		t.Fatalf("Outcome = %q, want that of the refused decision", e.Outcome())
	}
}

func TestEntry_Nil(t *testing.T) {
	e := audit.From(t.Context())
	e.Operation("ecr", "x")
	e.Caller(nil)
	e.Params(nil)
	e.Resource("", "")
	e.Decided(audit.Decision{})
	e.Failed("", "")
	if e.Outcome()+e.Principal()+e.Code() != "" {
		t.Fatal("a nil entry is not empty")
	}
	if got := audit.From(audit.WithEntry(t.Context(), entry())); got.ID != "req-1" {
		t.Fatalf("From = %+v", got)
	}
}

// A process that is killed within a write leaves part of a line. The record that
// comes next stands on a line of its own.
func TestRecordAfterATornOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(path, []byte(`{"eventVersion":"1.11"}`+"\n"+`{"eventVersion":"1.`), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds a line that is whole, and adds none
		log, err := audit.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Write(entry().Record(200, at)); err != nil {
			t.Fatal(err)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var whole []bool
	for line := range bytes.Lines(text) {
		whole = append(whole, json.Valid(line))
	}
	if want := []bool{true, false, true, true}; !slices.Equal(whole, want) {
		t.Errorf("whole lines: %v, want %v, in:\n%s", whole, want, text)
	}
}
