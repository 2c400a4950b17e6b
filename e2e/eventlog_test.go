package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"

	"github.com/gatehouse-registry/gatehouse/internal/client/operator"
	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

// An eventLog is what one reader has read of a server's log of events: from its beginning,
// each event once, whatever happens to the server meanwhile.
type eventLog struct {
	token  *string
	number int64 // of the last event
	ids    map[string]bool
	// versions follows from the events: what each package version of the repository lib is
	// now, by its name.
	versions map[string]versionState
	// tags are the tags of the image repository app, with their digests, as the events have it.
	tags map[string]string
	// sequence is the sequenceNumber of the last event of each package.
	sequence map[string]int64
}

type versionState struct{ status, revision string }

func newEventLog() *eventLog {
	return &eventLog{ids: map[string]bool{}, versions: map[string]versionState{}, tags: map[string]string{}, sequence: map[string]int64{}}
}

// An event has what this test compares of one.
type event struct {
	ID     string
	Detail struct {
		ImageRepository string `json:"repository-name"`
		ImageDigest     string `json:"image-digest"`
		ImageTag        string `json:"image-tag"`
		ImageAction     string `json:"action-type"`

		RepositoryName                                                    string
		PackageFormat, PackageName, PackageVersion                        string
		PackageNamespace                                                  *string
		PackageVersionState, PackageVersionRevision, EventDeduplicationID string
		OperationType                                                     string
		SequenceNumber                                                    int64
	}
}

// client is a client of a session that reads events while the others work. Its requests do
// not count for the trigger of the session.
func (l *eventLog) client(s *session) *client {
	return &client{session: s, kind: "events", step: func(*client) error { _, err := l.read(s, 1); return err }}
}

// read reads the next events and waits up to so many seconds for one.
func (l *eventLog) read(s *session, wait int32) (more bool, err error) {
	cfg := s.aws
	cfg.HTTPClient = http.DefaultClient
	api, err := operator.New(cfg, time.Now)
	if err != nil {
		return false, err
	}
	page, err := api.ListEvents(s.ctx, &operatormodel.ListEventsInput{NextToken: l.token, WaitSeconds: &wait, MaxResults: aws.Int32(250)})
	if err != nil {
		return false, err
	}
	l.token = &page.NextToken
	for _, item := range page.Events {
		if item.Number != l.number+1 {
			return false, fmt.Errorf("event %d follows %d", item.Number, l.number)
		}
		l.number = item.Number
		var e event
		if err := json.Unmarshal([]byte(item.Event), &e); err != nil {
			return false, err
		}
		if err := l.add(&e); err != nil {
			return false, fmt.Errorf("event %d: %w: %s", item.Number, err, item.Event)
		}
	}
	return page.More, nil
}

func (l *eventLog) add(e *event) error {
	d := &e.Detail
	if l.ids[e.ID] || d.EventDeduplicationID != "" && l.ids[d.EventDeduplicationID] {
		return fmt.Errorf("it has come before")
	}
	l.ids[e.ID], l.ids[d.EventDeduplicationID] = true, true
	switch {
	case d.ImageRepository == "app" && d.ImageTag != "" && d.ImageAction == "DELETE":
		delete(l.tags, tagKey(d.ImageTag))
	case d.ImageRepository == "app" && d.ImageTag != "":
		l.tags[tagKey(d.ImageTag)] = d.ImageDigest
	case d.RepositoryName == libRepository:
		return l.addVersion(e)
	}
	return nil
}

func (l *eventLog) addVersion(e *event) error {
	d := &e.Detail
	pkg := versionName(d.PackageFormat, d.PackageNamespace, d.PackageName, "")
	if d.SequenceNumber <= l.sequence[pkg] {
		return fmt.Errorf("the last event of the package had the sequence number %d", l.sequence[pkg])
	}
	l.sequence[pkg] = d.SequenceNumber
	name := pkg + d.PackageVersion
	_, exists := l.versions[name]
	switch {
	case exists != (d.OperationType != "Created"):
		return fmt.Errorf("the version exists: %v", exists)
	case d.OperationType == "Deleted":
		delete(l.versions, name)
	default:
		l.versions[name] = versionState{d.PackageVersionState, d.PackageVersionRevision}
	}
	return nil
}

func versionName(format string, namespace *string, name, version string) string {
	return format + "/" + aws.ToString(namespace) + "/" + name + "@" + version
}

// check reads the rest of the log, and compares what follows from it with the versions that
// the server has, and with the tags, which the ledger has: every change has exactly one
// event, and there is no event without a change.
func (l *eventLog) check(t *testing.T, s *session) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = l.read(s, 0); err != nil {
			t.Fatal(err)
		}
	}
	has, err := s.versionStates()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(has)) {
		if told := l.versions[name]; told != has[name] {
			t.Errorf("%s is %v, and %v according to its events", name, has[name], told)
		}
	}
	for name, told := range l.versions {
		if _, exists := has[name]; !exists {
			t.Errorf("%s does not exist, and is %v according to its events", name, told)
		}
	}
	tags := map[string]string{}
	for _, key := range s.ledger.keys(func(key, _ string) bool { return strings.HasPrefix(key, tagKey("")) }) {
		tags[key] = s.ledger.has(key)
	}
	if !maps.Equal(tags, l.tags) {
		t.Errorf("the tags are %v, and %v according to their events", tags, l.tags)
	}
	t.Logf("%d events lead to the %d versions and %d tags that there are", l.number, len(has), len(tags))
}

// versionStates returns the state of every package version in the repository lib.
func (s *session) versionStates() (map[string]versionState, error) {
	api := codeartifact.NewFromConfig(s.aws)
	states := map[string]versionState{}
	packages := codeartifact.NewListPackagesPaginator(api, &codeartifact.ListPackagesInput{Domain: aws.String(domain), Repository: aws.String(libRepository)})
	for packages.HasMorePages() {
		page, err := packages.NextPage(s.ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range page.Packages {
			if err := s.addVersionStates(api, p, states); err != nil {
				return nil, err
			}
		}
	}
	return states, nil
}

func (s *session) addVersionStates(api *codeartifact.Client, p types.PackageSummary, states map[string]versionState) error {
	versions := codeartifact.NewListPackageVersionsPaginator(api, &codeartifact.ListPackageVersionsInput{
		Domain: aws.String(domain), Repository: aws.String(libRepository), Format: p.Format, Namespace: p.Namespace, Package: p.Package,
	})
	for versions.HasMorePages() {
		page, err := versions.NextPage(s.ctx)
		if err != nil {
			return err
		}
		for _, v := range page.Versions {
			states[versionName(string(p.Format), p.Namespace, *p.Package, *v.Version)] = versionState{string(v.Status), *v.Revision}
		}
	}
	return nil
}
