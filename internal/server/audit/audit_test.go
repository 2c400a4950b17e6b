package audit_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
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
	log, err := audit.Open(path, audit.Rotation{}, clock)
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

func clock() time.Time { return at }

// A process that is killed during a write leaves a part of a line. The next start
// removes it, so that every line is a record, and keeps its text in a record.
func TestOpen_IncompleteRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(path, []byte(`{"eventVersion":"1.11"}`+"\n"+`{"eventVersion":"1.`), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds whole lines, and adds no event
		log, err := audit.Open(path, audit.Rotation{}, clock)
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
	events := readAll(t, path)
	if want := []string{"", "IncompleteAuditRecord", "", ""}; !slices.Equal(names(events), want) {
		t.Errorf("events = %q, want %q", names(events), want)
	}
	if got := events[1]["requestParameters"].(map[string]any)["text"]; got != `{"eventVersion":"1.` {
		t.Errorf("text = %v", got)
	}
}

// readAll returns the records of a file, each line of which must be one.
func readAll(t *testing.T, path string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]any
	for line := range bytes.Lines(text) {
		var record map[string]any
		if err := json.Unmarshal(line, &record); err != nil || !bytes.HasSuffix(line, []byte("\n")) {
			t.Errorf("%q is not a record: %v", line, err)
		}
		out = append(out, record)
	}
	return out
}

func names(records []map[string]any) []string {
	var out []string
	for _, r := range records {
		name, _ := r["eventName"].(string)
		out = append(out, name)
	}
	return out
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestLog_RotatesBySize(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.jsonl")
	now := at
	write := func(n int) {
		t.Helper()
		log, err := audit.Open(path, audit.Rotation{MaxSize: 2000, MaxTotal: 6000}, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			if err := log.Write(entry().Record(200, at)); err != nil {
				t.Fatal(err)
			}
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for range 30 { // each record has more than 400 bytes
		write(1)
		now = now.Add(time.Second)
	}
	total, records := int64(0), 0
	for _, name := range files(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Size() > 2000 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %d bytes, mode %v, %v", name, info.Size(), info.Mode(), err)
		}
		total += info.Size()
		records += len(readAll(t, filepath.Join(dir, name)))
	}
	if n := len(files(t, dir)); n < 3 || total > 6000 || records < 8 {
		t.Errorf("%d files with %d bytes and %d records: %q", n, total, records, files(t, dir))
	}
}

func TestLog_RotatesByAge(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.jsonl")
	for _, hour := range []int{0, 23, 25} { // the age is that of the first record, also after a restart
		now := at.Add(time.Duration(hour) * time.Hour)
		log, err := audit.Open(path, audit.Rotation{MaxAge: 24 * time.Hour}, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		e := entry()
		e.Started = now
		if err := log.Write(e.Record(200, now)); err != nil {
			t.Fatal(err)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := files(t, dir), []string{"audit-20260507T080809Z.jsonl", "audit.jsonl"}; !slices.Equal(got, want) {
		t.Fatalf("files = %q, want %q", got, want)
	}
	if n := len(readAll(t, filepath.Join(dir, "audit-20260507T080809Z.jsonl"))); n != 2 {
		t.Errorf("%d records in the ended file, want 2", n)
	}
}

// logrotate moves the file away while the server has it open.
func TestLog_FileMovedAway(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.jsonl")
	log, err := audit.Open(path, audit.Rotation{}, clock)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for _, name := range []string{"1.jsonl", "2.jsonl"} {
		if err := log.Write(entry().Record(200, at)); err != nil {
			t.Fatal(err)
		}
		if err := log.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(readAll(t, filepath.Join(dir, "2.jsonl"))); n != 1 {
		t.Errorf("%d records in the second file, want 1", n)
	}
}

// /dev/full is a disk without room.
func TestLog_FullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(path, audit.Rotation{}, clock)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.CheckWritable("ecr:PutImage"); err != nil {
		t.Errorf("before anything failed: %v", err)
	}
	if err := log.Write(entry().Record(200, at)); err != nil {
		t.Fatal(err)
	}
	if err := log.Flush(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("Flush = %v, want ENOSPC", err)
	}
	var f *fault.Error
	if err := log.CheckWritable("ecr:PutImage"); !errors.As(err, &f) || f.Kind != fault.Unavailable {
		t.Errorf("a change: %v, want a fault Unavailable", err)
	}
	for _, action := range []string{"ecr:BatchGetImage", "sts:AssumeRoleWithWebIdentity", "codeartifact:ReadFromRepository"} {
		if err := log.CheckWritable(action); err != nil {
			t.Errorf("%s: %v, want nil", action, err)
		}
	}
	if err := log.Close(); err == nil {
		t.Error("Close hides that a record is lost")
	}
}

// Files that ended while the clock was wrong do not push out the new ones.
func TestLog_EndedInTheFuture(t *testing.T) {
	dir := t.TempDir()
	path, future := filepath.Join(dir, "audit.jsonl"), filepath.Join(dir, "audit-20990101T000000Z.jsonl")
	if err := os.WriteFile(future, bytes.Repeat([]byte("{}\n"), 1300), 0o600); err != nil {
		t.Fatal(err)
	}
	now := at
	for range 30 {
		log, err := audit.Open(path, audit.Rotation{MaxSize: 2000, MaxTotal: 6000}, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(log.Write(entry().Record(200, now)), log.Close()); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
	}
	if got := files(t, dir); len(got) < 3 || slices.Contains(got, filepath.Base(future)) {
		t.Errorf("files = %q, want the new ones", got)
	}
}
