package login

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

// A record is all that is remembered: the logins, and what has to be undone for
// them. It is written before the files that it describes, and again after them.
// So it knows of every change; only after a crash can it describe a change that
// was never made.
type record struct {
	Version int             `json:"version"`
	Logins  []recordedLogin `json:"logins"`
	// Files are the files that hold our changes, by their path with all links
	// resolved.
	Files map[string]fileRecord `json:"files"`
	Links []link                `json:"links,omitempty"`
	// Folders were made for files and links. Each comes after its parent.
	Folders []string `json:"folders,omitempty"`
}

// recordVersion is the version that this program writes and reads.
const recordVersion = 1

// A recordedLogin is a login in force.
type recordedLogin struct {
	Tool        string              `json:"tool"`
	Helper      string              `json:"helper,omitempty"`
	Target      recordedTarget      `json:"target"`
	Token       *recordedToken      `json:"token,omitempty"`
	Environment recordedEnvironment `json:"places"`
	Files       []editedFile        `json:"files"`
}

// An editedFile is a file by the path that the tool knows, and by the path with
// all links resolved, which is the one that was changed.
type editedFile struct {
	Path string `json:"path"`
	Real string `json:"real"`
}

// A recordedTarget is a [Target] without its token.
type recordedTarget struct {
	Endpoint    string        `json:"endpoint"`
	Name        string        `json:"name"`
	Domain      string        `json:"domain,omitempty"`
	Owner       string        `json:"owner,omitempty"`
	Repository  string        `json:"repository,omitempty"`
	Region      string        `json:"region,omitempty"`
	Profile     string        `json:"profile,omitempty"`
	AWSRegion   string        `json:"aws_region,omitempty"`
	EndpointURL string        `json:"endpoint_url,omitempty"`
	Duration    time.Duration `json:"duration,omitempty"`
	Variable    string        `json:"variable,omitempty"`
	Scopes      []string      `json:"scopes,omitempty"`
	Placement   Placement     `json:"placement,omitempty"`
}

// A recordedToken is enough to recognise a token in the file that holds it, and
// nothing that opens anything. The hash needs no salt, since tokens cannot be
// guessed.
type recordedToken struct {
	Username string    `json:"username"`
	Type     string    `json:"type"`
	Expires  time.Time `json:"expires"`
	Length   int       `json:"length"`
	SHA256   []byte    `json:"sha256"`
}

// A recordedEnvironment is the [Environment] of a login with those variables
// that its tool looked at, so that its edits can be made again as they were.
type recordedEnvironment struct {
	Home    string            `json:"home"`
	Dir     string            `json:"dir"`
	GOOS    string            `json:"goos"`
	Program string            `json:"program"`
	Env     map[string]string `json:"env,omitempty"`
}

// A fileRecord says how a file came from its base. While the file is being
// written, it may be in either state.
type fileRecord struct {
	Now  fileState  `json:"now"`
	Next *fileState `json:"next,omitempty"`
}

// A fileState is a patch of a file, and what files have besides their text.
type fileState struct {
	patch
	// Absent says that without our changes there is no file.
	Absent bool `json:"absent,omitempty"`
	// Mode is the mode of the base, Left the mode that login left.
	Mode fs.FileMode `json:"mode,omitempty"`
	Left fs.FileMode `json:"left,omitempty"`
	// Lost are texts of the base that cannot be put back, because others
	// rewrote the place where they stood.
	Lost [][]byte `json:"lost,omitempty"`
}

// changes reports whether there is anything to undo.
func (s fileState) changes() bool {
	return s.Absent || len(s.Hunks) > 0 || s.Mode != s.Left || len(s.Lost) > 0
}

// nearest returns the state that a text is in. If others have changed the text
// since, it is the state that differs in the fewest lines.
func (r fileRecord) nearest(text []byte) fileState {
	if r.Next != nil && r.Next.distance(text) <= r.Now.distance(text) {
		return *r.Next
	}
	return r.Now
}

func parseRecord(text []byte) (record, error) {
	r := record{Version: recordVersion, Files: map[string]fileRecord{}}
	if len(text) == 0 {
		return r, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return record{}, fmt.Errorf("cannot be read: %w", err)
	}
	if r.Version != recordVersion {
		return record{}, fmt.Errorf("is of version %d, written by another version of this program, which can undo it", r.Version)
	}
	if r.Files == nil {
		r.Files = map[string]fileRecord{}
	}
	for path, f := range r.Files {
		if !filepath.IsAbs(path) || !f.Now.valid() || f.Next != nil && !f.Next.valid() {
			return record{}, errors.New("is damaged")
		}
	}
	return r, nil
}

// valid reports whether the hunks are places in the text, in its order.
func (p patch) valid() bool {
	next := 0
	for _, h := range p.Hunks {
		if h.From < next || h.To < h.From || h.To > len(p.Lines) {
			return false
		}
		next = h.To
	}
	return true
}

func (r record) text() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	return append(text, '\n'), err
}

// empty reports whether there is nothing to remember.
func (r record) empty() bool {
	return len(r.Logins) == 0 && len(r.Files) == 0 && len(r.Links) == 0 && len(r.Folders) == 0
}

// mergedWith returns a record of everything that either record knows. It is
// stored while the files change from one to the other.
func (r record) mergedWith(next record) record {
	merged := record{Version: recordVersion, Files: map[string]fileRecord{}}
	merged.Logins = slices.Clone(next.Logins)
	for _, l := range r.Logins {
		if !slices.ContainsFunc(next.Logins, l.same) {
			merged.Logins = append(merged.Logins, l)
		}
	}
	maps.Copy(merged.Files, r.Files)
	maps.Copy(merged.Files, next.Files)
	merged.Links = slices.Clone(r.Links)
	for _, l := range next.Links {
		if !slices.Contains(merged.Links, l) {
			merged.Links = append(merged.Links, l)
		}
	}
	merged.Folders = slices.Clone(next.Folders)
	for _, f := range r.Folders {
		if !slices.Contains(merged.Folders, f) {
			merged.Folders = append(merged.Folders, f)
		}
	}
	return merged
}

// same reports whether two logins are of the same tool, to the same address, in
// the same files, so that the later one replaces the earlier. A tool that keeps
// its configuration in a project's folder has one login for each project.
func (l recordedLogin) same(other recordedLogin) bool {
	if l.Tool != other.Tool || l.Target.Endpoint != other.Target.Endpoint {
		return false
	}
	if len(l.Files) == 0 || len(other.Files) == 0 {
		return len(l.Files) == len(other.Files)
	}
	return l.Files[0].Path == other.Files[0].Path
}

func (l recordedLogin) edits(path string) bool {
	return slices.ContainsFunc(l.Files, func(f editedFile) bool { return f.Real == path })
}

func recordTarget(t Target) recordedTarget {
	return recordedTarget{
		Endpoint: t.Endpoint.String(), Name: t.Name, Domain: t.Domain, Owner: t.Owner, Repository: t.Repository, Region: t.Region,
		Profile: t.AWS.Profile, AWSRegion: t.AWS.Region, EndpointURL: t.AWS.EndpointURL, Duration: t.Duration,
		Variable: t.Variable, Scopes: t.Scopes, Placement: t.Placement,
	}
}

func (t recordedTarget) target(token authtoken.Token) (Target, error) {
	endpoint, err := url.Parse(t.Endpoint)
	if err != nil {
		return Target{}, err
	}
	return Target{
		Endpoint: endpoint, Name: t.Name, Domain: t.Domain, Owner: t.Owner, Repository: t.Repository, Region: t.Region,
		AWS:      credential.AWS{Profile: t.Profile, Region: t.AWSRegion, EndpointURL: t.EndpointURL},
		Duration: t.Duration, Token: token, Variable: t.Variable, Scopes: t.Scopes, Placement: t.Placement,
	}, nil
}

// equal reports whether two targets are the same. Their tokens are not
// compared.
func (t recordedTarget) equal(other recordedTarget) bool {
	a, b := t, other
	a.Scopes, b.Scopes = nil, nil
	return slices.Equal(t.Scopes, other.Scopes) && reflect.DeepEqual(a, b)
}

func (p recordedEnvironment) environment() Environment {
	return Environment{Home: p.Home, Dir: p.Dir, GOOS: p.GOOS, Program: p.Program, Getenv: func(name string) string { return p.Env[name] }}
}
