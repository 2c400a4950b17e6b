// Package model describes the AWS services that Gatehouse implements: their
// operations, the part of the message that carries each member, the constraints on
// it, and the codes and statuses of errors.
//
// There is one table a service, embedded as JSON. The tables are written by
// genmodel out of the API models in the Go module of the first AWS SDK for Go,
// the Go structs of the second one, which know what is newer, and overlay.json,
// which says what neither can. They hold facts only and are never edited by
// hand:
//
//	go generate ./internal/aws/wire/model
//
// A table fits the Go structs exactly: every exported field of an input, an
// output or an error is a member of its shape. Package wire relies on it.
package model

import (
	"embed"
	"fmt"

	"github.com/go-json-experiment/json"
)

//go:generate go run ./genmodel

//go:embed tables/*.json
var tables embed.FS

// A Protocol is one of the AWS protocols, under its name in the API models.
type Protocol string

// The protocols that the services use.
const (
	JSON     Protocol = "json"      // awsJson1.1
	RestJSON Protocol = "rest-json" // restJson1
	Query    Protocol = "query"     // awsQuery
)

// A Service is the table of one service.
type Service struct {
	// Name is the service's name in a SigV4 credential scope.
	Name     string   `json:"name"`
	Protocol Protocol `json:"protocol"`
	// Version is the API version, which awsQuery sends with each request.
	Version string `json:"version"`
	// TargetPrefix is what stands before the operation in X-Amz-Target.
	TargetPrefix string `json:"targetPrefix,omitempty"`
	// Namespace is the XML namespace of awsQuery's answers.
	Namespace  string                `json:"namespace,omitempty"`
	Operations map[string]*Operation `json:"operations"`
	Shapes     map[string]*Shape     `json:"shapes"`
}

// An Operation is one operation of a service.
type Operation struct {
	// Method and Path are restJson1's; the others always POST to "/". A segment of the path
	// can be the name of a member in braces.
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
	// Input and Output name shapes, and are empty if there is no such structure.
	Input  string `json:"input,omitempty"`
	Output string `json:"output,omitempty"`
	// MaxBody is the largest request body in bytes, if it is not the default.
	MaxBody int64 `json:"maxBody,omitempty"`
}

// A Type is the type of a shape, without regard to how it is written down.
type Type string

// The types.
const (
	String    Type = "string"
	Boolean   Type = "boolean"
	Integer   Type = "integer" // of any size; the Go type says which
	Float     Type = "float"   // of any size
	Blob      Type = "blob"    // bytes, or a stream if the Go type is a reader
	Timestamp Type = "timestamp"
	Structure Type = "structure"
	List      Type = "list"
	Map       Type = "map" // with string keys
	Union     Type = "union"
)

// A Shape is a type with its constraints.
type Shape struct {
	Type Type `json:"type"`
	// Members of a structure or a union, by their name on the wire.
	Members map[string]*Member `json:"members,omitempty"`
	// Element is the shape of a list's members or of a map's values, and Key of
	// a map's keys.
	Element string `json:"element,omitempty"`
	Key     string `json:"key,omitempty"`
	// Enum lists the values that a string may have, in the order of the model.
	Enum []string `json:"enum,omitempty"`
	// Pattern is the expression that a whole string must match, as the model
	// spells it. Expression is the same in RE2's syntax if that differs.
	Pattern    string `json:"pattern,omitempty"`
	Expression string `json:"expression,omitempty"`
	// Min and Max bound a number, the characters of a string, the bytes of a
	// blob, or the entries of a list or a map.
	Min *int64 `json:"min,omitempty"`
	Max *int64 `json:"max,omitempty"`
	// Sensitive values are never repeated to anyone.
	Sensitive bool `json:"sensitive,omitempty"`
	// Status is the HTTP status of an error, and 0 for other shapes. The
	// SDK's type has the error's code.
	Status int `json:"status,omitempty"`
}

// A Member is a member of a structure.
type Member struct {
	Shape    string `json:"shape"`
	Required bool   `json:"required,omitempty"`
	// Field is the Go field, if it is not the member's name with its first
	// letter in upper case. Of a union it is the Go type of the case.
	Field string `json:"field,omitempty"`
	// Newer marks a member that the SDK's structs do not have yet. A handler that needs it
	// has a struct of its own.
	Newer bool `json:"newer,omitempty"`
	// In is the part of the message in which restJson1 has the member, and Name
	// its name there.
	In   Location `json:"in,omitempty"`
	Name string   `json:"name,omitempty"`
}

// A Location is the part of a message that carries a member.
type Location string

// The locations. The services have none in the status line.
const (
	InBody    Location = ""
	InQuery   Location = "query"
	InPath    Location = "path" // Name is that of a segment {Name} of the operation's path
	InHeader  Location = "header"
	InPayload Location = "payload" // the member is the whole body
)

// Load reads the table of the service with that name: "ecr", "codeartifact",
// "sts", "iam", "secretsmanager" or "signer".
func Load(service string) (*Service, error) {
	raw, err := tables.ReadFile("tables/" + service + ".json")
	if err != nil {
		return nil, fmt.Errorf("no table of the service %q", service)
	}
	s := new(Service)
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, fmt.Errorf("the table of %s: %w", service, err)
	}
	return s, nil
}
