// Package managed has the AWS managed policies that people attach to the
// identities of an artifact platform. Each grants the actions that AWS's policy
// of that name grants (AWS Managed Policy Reference, in the version given);
// ReadOnlyAccess is limited to the services that Gatehouse has.
//
// They belong to the account "aws", cannot be changed, and are there in every
// account from the start.
package managed

import (
	"cmp"
	"encoding/json"
	"time"
)

// A Policy is one AWS managed policy.
type Policy struct {
	Name string
	// Path is part of the ARN: arn:aws:iam::aws:policy + Path + Name.
	Path        string
	ARN         string
	Description string
	// VersionID is AWS's default version, and Updated when AWS made it.
	VersionID string
	Updated   time.Time
	// Document is the policy as JSON.
	Document string
}

// Policies returns all of them, ordered by name.
func Policies() []Policy {
	policies := make([]Policy, len(table))
	for i, e := range table {
		policies[i] = e.policy()
	}
	return policies
}

// An entry is a policy as the table has it.
type entry struct {
	name, description, version string
	path                       string // "/" if it is empty
	updated                    time.Time
	statements                 []statement
}

// A statement has the members of a policy's statement, in the order in which the
// document shows them. All of them allow.
type statement struct {
	Sid       string                       `json:"Sid,omitempty"`
	Effect    string                       `json:"Effect"`
	Action    []string                     `json:"Action,omitempty"`
	NotAction []string                     `json:"NotAction,omitempty"`
	Resource  string                       `json:"Resource"`
	Condition map[string]map[string]string `json:"Condition,omitempty"`
}

func (e entry) policy() Policy {
	path := cmp.Or(e.path, "/")
	document, err := json.MarshalIndent(struct {
		Version   string      `json:"Version"`
		Statement []statement `json:"Statement"`
	}{"2012-10-17", e.statements}, "", "  ")
	if err != nil {
		panic("managed: strings and maps of strings are always JSON: " + err.Error())
	}
	return Policy{
		Name:        e.name,
		Path:        path,
		ARN:         "arn:aws:iam::aws:policy" + path + e.name,
		Description: e.description,
		VersionID:   e.version,
		Updated:     e.updated,
		Document:    string(document),
	}
}

// allow is a statement that allows actions on everything.
func allow(actions ...string) statement {
	return statement{Effect: "Allow", Action: actions, Resource: "*"}
}

// allowAllBut is a statement that allows every other action on everything.
func allowAllBut(actions ...string) statement {
	return statement{Effect: "Allow", NotAction: actions, Resource: "*"}
}

// when limits the statement to requests whose key has the value.
func (s statement) when(key, value string) statement {
	s.Condition = map[string]map[string]string{"StringEquals": {key: value}}
	return s
}

func on(year int, month time.Month, day, hour, minute, second int) time.Time {
	return time.Date(year, month, day, hour, minute, second, 0, time.UTC)
}
